"""The compiled loops of the row and column profiles; what `kernels` says of its own holds here too."""

from __future__ import annotations

import numpy as np
from numba import boolean, float32, float64, int64, njit, types, uint8, uint16, uint32, uint64
from numba.extending import register_jitable

from engine.measures.compilation import array, kernel

PANEL = 1024
"""Columns taken at once, four rows deep, so that their sums stay in the first-level cache; measured."""

_inner = njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@_inner
def _square_sum(values):
    total = 0.0
    for i in range(values.size):
        total += np.float64(values[i]) * np.float64(values[i])
    return total


@_inner
def _doubled_extremes(bits):
    """Smallest and largest pattern without its sign, times two: of integers, for only those reductions vectorise."""
    unsigned = bits.dtype.type
    low, high = unsigned(bits[0] << 1), unsigned(bits[0] << 1)
    for i in range(bits.size):
        doubled = unsigned(bits[i] << 1)
        low = min(low, doubled)
        high = max(high, doubled)
    return low, high


@_inner
def _add_four(rows, squares, largest):
    a, b, c, d = rows
    for i in range(squares.size):
        pair = np.float64(a[i]) * np.float64(a[i]) + np.float64(b[i]) * np.float64(b[i])
        squares[i] += pair + (np.float64(c[i]) * np.float64(c[i]) + np.float64(d[i]) * np.float64(d[i]))
    for i in range(squares.size):
        largest[i] = max(largest[i], max(max(abs(a[i]), abs(b[i])), max(abs(c[i]), abs(d[i]))))


@_inner
def _add_one(row, squares, largest):
    for i in range(squares.size):
        squares[i] += np.float64(row[i]) * np.float64(row[i])
        largest[i] = max(largest[i], abs(row[i]))


@_inner
def _add_zeros(values, num_zero):
    total = 0
    for i in range(values.size):
        is_zero = np.int64(values[i] == 0)
        total += is_zero
        num_zero[i] += is_zero
    return total


@register_jitable
def _add_with_nonfinite(values, bits, row, rows, columns, infinity):
    """Add a stretch of one row that holds NaN or Inf to its row and to all its columns, one by one."""
    for i in range(values.size):
        doubled = np.uint64(bits[i]) << np.uint64(1) & (infinity | (infinity - np.uint64(1)))
        if doubled < infinity:
            square = np.float64(values[i]) * np.float64(values[i])
            rows[0][row] += square
            columns[0][i] += square
            rows[1][row] = max(rows[1][row], doubled)
            columns[1][i] = max(columns[1][i], abs(values[i]))
            rows[2][row] += doubled == 0
            columns[2][i] += doubled == 0
        else:
            rows[3][row] += 1
            columns[3][i] += 1


@register_jitable
def _add_to_row(values, bits, row, rows, columns, infinity):
    """Add a stretch of one row to its row; True if its columns are still to be added, as they are if all is finite."""
    low, high = _doubled_extremes(bits)
    if high >= infinity:
        _add_with_nonfinite(values, bits, row, rows, columns, infinity)
        return False
    rows[0][row] += _square_sum(values)
    rows[1][row] = max(rows[1][row], np.uint64(high))
    if low == 0:
        rows[2][row] += _add_zeros(values, columns[2])
    return True


@register_jitable
def _add_panel(values, bits, stride, num_rows, row, rows, columns):
    """Up to four rows of a few columns. Args: values, bits: from their first element on; stride: to the next row."""
    infinity = np.uint64(0xFF000000) if bits.itemsize == 4 else np.uint64(0xFFE0000000000000)
    squares, largest, width = columns[0], columns[1], columns[0].size
    is_left = 0
    for k in range(num_rows):
        start, stop = k * stride, k * stride + width
        is_left += _add_to_row(values[start:stop], bits[start:stop], row + k, rows, columns, infinity) << k
    if is_left == 15:
        a, b, c, d = 0, stride, 2 * stride, 3 * stride
        four = values[a : a + width], values[b : b + width], values[c : c + width], values[d : d + width]
        _add_four(four, squares, largest)
        return
    for k in range(num_rows):
        if is_left >> k & 1:
            _add_one(values[k * stride : k * stride + width], squares, largest)


@register_jitable
def _between(columns, start, stop):
    squares, largest, num_zero, num_nonfinite = columns
    return squares[start:stop], largest[start:stop], num_zero[start:stop], num_nonfinite[start:stop]


def _sums(floating):
    rows = types.Tuple([array(float64), array(uint64), array(int64), array(int64)])
    return rows, types.Tuple([array(float64), array(floating), array(int64), array(int64)])


def _profile_signature(floating, unsigned):
    return array(floating, readonly=True), array(unsigned, readonly=True), *_sums(floating)


@kernel(_profile_signature(float32, uint32), _profile_signature(float64, uint64))
def profile(values, bits, rows, columns):
    """Add whole rows of a matrix to the profiles of those rows and of all columns.

    Args:
        values, bits: (rows · columns,) the same memory as floats and as unsigned integers.
        rows: Σx² float64; the largest |x| as twice its pattern without sign, uint64; zeros and non-finite, int64.
        columns: Σx² float64; the largest |x|, of the values' type; zeros and non-finite, int64. All added to.
    """
    width = columns[0].size
    for row in range(0, rows[0].size, 4):
        num_rows = min(4, rows[0].size - row)
        for start in range(0, width, PANEL):
            stop = min(start + PANEL, width)
            first = row * width + start
            _add_panel(values[first:], bits[first:], width, num_rows, row, rows, _between(columns, start, stop))


@_inner
def _widen(patterns, bits):
    for i in range(bits.size):
        bits[i] = np.uint32(patterns[i]) << np.uint32(16)


@_inner
def _look_up(patterns, value_of, values):
    for i in range(values.size):
        values[i] = value_of[patterns[i]]


def _pattern_signature(unsigned):
    scratch = types.Tuple([array(float32), array(uint32)])
    return array(unsigned, readonly=True), boolean, array(float32), scratch, *_sums(float32)


@kernel(_pattern_signature(uint8), _pattern_signature(uint16))
def profile_patterns(patterns, is_bfloat16, value_of, scratch, rows, columns):
    """As `profile`, of 8- or 16-bit patterns.

    Args: is_bfloat16: the patterns are the upper halves of float32. value_of: (256 or 65536,) else, their values.
        scratch: (4 · PANEL,) the same memory as float32 and as uint32.
    """
    width = columns[0].size
    values, bits = scratch
    for row in range(0, rows[0].size, 4):
        num_rows = min(4, rows[0].size - row)
        for start in range(0, width, PANEL):
            num_columns = min(PANEL, width - start)
            for k in range(num_rows):
                first, at = (row + k) * width + start, k * num_columns
                stretch = patterns[first : first + num_columns]
                if is_bfloat16:
                    _widen(stretch, bits[at : at + num_columns])
                else:
                    _look_up(stretch, value_of, values[at : at + num_columns])
            part = _between(columns, start, start + num_columns)
            _add_panel(values, bits, num_columns, num_rows, row, rows, part)
