"""Signed-extreme pooling against a slow, obvious version: nothing is ever lost."""

import math
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dtypes import ELEMENT_TYPES
from engine.pooling import Blocks, Pool, cells, pool
from engine.pooling_kernel import STRIP

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, math.nan, math.inf, -math.inf, 3e-39, 3e38]


def winner(entries):
    """The signed extreme of a list, said in words: NaN, else the larger magnitude, else the positive one."""
    best = entries[0]
    for value in entries[1:]:
        if math.isnan(best):
            break
        if math.isnan(value) or abs(value) > abs(best) or (abs(value) == abs(best) and value > best):
            best = value
    return best


def slow_pool(matrix, height, width):
    step = cells(*matrix.shape, height, width)
    values = matrix.astype(np.float64)
    result = np.zeros(step.shape)
    for i in range(step.shape[0]):
        for j in range(step.shape[1]):
            block = values[
                i * step.row_step : (i + 1) * step.row_step, j * step.column_step : (j + 1) * step.column_step
            ]
            result[i, j] = winner([float(x) for x in block.ravel()])
    return result.astype(np.float32)


def entries_of(name, shape, rng):
    """Random entries of a type, its zeros and (where it has them) NaN and ±Inf among them."""
    dtype = ELEMENT_TYPES[name].dtype
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        return rng.integers(bounds.min, bounds.max, shape, dtype=dtype, endpoint=True)
    if dtype.kind == "b":
        return rng.random(shape) < 0.3
    values = rng.choice([*SPECIAL, 0.5, -7.0], shape)
    if dtype.kind == "c":
        return values.astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values, np.float32).astype(dtype)


@pytest.mark.parametrize("name", [name for name in ELEMENT_TYPES if name != "C64"])
def test_pooling_agrees_with_the_slow_version_for_every_element_type(name):
    rng = np.random.default_rng(3)
    for shape, size in [((37, 23), (5, 4)), ((1, 100), (1, 9)), ((64, 3), (7, 3)), ((8, 8), (8, 8)), ((5, 6), (1, 1))]:
        matrix = entries_of(name, shape, rng)
        np.testing.assert_array_equal(pool(matrix, *size), slow_pool(matrix, *size))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), rows=st.integers(1, 12), columns=st.integers(1, 12), dtype=st.sampled_from(["f2", "f4", "bf16"]))
def test_any_mixture_of_numbers_zeros_nan_and_infinities_pools_to_its_signed_extreme(data, rows, columns, dtype):
    entries = data.draw(st.lists(st.sampled_from(SPECIAL), min_size=rows * columns, max_size=rows * columns))
    with np.errstate(over="ignore"):
        matrix = np.array(entries, np.float32).reshape(rows, columns)
        matrix = matrix.astype(ml_dtypes.bfloat16 if dtype == "bf16" else dtype)
    size = data.draw(st.integers(1, 14)), data.draw(st.integers(1, 14))
    pooled = pool(matrix, *size)
    assert pooled.shape[0] <= size[0] and pooled.shape[1] <= size[1]
    np.testing.assert_array_equal(pooled, slow_pool(matrix, *size))


def test_one_nan_or_infinity_among_a_million_entries_stays_visible():
    matrix = np.random.default_rng(0).standard_normal((1000, 1000), dtype=np.float32)
    matrix[123, 456], matrix[700, 20] = np.nan, -np.inf
    pooled = pool(matrix, 10, 10)
    assert np.isnan(pooled[1, 4]) and np.isnan(pooled).sum() == 1
    assert np.isneginf(pooled[7, 0]) and np.isinf(pooled).sum() == 1


def test_of_equal_magnitudes_the_positive_one_wins_wherever_it_stands():
    assert pool(np.array([[-2.0, 2.0]], np.float32), 1, 1)[0, 0] == 2.0
    assert pool(np.array([[2.0, -2.0]], np.float32), 1, 1)[0, 0] == 2.0


def test_turning_every_sign_turns_the_pooled_signs_where_there_is_no_tie():
    matrix = np.random.default_rng(1).standard_normal((90, 70), dtype=np.float32)
    np.testing.assert_array_equal(pool(-matrix, 9, 7), -pool(matrix, 9, 7))


