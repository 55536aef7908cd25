"""Row and column profiles agree with the obvious ones, whatever the shape."""

from __future__ import annotations

import numpy as np
import pytest

from engine.folding import matrix_shape
from engine.measures import axes
from engine.measures.distribution import distribution, distribution_and_profiles
from tests.engine.measures.conftest import DTYPES, assert_exact, random_array

SHAPES = [(1, 1), (3, 5), (7, 1), (1, 9), (4, 1024), (5, 3000), (1000, 384), (70, 7, 3, 2), (5000, 3), (33, 40000)]


def assert_profiles(array: np.ndarray, rows, columns) -> None:
    values = array.astype(np.float64).reshape(matrix_shape(array.shape))
    finite = np.isfinite(values)
    magnitude = np.where(finite, np.abs(values), 0).astype(np.longdouble)
    with np.errstate(over="ignore"):
        for found, axis in ((rows, 1), (columns, 0)):
            np.testing.assert_allclose(found.l2, np.sqrt((magnitude**2).sum(axis)).astype(np.float32), rtol=2e-7)
            np.testing.assert_array_equal(found.abs_max, magnitude.max(axis, initial=0).astype(np.float32))
            np.testing.assert_array_equal(found.num_zero, (values == 0).sum(axis))
            np.testing.assert_array_equal(found.num_nonfinite, (~finite).sum(axis))
            assert (found.l2.dtype, found.abs_max.dtype) == (np.float32, np.float32)
            assert (found.num_zero.dtype, found.num_nonfinite.dtype) == (np.int64, np.int64)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("special", [False, True])
def test_every_type_and_shape_agrees_with_the_obvious_sums(dtype, special, way):
    for shape in SHAPES if way == "sorted" else SHAPES[:8]:
        array = random_array(dtype, shape, special=special)
        found, rows, columns = distribution_and_profiles(array, threads=2)
        assert_profiles(array, rows, columns)
        assert (found.num_zero, found.num_nan) == (rows.num_zero.sum(), distribution(array).num_nan)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_nan_does_not_touch_the_rest_of_its_row(dtype):
    array = np.ones((9, 2100), dtype)
    array[4, 1500] = np.nan
    array[5, 0] = -np.inf
    array[5, 1] = 0
    _, rows, columns = distribution_and_profiles(array)
    assert_profiles(array, rows, columns)
    assert rows.num_nonfinite.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0]


def test_the_squares_of_the_largest_float32_do_not_overflow():
    array = np.full((6, 40), np.finfo(np.float32).max)
    array[:, 0] = 1
    _, rows, columns = distribution_and_profiles(array)
    assert columns.l2[0] == np.float32(np.sqrt(6))
    assert (rows.abs_max == np.finfo(np.float32).max).all()


@pytest.mark.parametrize("layout", ["transposed", "strided", "unaligned"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_layout_in_memory_does_not_matter(layout, dtype, way):
    array = random_array(dtype, (130, 70))
    if layout == "transposed":
        array = array.T
    elif layout == "strided":
        array = array[::2, ::-3]
    else:
        array = np.frombuffer(b"x" + array.tobytes(), dtype, offset=1).reshape(array.shape)
    found, rows, columns = distribution_and_profiles(array)
    assert_exact(found, array)
    assert_profiles(array, rows, columns)


def test_the_number_of_threads_does_not_change_a_bit(way):
    array = random_array(np.dtype(np.float32), (900, 377))
    one = distribution_and_profiles(array, threads=1)
    for threads in (2, 5):
        other = distribution_and_profiles(array, threads=threads)
        for this, that in zip(one[1:], other[1:], strict=True):
            for name in ("l2", "abs_max", "num_zero", "num_nonfinite"):
                assert getattr(this, name).tobytes() == getattr(that, name).tobytes()


@pytest.mark.parametrize("shape", [(), (5,), (3, 0), (0, 0)])
def test_below_two_dimensions_and_without_columns_there_is_no_profile(shape):
    assert distribution_and_profiles(np.zeros(shape, np.float32))[1:] == (None, None)


def test_without_rows_the_profiles_are_empty_or_zero():
    _, rows, columns = distribution_and_profiles(np.zeros((0, 3), np.float32))
    assert rows.l2.shape == (0,)
    assert columns.l2.tolist() == [0, 0, 0]


def test_sides_too_long_get_no_profile(monkeypatch):
    monkeypatch.setattr(axes, "MAX_PROFILE", 10)
    _, rows, columns = distribution_and_profiles(np.ones((11, 4), np.float32))
    assert rows is None
    assert columns.num_zero.tolist() == [0] * 4
    assert distribution_and_profiles(np.ones((4, 11), np.float32))[1:] == (None, None)
