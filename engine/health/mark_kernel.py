"""The compiled loop of `engine.health.marks`: hashes of lines, subnormal and largest entries, in one pass."""

from __future__ import annotations

import numpy as np
from numba import int64, uint8, uint16, uint32, uint64

from engine.measures.compilation import array, kernel

_BITS = (uint8, uint16, uint32, uint64)


@kernel(
    *(
        (
            array(bits, 2, readonly=True),
            int64,
            array(uint64),
            array(uint64),
            array(uint64),
            array(uint64),
            array(uint64),
        )
        for bits in _BITS
    )
)
def mark(bits, first_row, row_weights, column_weights, row_hashes, column_hashes, counts):
    """Add a block's rows to the marks.

    A line's hash is Σ (xᵢ + 1) · wᵢ modulo 2⁶⁴ over its bit patterns xᵢ with odd random weights wᵢ.

    Args:
        bits: (n, m) patterns. first_row: the number of its first row.
        row_weights: (rows,) and column_weights: (m,) random odd numbers.
        row_hashes: (rows,), column_hashes: (m,); added to.
        counts: [0] mask of the magnitude, [1] smallest normal pattern, [2] largest finite pattern; all 0 where the type
            has no such; [3] subnormal entries and [4] entries of the largest magnitude; the last two are added to.
    """
    mask, normal, most = counts[0], counts[1], counts[2]
    one = np.uint64(1)
    num_subnormal, num_most = np.uint64(0), np.uint64(0)
    for i in range(bits.shape[0]):
        row_weight, total = row_weights[first_row + i], np.uint64(0)
        for j in range(bits.shape[1]):
            pattern = np.uint64(bits[i, j])
            total += (pattern + one) * column_weights[j]
            column_hashes[j] += (pattern + one) * row_weight
            magnitude = pattern & mask
            num_subnormal += np.uint64((magnitude - one < normal - one) & (normal > 0))
            num_most += np.uint64((magnitude == most) & (most > 0))
        row_hashes[first_row + i] = total
    counts[3] += num_subnormal
    counts[4] += num_most
