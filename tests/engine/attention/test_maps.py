"""Scores of attention maps against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.attention.maps import MAP_SCORES, diagonal, entropy, first_token, highest, previous_token

IDENTITY = np.eye(5)
PREVIOUS = np.eye(5, k=-1) + np.eye(5)[0] * np.eye(5)[0][:, None]
FIRST = np.tile(np.eye(5)[0], (5, 1))
UNIFORM = np.full((5, 5), 0.2)
CAUSAL = np.tril(np.ones((5, 5))) / np.arange(1, 6)[:, None]


@pytest.mark.parametrize(
    ("attention", "self_", "previous", "first", "bits"),
    [
        (IDENTITY, 1, 0, 0, 0),
        (PREVIOUS, 0, 1, 0.25, 0),
        (FIRST, 0, 0.25, 1, 0),
        (UNIFORM, 0.2, 0.2, 0.2, np.log2(5)),
        (CAUSAL, *[np.mean([1 / 2, 1 / 3, 1 / 4, 1 / 5])] * 3, np.mean(np.log2([1, 2, 3, 4, 5]))),
    ],
)
def test_scores_of_known_maps_are_known(attention, self_, previous, first, bits):
    assert diagonal(attention) == pytest.approx(self_)
    assert previous_token(attention) == pytest.approx(previous)
    assert first_token(attention) == pytest.approx(first)
    assert entropy(attention) == pytest.approx(bits)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 99))
def test_entropy_lies_between_zero_and_the_logarithm_of_the_keys(queries, keys, seed):
    maps = np.random.default_rng(seed).dirichlet(np.full(keys, 0.3), size=(3, queries))
    bits = entropy(maps)
    assert bits.shape == (3,) and (bits >= 0).all() and (bits <= np.log2(keys) + 1e-9).all()


def test_scores_of_many_heads_are_those_of_each():
    maps = np.random.default_rng(0).dirichlet(np.ones(6), size=(2, 3, 6)).astype(np.float32)
    for score in MAP_SCORES.values():
        together = score.function(maps)
        assert together.shape == (2, 3)
        for layer in range(2):
            for head in range(3):
                assert together[layer, head] == pytest.approx(float(score.function(maps[layer, head])))


def test_rows_that_do_not_sum_to_one_are_scaled_and_empty_ones_left_out():
    """Models with attention sinks give less than 1 to the tokens that are seen."""
    sink = np.array([[0.25, 0.25], [0.0, 0.0]])
    assert entropy(sink) == pytest.approx(1)
    assert np.isnan(entropy(np.zeros((3, 3)))) and np.isnan(entropy(np.full((2, 2), np.nan)))


def test_diagonals_are_undefined_where_there_is_none():
    for shape in ((1, 1), (3, 4)):
        for score in (diagonal, previous_token, first_token):
            assert np.isnan(score(np.ones(shape) / shape[1]))


def test_the_highest_heads_come_first_ties_in_reading_order_and_nan_never():
    scores = np.array([[0.2, np.nan, 0.9], [0.9, 0.1, np.nan]])
    assert highest(scores) == [(0, 2), (1, 0), (0, 0)]
    assert highest(np.full((2, 2), np.nan)) == []
