"""The length band."""

from __future__ import annotations

import pytest

from engine.training.rewards.length import length, within_band


@pytest.mark.parametrize(("num_tokens", "expected"), [(0, 0.0), (1, 0.1), (5, 0.5), (10, 1.0), (15, 1.0), (20, 1.0)])
def test_half_of_the_room_is_enough(num_tokens, expected, standards, write):
    assert length([write([3] * num_tokens)], standards) == pytest.approx([expected])


def test_above_the_band_it_falls_as_it_rose():
    assert [within_band(count, 10, 20) for count in (20, 25, 30, 99)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
