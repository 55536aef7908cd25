"""The compiled loops of `engine.pooling`, apart so that importing the engine does not import numba.

A cell is folded twice: first its rows onto each other, entry by entry, which is as fast as reading the memory; then the
one line that is left, by halves where it can be halved. Folding each row of a cell by itself costs three times as much.
"""

from __future__ import annotations

import numpy as np
from numba import int64, njit, types, uint16, uint32
from numba.extending import overload

from engine.measures.compilation import array, compile_for, kernel

STRIP = 8192
"""Columns folded at a time, so that what is being folded stays in the nearest caches; the best of 1024 to 65536."""

TOGETHER = 4
"""Rows folded at a time where rows are long."""

LONG_ROW_BYTES = 8192
"""Shorter rows are folded one by one: memory is then read in the order in which it lies, which counts for more."""

_inner = njit(nogil=True, error_model="numpy")
"""Loops that the compiler turns into whole vectors; written into the kernel itself, most of them would stay scalar."""


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


@_inner
def _lay(line, bits, at):
    """The keys of the entries from `at` on."""
    for c in range(np.uint64(line.size)):
        line[c] = magnitude_key(bits[at + c])


@_inner
def _lay_together(line, bits, at, stride):
    """The larger keys of `TOGETHER` rows."""
    second, third, fourth = at + stride, at + stride + stride, at + stride + stride + stride
    for c in range(np.uint64(line.size)):
        upper = max(magnitude_key(bits[at + c]), magnitude_key(bits[second + c]))
        lower = max(magnitude_key(bits[third + c]), magnitude_key(bits[fourth + c]))
        line[c] = max(upper, lower)


@_inner
def _raise(line, bits, at):
    """The larger of the line and one more row's keys."""
    for c in range(np.uint64(line.size)):
        line[c] = max(line[c], magnitude_key(bits[at + c]))


@_inner
def _raise_together(line, bits, at, stride):
    second, third, fourth = at + stride, at + stride + stride, at + stride + stride + stride
    for c in range(np.uint64(line.size)):
        upper = max(magnitude_key(bits[at + c]), magnitude_key(bits[second + c]))
        lower = max(magnitude_key(bits[third + c]), magnitude_key(bits[fourth + c]))
        line[c] = max(line[c], max(upper, lower))


@_inner
def _rows_folded(line, bits, at, stride, num_rows):
    """Fill the line with the largest key of each column, over `num_rows` ≥ 1 rows `stride` apart."""
    done = 1
    if num_rows >= TOGETHER and stride * line.itemsize > LONG_ROW_BYTES:
        _lay_together(line, bits, at, stride)
        done = TOGETHER
        while done + TOGETHER <= num_rows:
            _raise_together(line, bits, at + np.uint64(done) * stride, stride)
            done += TOGETHER
    else:
        _lay(line, bits, at)
    for row in range(done, num_rows):
        _raise(line, bits, at + np.uint64(row) * stride)


@_inner
def _halved(line, half):
    for c in range(half.size):
        half[c] = max(line[2 * c], line[2 * c + 1])


@_inner
def _larger(one, other, result):
    for c in range(result.size):
        result[c] = max(one[c], other[c])


@_inner
def _taken(one, other, step, result):
    """The larger of every step-th of both."""
    at = np.uint64(0)
    for c in range(result.size):
        result[c] = max(one[at], other[at])
        at += np.uint64(step)


@_inner
def _columns_folded(line, spare, step, num_cells):
    """Fold `num_cells` runs of `step` keys to one key each; both arguments are overwritten.

    Halves while the step is even. Of an odd rest, the maximum over windows of 1, 2, 4, … keys at every place, and at
    last over two that overlap: log₂ passes over memory side by side, whatever the step.

    Args: line, spare: (n,), n ≥ (num_cells + 1) · step. Returns: that of the two which begins with the result.
    """
    while step % 2 == 0:
        step //= 2
        _halved(line, spare[: num_cells * step])
        line, spare = spare, line
    if step == 1:
        return line
    total, window = num_cells * step, 1
    while 2 * window <= step:
        line[total : total + step] = 0
        _larger(line[:total], line[window : total + window], spare[:total])
        line, spare = spare, line
        window *= 2
    line[total : total + step] = 0
    _taken(line, line[step - window :], step, spare[:num_cells])
    return spare


