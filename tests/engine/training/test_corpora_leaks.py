"""Held-out paragraphs go where the training text holds them too, and only there."""

from __future__ import annotations

import random

import pytest

from engine.training.corpora.fingerprints import essence
from engine.training.corpora.hold_out import held_out_split
from engine.training.corpora.leaks import LEAK_BYTES, without_leaks
from engine.training.corpora.passages import paragraphs
from engine.training.corpus import Corpus, Document, num_bytes


def words(seed: int, count: int) -> str:
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghijklmnopqrst", k=draw.randint(2, 9))) for _ in range(count))


def held_out(text: str, name: str = "held out"):
    return (name, text, list(paragraphs(text, 5000)))


def texts(documents) -> list[str]:
    return [document.text.strip() for document in documents]


@pytest.mark.parametrize("start", range(60))
def test_a_quotation_of_the_forbidden_length_is_found_wherever_it_starts(start):
    own, learnt = words(1, 300), words(2, 300).replace(" ", "")
    quotation = learnt[start : start + LEAK_BYTES]
    text = f"{own[:start]}{quotation} {own[start:]}"
    assert without_leaks([held_out(text)], [Document("learnt", words(2, 300))]) == []


def test_a_shorter_quotation_and_other_words_stay():
    text = f"{words(1, 100)} {words(2, 300)[200 : 200 + LEAK_BYTES // 3]} {words(3, 100)}"
    assert texts(without_leaks([held_out(text)], [Document("learnt", words(2, 300))])) == [text]


def test_only_the_paragraph_that_leaks_is_taken_out_and_the_document_cut_there():
    parts = [words(seed, 60) for seed in range(5)]
    text = "\n\n".join(parts)
    kept = without_leaks([held_out(text)], [Document("learnt", words(9, 50) + " " + parts[2].upper())])
    assert texts(kept) == ["\n\n".join(parts[:2]), "\n\n".join(parts[3:])]
    assert [document.name for document in kept] == ["held out", "held out, part 2"]


def test_a_run_across_two_short_paragraphs_is_found():
    lines = [words(seed, 6) for seed in range(12)]
    learnt = Document("learnt", words(20, 40) + " ".join(lines[4:8]) + words(21, 40))
    kept = without_leaks([held_out("\n\n".join(lines))], [learnt])
    assert not any(essence(" ".join(lines[4:8]))[at : at + 100] in essence(kept[0].text) for at in range(20))
    assert lines[0] in kept[0].text
    assert lines[11] in kept[-1].text


def test_a_paragraph_half_of_whose_short_runs_are_known_is_taken_out():
    """One word in twelve differs, so that no long run is shared."""
    original = words(4, 120).split(" ")
    near = " ".join("other" if number % 12 == 5 else word for number, word in enumerate(original))
    learnt = [Document("learnt", " ".join([words(6, 500), *original, words(7, 500)]))]
    assert not any(
        essence(near)[at : at + LEAK_BYTES] in essence(learnt[0].text) for at in range(len(essence(near)) - LEAK_BYTES)
    )
    own = words(8, 120)
    assert texts(without_leaks([held_out(f"{own}\n\n{near}\n\n{words(9, 120)}")], learnt)) == [own, words(9, 120)]


def test_a_short_document_that_stands_within_a_learnt_one_is_taken_out():
    learnt = [Document("learnt", f"{words(1, 50)} a line of some few little words only {words(2, 50)}")]
    pieces = [held_out("A line of some few little words only", "copy"), held_out("A line of quite other words", "own")]
    assert [document.name for document in without_leaks(pieces, learnt)] == ["own"]


def test_a_near_copy_of_a_whole_book_is_dropped_once_and_not_learnt_twice():
    original = "\n\n".join(words(seed, 80) for seed in range(40))
    near = " ".join("other" if number % 15 == 5 else word for number, word in enumerate(original.split(" ")))
    corpora = [Corpus("one", (Document("first", original),)), Corpus("two", (Document("second", near),))]
    split = held_out_split(corpora, 0.1)
    assert num_bytes(split.training[1].documents) < 0.05 * len(near)
    assert num_bytes(split.training[0].documents) > 0.7 * len(original)
