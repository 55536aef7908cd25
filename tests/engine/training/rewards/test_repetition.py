"""Loops and repeated runs, counted by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.training.rewards.repetition import loop_share, repeated_share, repetition


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (list(range(10)), 0.0),
        ([7] * 10, 1.0),
        ([1, 2] * 3, 1.0),
        ([1, 2, 3] * 3 + [9], 0.9),
        ([1, 2, 3] * 2, 0.0),  # twice is language
        ([5, 5], 0.0),
        ([1, 2, 5, 5, 5, 3], 0.5),
        ([1, 1, 1, 2, 3, 4, 4, 4], 6 / 8),
        ([], 0.0),
    ],
)
def test_a_block_three_times_in_a_row_is_a_loop(tokens, expected):
    assert loop_share(tokens) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (list(range(10)), 0.0),
        ([7] * 10, 1 - 1 / 7),
        ([1, 2, 3, 4, 9, 1, 2, 3, 4], 1 / 6),
        ([1, 2, 3, 4], 0.0),
        ([1, 2, 3], 0.0),
    ],
)
def test_repeated_share_counts_runs_of_four_that_stood_before(tokens, expected):
    assert repeated_share(tokens) == pytest.approx(expected)


def test_the_part_is_what_the_worse_of_the_two_leaves(standards, write):
    assert repetition([write([7] * 10), write([1, 2, 3, 4, 9, 1, 2, 3, 4]), write(range(9))], standards) == (
        pytest.approx([0.0, 5 / 6, 1.0])
    )


@given(st.lists(st.integers(0, 2), max_size=14))
def test_loops_agree_with_a_slow_search(tokens):
    covered = set()
    for start in range(len(tokens)):
        for period in range(1, len(tokens) // 3 + 1):
            block = tokens[start : start + period]
            if len(block) == period and tokens[start : start + 3 * period] == block * 3:
                covered |= set(range(start, start + 3 * period))
    assert loop_share(tokens) == pytest.approx(len(covered) / len(tokens) if tokens else 0)


@given(st.lists(st.integers(0, 9), max_size=20), st.permutations(range(10)))
def test_only_the_pattern_matters_not_the_ids(tokens, names):
    renamed = [names[token] for token in tokens]
    assert loop_share(renamed) == loop_share(tokens)
    assert repeated_share(renamed) == repeated_share(tokens)
