"""Any text goes into tokens and comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training.held_out import encode
from engine.training.tokenizer import END_OF_TEXT, train_tokenizer

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
