"""The Gram matrix of the smaller side, summed up block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import blas

from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.sources.base import ByteCallback

BLOCK_BYTES, LEAST_LINES = 4 << 20, 256
"""Of a block in working precision: it stays in the cache between conversion and multiplication; and of at least so many
lines that the multiplication is worth a pass over the Gram matrix. Chosen by us; 1 to 16 MiB cost about the same."""


@dataclass(frozen=True, eq=False)
class Gram:
    """The smaller of W·Wᵀ and Wᵀ·W.

    Attributes:
        matrix: (s, s), its lower triangle; s = min(rows, columns).
        row_squares, column_squares: (rows,), (columns,) float64, the squared norms of W's rows and columns.
    """

    matrix: np.ndarray
    row_squares: np.ndarray
    column_squares: np.ndarray


def folded(array: np.ndarray) -> np.ndarray:
    """The tensor as one matrix: the first dimension by all others (`engine.folding`); no copy.

    A convolution (out, in, kh, kw) becomes (out, in·kh·kw): one spectrum, that of the map from a patch to the output.
    WeightWatcher takes one matrix for each kernel position instead and pools their eigenvalues, so that the numbers of
    convolutions do not compare with its; those of plain matrices do.

    Raises: MeasureError for complex numbers.
    """
    if array.dtype.kind == "c":
        raise MeasureError(f"Spectra are taken of real numbers, got {array.dtype}.", "Look at its two parts apart.")
    return array.reshape(matrix_shape(array.shape))


def gram(matrix: np.ndarray, dtype: type, on_bytes: ByteCallback | None = None) -> Gram:
    """Sum up the Gram matrix, reading every weight once and holding one block of them in working precision.

    Args:
        matrix: (rows, cols), of any real type, memory-mapped or not. dtype: float64 or float32, to work in.
        on_bytes: called after each block with its stored bytes; may raise Cancelled.
    Returns: NaN and ±Inf of W appear on the diagonal and in the squared norms.
    """
    rows, columns = matrix.shape
    is_tall = columns <= rows
    side, length = min(rows, columns), max(rows, columns)
    multiply = blas.dsyrk if dtype is np.float64 else blas.ssyrk
    total = np.zeros((side, side), dtype, order="F")
    squares = np.zeros(length)
    for start, block in blocks(matrix, dtype, on_bytes):
        # Both kinds of block are C-contiguous; their transposes are what Fortran's routine takes without a copy.
        total = multiply(1.0, block.T, beta=1.0, c=total, trans=0 if is_tall else 1, lower=1, overwrite_c=1)
        axis = "ij,ij->i" if is_tall else "ij,ij->j"
        stop = start + block.shape[0 if is_tall else 1]
        squares[start:stop] = np.einsum(axis, block, block, dtype=np.float64)
    small = np.diag(total).astype(np.float64)
    return Gram(total, squares, small) if is_tall else Gram(total, small, squares)


def blocks(
    matrix: np.ndarray, dtype: type, on_bytes: ByteCallback | None = None, least_lines: int = LEAST_LINES
) -> Iterator[tuple[int, np.ndarray]]:
    """The matrix in strips across its longer side, each C-contiguous in working precision, with where it begins.

    A strip is valid until the next one is asked for: all share one piece of memory, which the processor then knows.
    """
    rows, columns = matrix.shape
    is_tall, side, length = columns <= rows, min(rows, columns), max(rows, columns)
    step = min(length, max(least_lines, BLOCK_BYTES // max(1, side * np.dtype(dtype).itemsize)))
    room = np.empty(side * step, dtype)
    for start in range(0, length, step):
        part = matrix[start : start + step] if is_tall else matrix[:, start : start + step]
        block = room[: part.size].reshape(part.shape)
        with np.errstate(invalid="ignore", over="ignore"):
            np.copyto(block, part, casting="unsafe")
        yield start, block
        if on_bytes is not None:
            on_bytes(part.nbytes)


def apply(matrix: np.ndarray, directions: np.ndarray, check: ByteCallback | None = None) -> np.ndarray:
    """The Gram matrix times some directions, without ever forming it, in one pass: (side, k) -> (side, k) float64."""
    result = np.zeros_like(directions)
    is_tall = matrix.shape[1] <= matrix.shape[0]
    for _, block in blocks(matrix, np.float64, check):
        result += block.T @ (block @ directions) if is_tall else block @ (block.T @ directions)
    return result