@_inner
def _raise_cells(cells, keys):
    for c in range(cells.size):
        cells[c] = max(cells[c], keys[c])


@_inner
def _largest(line):
    largest = line[0]
    for c in range(line.size):
        largest = max(largest, line[c])
    return largest


PAIR = types.UniTuple(int64, 2)

SIGNATURES = tuple((array(bits, readonly=True), PAIR, int64, PAIR, PAIR, array(bits, 2)) for bits in (uint32, uint16))


@kernel(*SIGNATURES)
def largest_keys(bits, shape, stride, place, steps, keys):
    """Raise each cell of `keys` to the largest key among the entries it covers; one pass over a block.

    Args:
        bits: (n,) uint16 or uint32, the entries' bit patterns from the block's first to its last.
        shape: rows and columns of the block, at least 1 each. stride: from one row to the next, in entries.
        place: row and column of bits[0] in the window. steps: rows and columns a cell covers.
        keys: (h, w), the type of `bits`: cells so far, 0 at first; changed in place.
    """
    room = np.empty((2, 2 * min(STRIP, shape[1] + 2 * steps[1])), keys.dtype)
    top = 0
    while top < shape[0]:
        cell_row = (place[0] + top) // steps[0]
        num_rows = min(shape[0], (cell_row + 1) * steps[0] - place[0]) - top
        left = 0
        while left < shape[1]:
            cell = (place[1] + left) // steps[1]
            before = place[1] + left - cell * steps[1]  # entries of the cell that lie to the left of the block
            at = np.uint64(top * stride + left)
            if steps[1] > STRIP:  # the strip lies in one cell
                width = min(shape[1] - left, min(STRIP, steps[1] - before))
                line = room[0, :width]
                _rows_folded(line, bits, at, np.uint64(stride), num_rows)
                keys[cell_row, cell] = max(keys[cell_row, cell], _largest(line))
            else:  # whole cells, filled up with 0 at both ends
                width = min(shape[1] - left, STRIP // steps[1] * steps[1] - before)
                num_cells = (before + width + steps[1] - 1) // steps[1]
                room[0, :before] = 0
                room[0, before + width : num_cells * steps[1]] = 0
                _rows_folded(room[0, before : before + width], bits, at, np.uint64(stride), num_rows)
                folded = _columns_folded(room[0], room[1], steps[1], num_cells)
                _raise_cells(keys[cell_row, cell : cell + num_cells], folded)
            left += width
        top += num_rows


def entry_bits(key):
    """The inverse of `magnitude_key`."""
    raise NotImplementedError("only for compiled code")


@overload(entry_bits)
def _compiled_bits(key):
    if key == types.uint16:
        return lambda key: np.uint16(np.uint16(key >> np.uint16(1)) | np.uint16((key ^ np.uint16(1)) << np.uint16(15)))
    if key == types.uint32:
        return lambda key: np.uint32(np.uint32(key >> np.uint32(1)) | np.uint32((key ^ np.uint32(1)) << np.uint32(31)))
    return None


TURNED = tuple((array(bits),) for bits in (uint32, uint16))


@kernel(*TURNED)
def turn_back(keys):
    """Each key turned into the bits of its entry, in place."""
    for c in range(keys.size):
        keys[c] = entry_bits(keys[c])


WIDENED = ((array(uint16), array(uint32)),)


@kernel(*WIDENED)
def widen_back(keys, bits):
    """The bits of the entries of bfloat16 keys, as float32: (n,) uint16 into (n,) uint32."""
    for c in range(keys.size):
        bits[c] = np.uint32(entry_bits(keys[c])) << np.uint32(16)


def compiled_kernels():
    """All three, compiled or loaded: in one order, which the cache on disk relies on."""
    for function, signatures in ((largest_keys, SIGNATURES), (turn_back, TURNED), (widen_back, WIDENED)):
        compile_for(function, *signatures)
    return largest_keys, turn_back, widen_back