def test_rows_longer_than_the_kernels_strip_pool_right_across_its_borders():
    matrix = np.random.default_rng(2).standard_normal((3, 2 * STRIP + 77), dtype=np.float32)
    for width in (1, 5, 1000):
        np.testing.assert_array_equal(pool(matrix, 2, width), slow_pool(matrix, 2, width))


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    "column_step", [1, 2, 3, 5, 6, 7, 8, 12, 14, 15, 16, 28, 31, 43, 64, 100, STRIP - 1, STRIP + 3]
)
def test_cells_of_any_width_fold_alike_wherever_a_block_cuts_them(column_step, dtype):
    rng = np.random.default_rng(column_step)
    num_columns = min(7 * column_step, 2 * STRIP) + 5
    matrix = rng.standard_normal((11, num_columns)).astype(dtype)
    blocks = Blocks(11, num_columns, 9, column_step)
    pooled, cut = Pool(blocks, matrix.dtype), num_columns // 2 - 1
    for left, right in [(cut, num_columns), (0, cut)]:
        pooled.add(matrix[:, left:right], 0, left)
    extremes = slow_extremes(matrix.astype(np.float64), blocks)
    np.testing.assert_array_equal(pooled.values(), extremes.astype(np.float32))


def slow_extremes(values, blocks):
    """The entry of largest magnitude of every cell, for entries without NaN and without ties."""
    result = np.zeros(blocks.shape)
    for i in range(blocks.shape[0]):
        for j in range(blocks.shape[1]):
            cell = values[i * blocks.row_step :, j * blocks.column_step :][: blocks.row_step, : blocks.column_step]
            result[i, j] = cell.flat[np.argmax(np.abs(cell))]
    return result


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 40), columns=st.integers(1, 90), row_step=st.integers(1, 45), column_step=st.integers(1, 95),
    row=st.integers(0, 9), column=st.integers(0, 9), seed=st.integers(0, 99), is_half=st.booleans(),
)  # fmt: skip
def test_a_block_anywhere_in_a_window_raises_only_the_cells_it_touches(
    rows, columns, row_step, column_step, row, column, seed, is_half
):
    window = np.zeros((row + rows + 3, column + columns + 3))
    values = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float16 if is_half else np.float32)
    window[row : row + rows, column : column + columns] = values
    blocks = Blocks(*window.shape, row_step, column_step)
    pooled = Pool(blocks, values.dtype)
    pooled.add(values, row, column)
    np.testing.assert_array_equal(pooled.values(), slow_extremes(window, blocks).astype(np.float32))


def test_some_columns_of_a_matrix_pool_without_a_copy():
    matrix = np.random.default_rng(6).standard_normal((2000, 1500), dtype=np.float32)
    expected = slow_extremes(matrix[:, 100:1300].astype(np.float64), cells(2000, 1200, 10, 12))
    pool(matrix[:4], 1, 1)
    tracemalloc.start()
    pooled = pool(matrix[:, 100:1300], 10, 12)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(pooled, expected.astype(np.float32))
    assert peak < 1 << 20


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_a_matrix_without_entries_pools_to_nothing(shape):
    assert pool(np.zeros(shape, np.float32), 3, 3).size == 0


def test_a_matrix_that_fits_is_returned_entry_by_entry():
    matrix = np.array([[1.5, -0.0, np.nan]], np.float32)
    assert pool(matrix, 1, 3).tobytes() == matrix.tobytes()


def test_a_finite_float64_beyond_float32_never_becomes_infinite():
    pooled = pool(np.array([[1e300, -1e308], [1.0, np.inf]]), 2, 1)
    assert np.isfinite(pooled[0, 0]) and np.isinf(pooled[1, 0])


def test_complex_entries_count_by_their_magnitude():
    assert pool(np.array([[3 + 4j, 1 - 1j]], np.complex64), 1, 1)[0, 0] == 5.0


def test_blocks_may_arrive_in_any_order_and_cut_cells_anywhere():
    matrix = np.random.default_rng(4).standard_normal((50, 40)).astype(ml_dtypes.bfloat16)
    blocks = Blocks(50, 40, 7, 8)
    pooled = Pool(blocks, matrix.dtype)
    for top, bottom in [(33, 50), (0, 5), (5, 33)]:
        for left, right in [(11, 40), (0, 11)]:
            pooled.add(matrix[top:bottom, left:right], top, left)
    np.testing.assert_array_equal(pooled.values(), slow_pool(matrix, 8, 5))


def test_pooling_reads_unaligned_read_only_and_transposed_arrays_without_changing_them():
    values = np.random.default_rng(5).standard_normal((30, 20), dtype=np.float32)
    expected = slow_pool(values, 4, 4)
    unaligned = np.frombuffer(b"x" + values.tobytes(), np.uint8)[1:].view(np.float32).reshape(30, 20)
    assert not unaligned.flags.aligned and not unaligned.flags.writeable
    np.testing.assert_array_equal(pool(unaligned, 4, 4), expected)
    np.testing.assert_array_equal(pool(np.asfortranarray(values), 4, 4), expected)
    np.testing.assert_array_equal(pool(values.astype(">f4"), 4, 4), expected)
