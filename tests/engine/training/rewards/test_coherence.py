"""Coherence peaks at the surprise of real text and falls on both sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.training.rewards.coherence import WINDOW, banded, coherence, window_surprise


@pytest.mark.parametrize("surprise", [1.0, 2.0, 3.0])
def test_text_as_surprising_as_real_text_has_one(surprise, standards, write):
    assert coherence([write(range(10), surprise)], standards) == [1.0]


@pytest.mark.parametrize(("surprise", "expected"), [(0.0, math.exp(-1)), (4.0, math.exp(-1)), (5.0, math.exp(-2))])
def test_the_fall_outside_the_band_is_exponential(surprise, expected, standards, write):
    """The band is 1 … 3, half its width 1."""
    assert coherence([write(range(10), surprise)], standards)[0] == pytest.approx(expected)


def test_neither_gibberish_nor_certain_text_beats_real_text(standards, write):
    certain, real, gibberish = coherence([write(range(20), value) for value in (0.0, 2.0, 12.0)], standards)
    assert real > certain > gibberish > 0


def test_half_loop_and_half_noise_does_not_pass_for_its_mean(standards, write):
    """The whole has a mean of 2 nats, in the middle of the band; its halves do not."""
    mixed = write([0] * 40, [0.0] * 20 + [4.0] * 20)
    assert coherence([mixed], standards)[0] < 0.85
    assert coherence([write([0] * 40, 2.0)], standards) == [1.0]


def test_windows_are_plain_means():
    log_probs = -np.arange(20.0)
    expected = [np.mean(np.arange(start, start + WINDOW)) for start in range(5)]
    np.testing.assert_allclose(window_surprise(log_probs), expected)


def test_a_short_text_is_one_window():
    np.testing.assert_allclose(window_surprise(np.array([-1.0, -2.0])), [1.5])


def test_a_token_the_reference_holds_impossible_makes_the_text_worth_nothing(standards, write):
    assert coherence([write([1, 2], [2.0, math.inf])], standards) == [0.0]


def test_a_band_without_width_is_a_point():
    assert banded(np.array([1.0]), 1.0, 1.0) == 1.0
    assert banded(np.array([1.1]), 1.0, 1.0) == 0.0


@given(st.floats(0, 50), st.floats(0, 50))
def test_farther_from_the_band_is_never_better(first, second):
    def value(distance):
        return banded(np.array([3.0 + distance]), 1.0, 3.0)

    near, far = sorted((first, second))
    assert value(near) >= value(far)
