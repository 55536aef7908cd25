"""Any text goes into tokens and comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training.corpus import Corpus, Document
from engine.training.held_out import encode
from engine.training.tokenizer import END_OF_TEXT, learnt_texts, tokenizer_for, train_tokenizer

TEXTS = ["the cat sat on the mat, and the dog sat by the door.\n" * 20, "def f(x):\n    return x + 1\n" * 20]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 290, 64)


@given(text=st.text().filter(lambda text: END_OF_TEXT not in text))
def test_any_unicode_text_comes_back_from_its_tokens(tokenizer, text):
    tokens = encode(tokenizer, text)
    assert tokenizer.decode(tokens[1:]) == text
    assert tokens[0] == tokenizer.bos_token_id == 0


def test_the_vocabulary_holds_every_byte_and_words_of_the_text(tokenizer):
    vocabulary = tokenizer.get_vocab()
    assert len(vocabulary) == len(tokenizer) == 290
    assert sorted(vocabulary.values()) == list(range(290))
    assert "Ġthe" in vocabulary
    assert len(encode(tokenizer, "\U0001f600")) == 1 + 4


def test_equal_texts_give_equal_vocabularies(tokenizer):
    again = train_tokenizer(TEXTS, 290, 64)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(TrainingError, match="at least 257 tokens, got 256"):
        train_tokenizer(TEXTS, 256, 64)
    assert len(train_tokenizer(TEXTS, 257, 64)) == 257


ENGLISH = Corpus(
    "english", tuple(Document(f"e {n}", f"the {n} cats sat on the mat and the dog ran. ") for n in range(200))
)
RUSSIAN = Corpus(
    "russian", tuple(Document(f"r {n}", f"у окна {n} стояла ёлка, и шёл снег над рекой. ") for n in range(200))
)


def test_ids_stay_as_they_are_when_a_corpus_is_added_later(tmp_path):
    """Going on with more text takes the tokenizer that was saved: it can cut any text, and no id changes."""
    from transformers import AutoTokenizer

    first = tokenizer_for([ENGLISH], 300, 64)
    before = [encode(first, document.text) for document in ENGLISH.documents]
    first.save_pretrained(tmp_path)
    later = AutoTokenizer.from_pretrained(tmp_path)
    assert later.get_vocab() == first.get_vocab()
    assert [encode(later, document.text) for document in ENGLISH.documents] == before
    for document in RUSSIAN.documents:
        tokens = encode(later, document.text)
        assert max(tokens) < len(first)
        assert later.decode(tokens[1:]) == document.text


def test_a_heavier_corpus_shapes_the_vocabulary_more():
    def price(corpus, *weighted):
        tokenizer = tokenizer_for(weighted, 330, 64)
        return sum(len(encode(tokenizer, document.text)) for document in corpus.documents)

    def weighted(corpus, weight):
        return Corpus(corpus.name, corpus.documents, weight)

    lightly = price(RUSSIAN, weighted(ENGLISH, 1.0), weighted(RUSSIAN, 0.05))
    heavily = price(RUSSIAN, weighted(ENGLISH, 0.05), weighted(RUSSIAN, 1.0))
    assert heavily < 0.8 * lightly


def test_corpora_give_text_in_proportion_to_weight_times_size_and_no_more_than_the_limit():
    def given(weights, limit=10**9):
        corpora = [
            Corpus(one.name, one.documents, weight) for one, weight in zip((ENGLISH, RUSSIAN), weights, strict=True)
        ]
        texts = list(learnt_texts(corpora, limit))
        return sum("the" in text for text in texts), sum("снег" in text for text in texts)

    assert given((1.0, 1.0)) == (200, 200)
    assert given((1.0, 0.25)) == (200, 50)
    assert given((0.5, 2.0)) == (50, 200)
    assert given((3.0, 0.0)) == (200, 0)
    english, russian = given((1.0, 1.0), 10_000)
    assert abs(english - russian) <= 1
    assert 70 <= english <= 90


def test_only_what_is_learnt_from_decides_the_vocabulary():
    alone = tokenizer_for([ENGLISH], 300, 64)
    beside = tokenizer_for([ENGLISH, Corpus("russian", RUSSIAN.documents, 0.0)], 300, 64)
    assert beside.get_vocab() == alone.get_vocab()


def test_a_word_of_megabytes_is_learnt_from_in_pieces():
    tokenizer = train_tokenizer(["ab" * 400_000, "the cat"], 300, 64)
    assert len(tokenizer) >= 270


def test_without_text_the_vocabulary_is_that_of_bytes():
    assert len(tokenizer_for([Corpus("none", ())], 300, 64)) == 257
    assert len(tokenizer_for([], 300, 64)) == 257
