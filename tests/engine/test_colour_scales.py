"""Numbers to colours: closed forms of each scale, and what they have in common."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.sources
from engine.colour_limits import ColourLimits, colour_limits
from engine.colour_scales import SCALES, colour_scale, linear_scale, rank_scale, signed_scale, symmetric_log_scale

SIGNED = ColourLimits(-2.0, 2.0, True)
UNSIGNED = ColourLimits(0.5, 4.0, False)


def test_a_linear_scale_numbers_colours_by_equal_steps():
    values = np.random.default_rng(0).uniform(-3, 3, 10_000)
    expected = np.clip(np.floor((values + 2) * 64), 0, 255)
    assert np.array_equal(signed_scale(2.0).colour_numbers(values), expected)


LIMITS = [(-1.0, 1.0), (0.0, 0.3), (2.0, 2.5), (-3e38, 3e38), (0.0, 1e-30), (1.0, 1.0 + 1e-12), (-5e-324, 5e-324)]


@pytest.mark.parametrize("ends", [*LIMITS, (-8e307, 8e307), (1e16, 1e16 + 4)])
def test_equal_steps_give_the_colours_that_a_search_among_the_knots_finds(ends):
    scale = linear_scale(ColourLimits(*ends, is_signed=ends[0] == -ends[1]))
    rng, knots = np.random.default_rng(0), scale.knots
    beside = [np.nextafter(knots, side) for side in (-np.inf, np.inf)]
    inside = ends[0] + rng.random(40_000) * (ends[1] / 2 - ends[0] / 2) * 2
    values = np.concatenate([knots, *beside, inside, 2 * rng.standard_normal(50), [np.nan, np.inf, -np.inf, 0.0]])
    expected = np.searchsorted(knots[1:-1], values, side="right")
    np.testing.assert_array_equal(scale.colour_numbers(values), expected)
    assert scale.colour_numbers(values[0]) == expected[0]
    assert scale.colour_numbers(np.zeros((0, 3))).shape == (0, 3)


def test_a_symmetric_logarithm_is_linear_near_zero_and_logarithmic_far_away():
    scale = symmetric_log_scale(SIGNED)
    c = 0.02
    x = np.array([0.001, 0.02, 0.3, 1.9])
    expected = 0.5 + 0.5 * np.log1p(x / c) / np.log1p(2.0 / c)
    assert scale.positions(x) == pytest.approx(expected, abs=1e-4)
    assert scale.positions(-x) == pytest.approx(1 - expected, abs=1e-4)


def test_ranks_use_every_colour_equally_often():
    values = np.random.default_rng(0).standard_t(2, 256 * 400) * 0.01
    counts = np.bincount(rank_scale(values).colour_numbers(values), minlength=256)
    assert counts.min() > 300 and counts.max() < 500
    unsigned = np.abs(values)
    counts = np.bincount(rank_scale(unsigned).colour_numbers(unsigned), minlength=256)
    assert counts.min() > 390 and counts.max() < 410


def test_ranks_keep_zero_in_the_middle_however_many_zeros_there_are():
    values = np.concatenate([np.zeros(1000), [-3.0, -2.0, 1.0, 5.0]])
    scale = rank_scale(values)
    assert scale.colour_numbers(np.array([0.0]))[0] == 128
    assert scale.limits == ColourLimits(-5.0, 5.0, True)


@pytest.mark.parametrize(
    "scale", [signed_scale(2.0), symmetric_log_scale(SIGNED), rank_scale(np.linspace(-2, 1.5, 999))]
)
@given(value=st.floats(1e-9, 10.0))
def test_a_number_and_its_negative_have_mirrored_colours(scale, value):
    above, below = scale.colour_numbers(np.array([value, -value])).astype(int)
    # On a knot of an even scale, the colours touch: the mirrored one may be the neighbour.
    assert above + below in ((255,) if scale.kind == "rank" else (255, 256))


@pytest.mark.parametrize(
    "scale",
    [linear_scale(UNSIGNED), symmetric_log_scale(UNSIGNED), symmetric_log_scale(SIGNED), rank_scale(np.arange(1, 400))],
)
def test_positions_and_values_are_each_others_inverse_and_never_fall(scale):
    places = np.linspace(0, 1, 1001)
    assert scale.positions(scale.values_at(places)) == pytest.approx(places, abs=1e-9)
    assert np.all(np.diff(scale.knots) >= 0)
    assert (scale.knots[0], scale.knots[-1]) == (scale.limits.low, scale.limits.high)


def test_what_lies_beyond_the_limits_and_what_is_no_number():
    scale = linear_scale(UNSIGNED)
    assert scale.colour_numbers(np.array([-1.0, 9.0, -np.inf, np.inf])).tolist() == [0, 255, 0, 255]
    assert np.isnan(scale.positions(np.array([np.nan]))[0])


@pytest.mark.parametrize("entries", [np.zeros(0), np.zeros(5), np.full(5, 3.0), np.full(5, -3.0)])
def test_ranks_of_constants_are_a_scale_all_the_same(entries):
    scale = rank_scale(entries)
    assert scale.limits.low < scale.limits.high
    assert scale.knots.shape == (257,) and np.all(np.diff(scale.knots) >= 0)


@pytest.mark.parametrize("kind", SCALES)
def test_the_scale_of_a_tensor_is_the_same_each_time(kind, tmp_path, write_safetensors):
    write_safetensors(tmp_path / "m.safetensors", {"w": np.random.default_rng(1).standard_normal((300, 70))})
    with engine.sources.open(tmp_path / "m.safetensors") as source:
        info = source.info("w")
        limits = colour_limits(source, info)
        first, second = (colour_scale(source, info, kind, limits) for _ in range(2))
    assert first.kind == kind
    assert np.array_equal(first.knots, second.knots)
