"""Distinct n-grams, counted by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.training.rewards.diversity import distinct_share, diversity, ngrams, own_share


def test_ngrams_are_all_runs():
    assert ngrams([1, 2, 3, 4], 3) == [(1, 2, 3), (2, 3, 4)]
    assert ngrams([1, 2], 3) == []


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (range(10), 1.0),
        ([5] * 10, (1 / 9 + 1 / 8) / 2),
        ([1, 2, 1, 2, 1], (2 / 4 + 2 / 3) / 2),  # pairs 12 21 12 21, triples 121 212 121
        ([1, 2], 1 / 2),  # one pair, no triple
        ([1], 0.0),
        ([], 0.0),
    ],
)
def test_distinct_share_is_that_of_pairs_and_triples(tokens, expected):
    assert distinct_share(list(tokens)) == pytest.approx(expected)


def test_texts_without_a_common_pair_are_all_their_own():
    assert own_share([[1, 2, 3], [4, 5, 6]]) == [1.0, 1.0]


def test_equal_texts_own_nothing():
    assert own_share([[1, 2, 3], [1, 2, 3]]) == [0.0, 0.0]


def test_partly_shared_texts_own_the_rest():
    """Pairs 12 23 34 against 12 25: two thirds are own; triples 123 234 against 125: all are."""
    assert own_share([[1, 2, 3, 4], [1, 2, 5]]) == pytest.approx([(2 / 3 + 1) / 2, (1 / 2 + 1) / 2])


def test_the_part_is_half_within_and_half_between(standards, write):
    same, other = write([1, 2, 3]), write([4, 4, 4])
    assert diversity([same, same, other], standards) == pytest.approx([0.5, 0.5, (0.75 + 1) / 2])
    assert diversity([other], standards) == pytest.approx([0.75])


@given(st.lists(st.lists(st.integers(0, 3), max_size=12), min_size=2, max_size=4))
def test_own_share_agrees_with_a_slow_count(texts):
    for index, text in enumerate(texts):
        expected = 0.0
        for size in (2, 3):
            grams = {tuple(text[start : start + size]) for start in range(len(text) - size + 1)}
            others = [
                tuple(other[start : start + size])
                for place, other in enumerate(texts)
                if place != index
                for start in range(len(other) - size + 1)
            ]
            if grams:
                expected += sum(gram not in others for gram in grams) / len(grams) / 2
        assert own_share(texts)[index] == pytest.approx(expected)
