"""From a window of a tensor to heights: nothing is cut off, nothing is lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.colour_scales import SCALES
from engine.heatmaps import Grid, Viewport
from engine.pooling import pool
from engine.surfaces import INFINITE_HEIGHT, LONGEST_AXIS, coarser, ground, height_scale, heights, surface_window


def grid(values, row_step=1, column_step=1):
    rows, columns = values.shape
    return Grid(values.astype(np.float32), 0, rows * row_step, 0, columns * column_step, row_step, column_step)


def raised(values, kind="linear"):
    values = np.asarray(values, np.float32)
    return heights(values, height_scale(values, kind))


def test_a_plane_stays_a_plane_with_zero_in_the_middle():
    plane = np.add.outer(np.arange(-4, 5), np.zeros(7)) * 0.25
    assert raised(plane) == pytest.approx(plane, abs=1e-6)  # its largest magnitude is 1 already
    assert raised(8 * plane) == pytest.approx(plane, abs=1e-6)


def test_a_single_spike_has_height_one_however_large_and_the_rest_is_flat():
    values = np.zeros((50, 60), np.float32)
    values[7, 9] = -1e30
    found = raised(values)
    assert found[7, 9] == -1 and np.count_nonzero(found) == 1
    values[values == 0] = 0.01
    assert raised(values)[7, 9] == -1 and np.abs(raised(values)[0]).max() < 1e-6


def test_heights_are_not_cut_at_the_percentile_that_limits_colours():
    values = np.random.default_rng(0).standard_normal((200, 200))
    found = raised(values)
    assert (np.abs(found) == 1).sum() == 1
    assert found == pytest.approx(values / np.abs(values).max(), abs=1e-6)


@pytest.mark.parametrize("kind", SCALES)
def test_nan_is_a_hole_and_infinities_stand_above_every_number(kind):
    found = raised([[np.nan, np.inf], [-np.inf, 3.0], [-2.0, 0.0]], kind)
    assert np.isnan(found[0, 0]) and found[0, 1] == pytest.approx(INFINITE_HEIGHT)
    assert found[1, 0] == pytest.approx(-INFINITE_HEIGHT)
    finite = found[[1, 2, 2], [1, 0, 1]]
    assert np.abs(finite).max() == 1 and finite[2] == 0 and finite[1] < 0 < finite[0]


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (2, 2)])
def test_without_a_finite_number_there_is_still_a_scale(kind, shape):
    found = raised(np.full(shape, np.nan), kind)
    assert found.shape == shape and np.isnan(found).all()


@pytest.mark.parametrize(("value", "height"), [(0.0, 0.0), (5.0, 1.0), (-5.0, -1.0)])
@pytest.mark.parametrize("kind", SCALES)
def test_equal_numbers_are_a_flat_plane_at_their_side_of_zero(kind, value, height):
    assert raised(np.full((4, 3), value), kind) == pytest.approx(height)


def test_unsigned_numbers_stand_on_zero_or_on_the_smallest_where_that_is_far_from_it():
    assert raised([[0.0, 1.0, 4.0]]).tolist() == [[0.0, 0.25, 1.0]]
    assert raised([[8.0, 9.0, 12.0]]).tolist() == [[0.0, 0.25, 1.0]]


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=40),
    kind=st.sampled_from(SCALES),
)
def test_larger_numbers_never_stand_lower_and_the_largest_magnitude_stands_highest(values, kind):
    values = np.sort(np.asarray(values, np.float32))
    found = raised(values[None], kind)[0]
    assert (np.diff(found) >= -1e-6).all() and np.abs(found).max() <= 1
    if values.any():
        assert abs(found[np.abs(values).argmax()]) == pytest.approx(1, abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(rows=st.integers(1, 10**6), columns=st.integers(1, 10**6), detail=st.sampled_from([64, 128, 256, 512, 1024]))
def test_a_window_becomes_at_most_the_cells_asked_for(rows, columns, detail):
    view = surface_window(Viewport(0, rows, 0, columns), (rows, columns), detail)
    assert (view.row_stop, view.column_stop) == (rows, columns)
    cells = min(rows, view.max_rows) * min(columns, view.max_columns)
    assert 1 <= cells <= detail * detail and max(view.max_rows, view.max_columns) <= LONGEST_AXIS
    assert cells >= min(rows, detail, LONGEST_AXIS) * min(columns, detail, LONGEST_AXIS)


def test_a_narrow_matrix_leaves_its_cells_to_the_long_axis():
    view = surface_window(Viewport(0, 30_522, 0, 64), (30_522, 64), 256)
    assert (view.max_rows, min(64, view.max_columns)) == (1024, 64)


@pytest.mark.parametrize("most", [1, 7, 100, 500])
def test_a_coarser_grid_keeps_the_signed_extremes_and_names_the_same_entries(most):
    values = np.random.default_rng(1).standard_normal((37, 23)).astype(np.float32)
    values[30, 20] = -99
    fine = grid(values, 3, 2)
    coarse = coarser(fine, most)
    rows, columns = coarse.values.shape
    assert rows * columns <= most and coarse.values.min() == -99
    down, across = coarse.row_step // 3, coarse.column_step // 2
    assert (coarse.row_stop, coarse.column_stop) == (111, 46)
    for i in range(rows):
        for j in range(columns):
            block = values[i * down : (i + 1) * down, j * across : (j + 1) * across]
            assert coarse.values[i, j] == pool(block, 1, 1)[0, 0]


def test_a_grid_that_is_small_enough_stays_as_it_is():
    fine = grid(np.zeros((4, 5)))
    assert coarser(fine, 20) is fine


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((10, 10), (1, 1)),
        ((10, 20), (1, 0.5)),
        ((20, 10), (0.5, 1)),
        ((1000, 10), (0.3, 1)),
        ((1, 500), (1, 0.05)),
        ((500, 1), (0.05, 1)),
        ((1, 1), (1, 1)),
        ((1, 4), (1, 0.25)),
        ((0, 7), (1, 1)),
    ],
)
def test_the_ground_follows_the_matrix_but_is_never_a_thread(shape, sides):
    assert ground(grid(np.zeros(shape))) == sides
