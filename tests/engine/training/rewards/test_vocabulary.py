"""The moving type-token ratio, freed of length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.training.rewards.vocabulary import moving_type_share, vocabulary


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([1, 2, 3, 4, 5, 6], 1.0),
        ([1, 1, 1, 1], 1 / 4),
        ([1, 2, 1, 2, 1], 2 / 4),
        ([1, 2, 3, 4, 4], (4 + 3) / 8),
        ([1, 2], 2 / 4),  # the rest of the window said nothing
        ([], 0.0),
    ],
)
def test_windows_of_four(tokens, expected):
    assert moving_type_share(tokens, 4) == pytest.approx(expected)


def test_a_text_that_goes_on_alike_is_as_rich_as_it_was():
    once = list(range(8))
    assert moving_type_share(once * 5, 4) == moving_type_share(once, 4) == 1.0


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 30))
def test_stopping_early_inside_the_first_window_never_pays(tokens, stop):
    window = 30
    assert moving_type_share(tokens[:stop], window) <= moving_type_share(tokens, window)


def test_the_window_is_no_longer_than_a_sample_may_be(standards, write):
    assert vocabulary([write([*range(10), *range(10, 20)])], standards) == [1.0]
