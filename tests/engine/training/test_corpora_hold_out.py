"""Nothing that is held out stands in the training text: not copied, re-wrapped, or slightly changed."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training.corpora.bundled import bundled
from engine.training.corpora.fingerprints import essence
from engine.training.corpora.hold_out import held_out_split
from engine.training.corpora.leaks import LEAK_BYTES
from engine.training.corpora.passages import joined, paragraphs, seams
from engine.training.corpus import Corpus, Document, num_bytes

WORDS = [
    "".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz", k=2 + number % 8)) for number in range(3000)
]


def sentence(draw: random.Random, words: int = 12) -> str:
    return " ".join(draw.choices(WORDS, k=words)).capitalize() + "."


def paragraph(draw: random.Random, sentences: int = 4) -> str:
    return " ".join(sentence(draw) for _ in range(sentences))


def book(seed: int, num_paragraphs: int = 60) -> Document:
    draw = random.Random(seed)
    return Document(f"book {seed}", "\n\n".join(paragraph(draw) for _ in range(num_paragraphs)))


def leaks(held_out, learnt, length: int = LEAK_BYTES) -> list[bytes]:
    """Runs of the held-out documents that stand in the training text; by strings, slowly and plainly."""
    texts = [essence(document.text) for document in learnt]
    windows = {text[start : start + length] for text in texts for start in range(len(text) - length + 1)}
    found = []
    for document in held_out:
        data = essence(document.text)
        found += [
            data[start : start + length] for start in range(len(data) - length + 1) if data[start:][:length] in windows
        ]
    return found


def learnt(split) -> list[Document]:
    return [document for corpus in split.training for document in corpus.documents]


def changed(text: str, draw: random.Random, every: int) -> str:
    """A near copy: one word in so many is another."""
    words = text.split(" ")
    return " ".join("changed" if number % every == draw.randrange(every) else word for number, word in enumerate(words))


paragraph_numbers = st.lists(st.integers(0, 12), min_size=8, max_size=40)
ways = st.sampled_from(["as it is", "re-wrapped", "upper case", "within another", "near copy"])


@given(
    numbers=paragraph_numbers, copies=st.lists(st.tuples(st.integers(0, 39), ways), max_size=12), seed=st.integers(0, 9)
)
@settings(max_examples=60, deadline=None)
def test_no_held_out_run_stands_in_the_training_text_however_paragraphs_repeat(numbers, copies, seed):
    draw = random.Random(1)
    known = [paragraph(draw) for _ in range(13)]
    texts = [known[number] for number in numbers]
    for place, way in copies:
        text = texts[place % len(numbers)]
        texts.append(
            {
                "as it is": text,
                "re-wrapped": text.replace(" ", "\n   "),
                "upper case": text.upper(),
                "within another": sentence(draw) + " " + text + " " + sentence(draw),
                "near copy": changed(text, draw, 15),
            }[way]
        )
    corpora = [
        Corpus("one", (Document("a", "\n\n".join(texts[::2])), book(3, 10))),
        Corpus("two", (Document("b", "\n\n".join(texts[1::2])),)),
    ]
    split = held_out_split(corpora, 0.2, seed)
    assert split.validation
    assert not leaks(split.validation, learnt(split))
    assert not leaks(split.test, learnt(split))
    assert not leaks(split.validation, split.test)


def test_the_leak_search_of_these_tests_can_fail():
    text = paragraph(random.Random(1))
    assert leaks([Document("a", text)], [Document("b", "x " + text.upper().replace(" ", "\n"))])


@pytest.mark.parametrize("seed", range(8))
def test_a_near_copy_of_a_book_does_not_bring_held_out_text_back(seed):
    """One word in fifteen differs: no held-out paragraph shares most of its short runs with the training text."""
    original = book(5)
    copy = Document("copy", changed(original.text, random.Random(seed), 15))
    split = held_out_split([Corpus("a", (original,)), Corpus("b", (copy, book(6)))], 0.1, seed)
    texts = [essence(document.text) for document in learnt(split)]
    windows = {text[start : start + 24] for text in texts for start in range(len(text) - 23)}
    for document in (*split.validation, *split.test):
        for start, stop in paragraphs(document.text, 2000):
            data = essence(document.text[start:stop])
            runs = [data[at : at + 24] in windows for at in range(len(data) - 23)]
            assert not runs or sum(runs) / len(runs) < 0.6, (document.name, document.text[start:stop])


@pytest.mark.parametrize("name", ["language-reference", "weigh-house"])
def test_bundled_texts_keep_most_of_themselves_and_hold_out_about_the_share_asked_for(name):
    documents = bundled()[name].documents()
    split = held_out_split([Corpus(name, documents)], 0.05)
    total = num_bytes(documents)
    assert num_bytes(learnt(split)) > 0.7 * total
    for part in (split.validation, split.test):
        assert 0.01 * total < num_bytes(part) < 0.07 * total
        assert not leaks(part, learnt(split))
    assert split.dropped_bytes == total - num_bytes(learnt(split)) - num_bytes(split.validation) - num_bytes(split.test)


def test_a_book_is_cut_into_contiguous_blocks_that_stand_in_it_word_for_word():
    original = book(1)
    split = held_out_split([Corpus("book", (original,))], 0.1)
    pieces = [*learnt(split), *split.validation, *split.test]
    for piece in pieces:
        assert piece.text in original.text
        assert piece.name.startswith("book 1")
    assert sum(len(piece.text) for piece in pieces) == len(original.text)
    assert max(len(piece.text) for piece in split.validation) > 500


def test_equal_seeds_give_equal_splits_and_others_others():
    corpora = [Corpus("one", (book(1), book(2)))]
    assert held_out_split(corpora, 0.1, 3) == held_out_split(corpora, 0.1, 3)
    assert held_out_split(corpora, 0.1, 3).validation != held_out_split(corpora, 0.1, 4).validation


def test_what_is_held_out_of_a_corpus_stays_so_when_another_is_added():
    first = Corpus("one", (book(1), book(2)))
    alone, beside = held_out_split([first], 0.1), held_out_split([first, Corpus("two", (book(3),))], 0.1)
    assert beside.training[0] == alone.training[0]
    assert set(alone.validation) <= set(beside.validation)
    assert set(alone.test) <= set(beside.test)


def test_every_corpus_gives_its_share_and_keeps_its_weight():
    split = held_out_split([Corpus("one", (book(1),), 2.0), Corpus("two", (book(2), book(3)), 0.5)], 0.1)
    assert [(corpus.name, corpus.weight) for corpus in split.training] == [("one", 2.0), ("two", 0.5)]
    for number in (1, 2):
        assert any(document.name.startswith(f"book {number}") for document in split.validation + split.test)


def test_a_repeated_document_and_a_repeated_paragraph_are_learnt_once():
    text = paragraph(random.Random(9))
    other = Document("other", book(4, 20).text + "\n\n" + text)
    documents = (
        book(1),
        book(1),
        other,
        Document("again", paragraph(random.Random(8)) + "\n\n" + text.replace(" ", "  ")),
    )
    split = held_out_split([Corpus("one", documents)], 0.1)
    everything = b"\n".join(essence(document.text) for document in [*learnt(split), *split.validation, *split.test])
    assert everything.count(essence(text)) == 1
    assert everything.count(essence(book(1).text[:300])) == 1


def test_many_short_documents_are_each_on_one_side():
    draw = random.Random(2)
    documents = tuple(Document(f"line {number}", sentence(draw, 8)) for number in range(400))
    split = held_out_split([Corpus("lines", (*documents, *documents[:50]))], 0.1)
    names = [{document.name for document in part} for part in (learnt(split), split.validation, split.test)]
    assert sum(map(len, names)) == len(set.union(*names)) == 400
    assert 30 <= len(names[1]) <= 45


def test_a_text_of_half_a_page_works():
    text = " ".join(sentence(random.Random(number)) for number in range(12))
    split = held_out_split([Corpus("page", (Document("page", text),))])
    assert split.validation
    assert num_bytes(learnt(split)) > num_bytes(split.validation)


@pytest.mark.parametrize("text", ["", " \n\n ", "Too short.", "The same words again. " * 200])
def test_a_text_that_nothing_can_be_held_out_of_explains_itself(text):
    with pytest.raises(TrainingError, match="too little text") as caught:
        held_out_split([Corpus("short", (Document("short", text),))])
    assert "longer" in caught.value.hint


def test_impossible_shares_and_equal_names_are_refused():
    for share in (0.0, 0.6, float("nan")):
        with pytest.raises(TrainingError, match="share"):
            held_out_split([Corpus("one", (book(1),))], share)
    with pytest.raises(TrainingError, match="same name"):
        held_out_split([Corpus("one", (book(1),)), Corpus("one", (book(2),))])


@given(text=st.text("ab .\n\t。", max_size=300), longest=st.integers(1, 50))
def test_paragraphs_cover_the_text_and_none_is_longer_than_asked(text, longest):
    spans = list(paragraphs(text, longest))
    assert "".join(text[start:stop] for start, stop in spans) == text
    assert all(0 < stop - start <= longest for start, stop in spans)
    assert joined(text, spans) == text


@given(text=st.text("ab \n", max_size=200), length=st.integers(1, 20))
def test_seams_lie_between_a_word_and_white_space(text, length):
    parts = list(seams(text, length))
    assert "".join(parts) == text
    for before, after in itertools.pairwise(parts):
        assert not before[-1].isspace()
        assert after[0].isspace()
