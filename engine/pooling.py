"""Signed-extreme pooling: a matrix shrunk so that no outlier is ever lost.

Every cell of the result is the entry of largest magnitude among those it covers, with its sign. A mean hides outliers
and a stride misses them; this keeps them all. NaN wins over ±Inf and ±Inf over every finite number, so that a single
broken weight stays visible at any zoom; of two entries of equal magnitude the positive one wins.

One rule gives all of it: in every IEEE format the bits below the sign order by magnitude, with Inf above the finite
numbers and NaN above Inf. Rotating the sign into the lowest bit (inverted, so that + wins) makes a key whose unsigned
maximum is the signed extreme. `engine.pooling_kernel` is one pass of such maxima, for 16-bit and for 32-bit keys.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import ml_dtypes
import numpy as np

BLOCK_ELEMENTS = 1 << 20
"""Elements converted at a time for types without a kernel; chosen by us: 4 MiB of float32."""

FLOAT32_MAX = float(np.finfo(np.float32).max)


class Blocks(NamedTuple):
    """How a window of a matrix is cut into cells of row_step × column_step entries, from its top left corner."""

    num_rows: int
    num_columns: int
    row_step: int
    column_step: int

    @property
    def shape(self) -> tuple[int, int]:
        return -(-self.num_rows // self.row_step), -(-self.num_columns // self.column_step)


class Pool:
    """Cells being pooled from row blocks that arrive in any order.

    Args:
        blocks: the window and its cells.
        dtype: type of the entries that will arrive (any numpy or `ml_dtypes` number).
    """

    def __init__(self, blocks: Blocks, dtype: np.dtype) -> None:
        self.blocks = blocks
        self._native = _native_type(np.dtype(dtype))
        self._keys = np.zeros(blocks.shape, _key_type(self._native))

    def add(self, block: np.ndarray, row: int, column: int) -> None:
        """Take in a block whose first entry lies at (row, column) of the window.

        Args:
            block: (n, m), of the type promised, any layout. Types without a kernel, and blocks whose rows are not
                contiguous, are copied piece by piece, so the copies stay small.
        """
        if not block.size:
            return
        if block.dtype == self._native and _has_whole_rows(block):
            self._add(block, row, column)
            return
        width = min(block.shape[1], BLOCK_ELEMENTS)
        height = max(1, BLOCK_ELEMENTS // width)
        for top in range(0, block.shape[0], height):
            for left in range(0, block.shape[1], width):
                piece = block[top : top + height, left : left + width]
                piece = piece if piece.dtype == self._native else as_float32(piece)
                self._add(np.require(piece, requirements=["C", "A"]), row + top, column + left)

    def _add(self, block: np.ndarray, row: int, column: int) -> None:
        bits = block.view(self._keys.dtype)
        stride = bits.strides[0] // bits.itemsize if len(bits) > 1 else bits.shape[1]
        span = (len(bits) - 1) * stride + bits.shape[1]
        # Read-only: one compiled signature for mapped and for ordinary arrays.
        flat = np.lib.stride_tricks.as_strided(bits, (span,), (bits.itemsize,), writeable=False)
        steps = self.blocks.row_step, self.blocks.column_step
        largest_keys, _, _ = _kernels()
        largest_keys(flat, bits.shape, stride, (row, column), steps, self._keys)

    def values(self) -> np.ndarray:
        """The cells: float32, shape `blocks.shape`. Ends the pool, whose memory they take over where they fit in."""
        keys = self._keys
        del self._keys
        _, turn_back, widen_back = _kernels()
        if self._native == ml_dtypes.bfloat16:
            values = np.empty(keys.shape, np.float32)
            widen_back(keys.reshape(-1), values.view(np.uint32).reshape(-1))
            return values
        turn_back(keys.reshape(-1))
        return keys.view(self._native).astype(np.float32, copy=False)


def pool(matrix: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrink a matrix to at most height × width cells of the signed extreme.

    Cells cover ⌈rows / height⌉ × ⌈columns / width⌉ entries (fewer at the lower and right border), so every cell has the
    same size and the result may be smaller than asked; a matrix that already fits is returned as it is, as float32.

    Args:
        matrix: (rows, columns), any number type; complex entries count by their magnitude.
        height, width: the largest result wanted, at least 1 each.
    Returns: float32, at most (height, width); an empty matrix gives an empty result. 64-bit entries are rounded, and
        finite ones beyond float32 become its largest number rather than Inf.
    """
    blocks = cells(matrix.shape[0], matrix.shape[1], height, width)
    if blocks.row_step == blocks.column_step == 1:
        return as_float32(matrix)
    pooled = Pool(blocks, matrix.dtype)
    pooled.add(matrix, 0, 0)
    return pooled.values()


def cells(num_rows: int, num_columns: int, height: int, width: int) -> Blocks:
    """The smallest whole steps with which num_rows × num_columns entries fit into height × width cells."""
    return Blocks(num_rows, num_columns, max(1, -(-num_rows // height)), max(1, -(-num_columns // width)))


def _has_whole_rows(block: np.ndarray) -> bool:
    """Whether each row lies entry by entry, the next one after it: as in a mapped matrix, or some columns of one."""
    between, along = block.strides
    is_in_order = len(block) == 1 or (between >= block.shape[1] * block.itemsize and between % block.itemsize == 0)
    return is_in_order and (along == block.itemsize or block.shape[1] == 1) and block.flags.aligned


def _native_type(dtype: np.dtype) -> np.dtype:
    """The type the kernel works in: 16-bit floats as they are, everything else as float32."""
    is_half = dtype in (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
    return dtype if is_half and dtype.isnative else np.dtype(np.float32)


def _key_type(native: np.dtype) -> np.dtype:
    return np.dtype(f"u{native.itemsize}")


def as_float32(values: np.ndarray) -> np.ndarray:
    """Values as float32; complex ones by magnitude, finite ones never turned into Inf."""
    if values.dtype.kind == "c":
        values = np.abs(values)
    if values.dtype.kind == "f" and values.dtype.itemsize > 4:
        values = np.where(np.isfinite(values), np.clip(values, -FLOAT32_MAX, FLOAT32_MAX), values)
    return values.astype(np.float32)


@cache
def _kernels():
    """The compiled kernels; numba is imported (half a second) only when something is pooled, and its code is cached."""
    from engine.pooling_kernel import compiled_kernels

    return compiled_kernels()
