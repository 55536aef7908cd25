"""Text that is there twice is told of before training, with how much of it."""

from __future__ import annotations

import random

import pytest

from engine.training.corpora.bundled import bundled
from engine.training.corpora.near_duplicates import near_duplicates
from engine.training.corpus import Corpus, Document


def words(seed: int, count: int = 400) -> str:
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghijklmnopqrst", k=draw.randint(2, 9))) for _ in range(count))


def corpus(name: str, *texts: str) -> Corpus:
    return Corpus(name, tuple(Document(f"{name} {number}", text) for number, text in enumerate(texts)))


def test_text_of_its_own_gives_no_warning():
    assert (
        near_duplicates([corpus("a", words(1), words(2)), corpus("b", words(3)), corpus("c", "short"), corpus("d")])
        == []
    )


def test_a_re_wrapped_copy_between_corpora_is_told_with_its_share_and_names():
    copies = corpus("b", words(2).upper().replace(" ", "\n  "), words(9))
    (found,) = near_duplicates([corpus("a", words(1), words(2), words(3)), copies])
    assert (found.first, found.second) == ("a", "b")
    assert found.share == pytest.approx(0.5, abs=0.07)
    assert found.examples == (("a 1", "b 0"),)
    assert str(found).startswith(f"{found.share:.0%} of the smaller of a and b")


def test_a_corpus_that_repeats_itself_is_told():
    (found,) = near_duplicates([corpus("a", words(1), words(2), words(1), words(1))])
    assert (found.first, found.second) == ("a", "a")
    assert found.share == pytest.approx(0.5, abs=0.06)
    assert set(found.examples) == {("a 0", "a 2"), ("a 0", "a 3"), ("a 2", "a 3")}
    assert "more than once" in str(found)


def test_a_near_copy_is_told_with_less_than_all_of_it():
    changed = " ".join("other" if number % 30 == 7 else word for number, word in enumerate(words(1, 2000).split(" ")))
    (found,) = near_duplicates([corpus("a", words(1, 2000)), corpus("b", changed)])
    assert 0.6 < found.share < 0.95
    assert found.examples == (("a 0", "b 0"),)


def test_an_excerpt_within_a_larger_text_counts_as_a_whole_of_the_smaller():
    (found,) = near_duplicates([corpus("a", f"{words(1)} {words(2)} {words(3)} {words(4)}"), corpus("b", words(3))])
    assert found.share > 0.9


def test_the_bundled_corpora_are_told_apart_from_each_other():
    corpora = [Corpus(name, text.documents()) for name, text in bundled().items() if name != "standard-library"]
    assert all(found.first == found.second for found in near_duplicates(corpora))
