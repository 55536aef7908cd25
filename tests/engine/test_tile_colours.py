"""Scales that many small pictures share."""

import numpy as np
import pytest

from engine.colour_limits import value_limits
from engine.tile_colours import (
    NAN_NUMBER,
    NEGINF_NUMBER,
    POSINF_NUMBER,
    bounded,
    cell_numbers,
    group_scales,
    picture_scale,
    shared_limit,
    value_scale,
)


def test_groups_share_a_scale_and_only_with_each_other():
    quiet, loud = np.full((2, 2), 0.1), np.full((2, 2), -3.0)
    one = group_scales([quiet, loud], [0, 0], "linear", are_values=False)
    assert one[0] is one[1] and one[0].limits.high == 3.0
    apart = group_scales([quiet, loud, None], ["a", "b", "c"], "linear", are_values=False)
    assert [scale.limits.high for scale in apart] == [0.1, 3.0, 1.0]


@pytest.mark.parametrize("kind", ["linear", "symmetric log", "rank"])
def test_pictures_keep_zero_in_the_middle_even_where_every_weight_is_positive(kind):
    scale = picture_scale([np.linspace(0.5, 2.0, 50).reshape(5, 10)], kind)
    assert scale.limits.is_signed and scale.limits.low == -scale.limits.high
    assert scale.knots[128] == 0.0 and (scale.colour_numbers(np.array([0.5, 1.0, 2.0])) > 128).all()


def test_values_are_signed_only_where_one_is_negative():
    assert not value_scale([np.array([0.0, 1.0, 2.0])], "linear").limits.is_signed
    assert value_scale([np.array([-1.0, 2.0])], "linear").limits.is_signed
    assert value_scale([np.array([np.nan])], "linear").limits == value_limits(np.zeros(0))


def test_one_extreme_tensor_does_not_grey_out_the_rest():
    scale = value_scale([np.array([x]) for x in [*np.linspace(0.01, 0.1, 99), 5000.0]], "linear")
    assert scale.limits.high < 1.0
    assert scale.colour_numbers(np.array([5000.0]))[0] == 255


def test_what_is_no_number_has_numbers_of_its_own():
    numbers = cell_numbers(np.array([[np.nan, np.inf, -np.inf, -1.0, 1.0]]), picture_scale([np.ones(1)], "linear"))
    assert numbers.tolist() == [[NAN_NUMBER, POSINF_NUMBER, NEGINF_NUMBER, 0, 255]]


def test_bounding_many_pictures_keeps_every_outlier():
    rng = np.random.default_rng(0)
    grids = [rng.normal(size=(32, 32)).astype(np.float32) for _ in range(40)] + [None, np.zeros((0, 3), np.float32)]
    for grid in grids[:40]:
        grid[rng.integers(32), rng.integers(32)] = -9.0
    small = bounded(grids, most=40 * 64)
    assert all(grid.shape == (8, 8) and grid.min() == -9.0 for grid in small[:40])
    assert small[40] is None and small[41].size == 0
    assert all(a is b or np.array_equal(a, b) for a, b in zip(grids, bounded(grids), strict=True))


def test_the_shared_limit_passes_over_nan_and_infinity_and_is_never_zero():
    assert shared_limit([np.array([np.nan, np.inf, -3.0])]) == 3.0
    assert shared_limit([np.zeros(4)]) == shared_limit([]) == 1.0
