"""The compiled loop of `engine.margins`, apart so that importing the engine does not import numba."""

from __future__ import annotations

import numpy as np
from numba import float32, float64, njit, types, uint16, uint32
from numba.extending import register_jitable

from engine.measures.compilation import array, compile_for, kernel

STRIP = 1024
"""Columns taken at once, so that their two sums stay in the first-level cache (16 KiB); chosen by us."""

_inner = njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@_inner
def _add_strip(values, sums, squares):
    """Add a stretch of one row to its columns. Returns: its own Σx and Σx²; NaN and ±Inf count as nothing."""
    total, total_square = 0.0, 0.0
    for i in range(values.size):
        value = np.float64(values[i])
        value = value if abs(value) < np.inf else 0.0
        total += value
        total_square += value * value
        sums[i] += value
        squares[i] += value * value
    return total, total_square


@register_jitable
def _add(values, row, start, rows, columns):
    stop = start + values.size
    total, square = _add_strip(values, columns[0][start:stop], columns[1][start:stop])
    rows[0][row] += total
    rows[1][row] += square


_SUMS = types.Tuple([array(float64), array(float64)])
NUMBER_SIGNATURES = tuple((array(kind, 2, readonly=True), _SUMS, _SUMS) for kind in (float32, float64))
BFLOAT16_SIGNATURES = ((array(uint16, 2, readonly=True), types.Tuple([array(float32), array(uint32)]), _SUMS, _SUMS),)


@kernel(*NUMBER_SIGNATURES)
def add_numbers(values, rows, columns):
    """Add a block of whole rows to the sums of those rows and of all columns.

    Args: values: (n, m). rows: Σx and Σx² of these rows, (n,) each. columns: of the columns, (m,) each. All added to.
    """
    for row in range(values.shape[0]):
        for start in range(0, values.shape[1], STRIP):
            _add(values[row, start : start + STRIP], row, start, rows, columns)


@kernel(*BFLOAT16_SIGNATURES)
def add_bfloat16(patterns, scratch, rows, columns):
    """As `add_numbers`, of bfloat16 given as bit patterns. Args: scratch: (STRIP,) one memory as float32 and uint32."""
    values, bits = scratch
    for row in range(patterns.shape[0]):
        for start in range(0, patterns.shape[1], STRIP):
            stretch = patterns[row, start : start + STRIP]
            for i in range(stretch.size):
                bits[i] = np.uint32(stretch[i]) << np.uint32(16)
            _add(values[: stretch.size], row, start, rows, columns)


def compile_kernels() -> None:
    """All versions, compiled or loaded: in one order, which the cache on disk relies on."""
    for compiled, signatures in ((add_numbers, NUMBER_SIGNATURES), (add_bfloat16, BFLOAT16_SIGNATURES)):
        compile_for(compiled, *signatures)
