"""The compiled loop of `engine.pooling`, apart so that importing the engine does not import numba."""

from __future__ import annotations

import numpy as np
from numba import int64, types, uint16, uint32
from numba.extending import overload

from engine.measures.compilation import array, kernel

STRIP = 4096
"""Columns accumulated at a time, so that the accumulators stay in the first-level cache (16 KiB); chosen by us."""


def magnitude_key(bits):
    """The sign bit moved to the lowest place and inverted: larger keys are larger magnitudes, + before −."""
    raise NotImplementedError("only for compiled code")


@overload(magnitude_key)
def _compiled_key(bits):
    """One version per width: with constant shifts and narrow types the loop runs on whole vectors (twice the speed)."""
    if bits == types.uint16:
        return lambda bits: np.uint16(np.uint16(bits << np.uint16(1)) | np.uint16(bits >> np.uint16(15))) ^ np.uint16(1)
    if bits == types.uint32:
        return lambda bits: np.uint32(np.uint32(bits << np.uint32(1)) | np.uint32(bits >> np.uint32(31))) ^ np.uint32(1)
    return None


SIGNATURES = tuple(
    (array(bits, 2, readonly=True), int64, int64, int64, int64, array(bits, 2)) for bits in (uint32, uint16)
)


@kernel(*SIGNATURES)
def largest_keys(bits, row, column, row_step, column_step, keys):
    """Raise each cell of `keys` to the largest key among the entries it covers; one pass over `bits`.

    Args:
        bits: (n, m) uint16 or uint32, C order: the entries' bit patterns.
        row, column: place of bits[0, 0] in the window. row_step, column_step: entries a cell covers.
        keys: (h, w), the type of `bits`: cells so far, 0 at first; changed in place.
    """
    strip = np.empty(STRIP, keys.dtype)
    top = 0
    while top < bits.shape[0]:
        cell_row = (row + top) // row_step
        bottom = min(bits.shape[0], (cell_row + 1) * row_step - row)
        for left in range(0, bits.shape[1], STRIP):
            width = min(STRIP, bits.shape[1] - left)
            largest = strip[:width]
            largest[:] = 0
            for i in range(top, bottom):
                entries = bits[i, left : left + width]
                for c in range(width):
                    largest[c] = max(largest[c], magnitude_key(entries[c]))
            place = column + left
            cell, c = place // column_step, 0
            end = min(width, (cell + 1) * column_step - place)
            while c < width:
                key = keys[cell_row, cell]
                for k in range(c, end):
                    key = max(key, largest[k])
                keys[cell_row, cell] = key
                cell, c, end = cell + 1, end, min(width, end + column_step)
        top = bottom


def compiled_kernel():
    """`largest_keys`, with all its versions compiled or loaded: in one order, which the cache on disk relies on."""
    for signature in SIGNATURES:
        try:
            largest_keys.compile(signature)
        except OSError:  # the code is in place, only a full or read-only disk could not keep it for the next process
            if signature not in largest_keys.overloads:
                raise
    return largest_keys
