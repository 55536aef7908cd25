"""All singular values of a matrix, from the Gram matrix of its smaller side."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from engine.errors import MeasureError
from engine.sources.base import ByteCallback
from engine.spectra.gram import blocks, gram
from engine.spectra.results import SingularValues
from engine.spectra.settings import Precision

UNRESOLVED = 1e-12
"""Where the smallest eigenvalue is below this part of the largest, the Gram matrix has lost it: squaring leaves
singular values right to about 1e-16·σ₁²/σ, which is 1e-10·σ₁ at σ = 1e-6·σ₁. The matrix is then reduced by QR, which
squares nothing. None of MiniLM's 39 matrices needs it, whose conditions go up to 8e4."""

PANEL = 16
"""Columns that the reduction to a tridiagonal matrix takes together; measured: a tenth faster than 32 at 384."""

SAFE_ENERGY, SAFE_ENERGY_32 = (1e-250, 1e300), (1e-20, 1e30)
"""Between these Σx² neither the squares nor their sums leave the numbers of float64, and of float32."""


def singular_values(
    matrix: np.ndarray, precision: Precision = "float64", on_bytes: ByteCallback | None = None
) -> SingularValues:
    """Every singular value, right to about 1e-10 of the largest in float64.

    G = WᵀW or WWᵀ, whichever is smaller, symmetric rank-k update block by block; σ = √eig(G).

    Args:
        matrix: (rows, cols), any real type, memory-mapped or not, not empty. precision: see `SpectrumSettings`.
        on_bytes: told of stored bytes as they are read; may raise Cancelled.
    Returns: values descending.
    Raises: MeasureError if the matrix holds NaN or ±Inf, or numbers whose squares float64 cannot hold.
    Source: Golub & Van Loan, Matrix Computations, sections 8.3 and 8.6; LAPACK's dsytrd and dsterf.
    """
    dtype = np.float64 if precision == "float64" else np.float32
    found = gram(matrix, dtype, on_bytes)
    if dtype is np.float32 and not SAFE_ENERGY_32[0] < found.row_squares.sum() < SAFE_ENERGY_32[1]:
        dtype, found = np.float64, gram(matrix, np.float64)
    check_energy(matrix, found.row_squares)
    values, is_resolved = _roots(found.matrix)
    resolution = values[0] * max(matrix.shape) * np.finfo(np.float64).eps
    if dtype is np.float32:
        resolution = max(resolution, values[0] * np.sqrt(len(values) * np.finfo(np.float32).eps))
    elif not is_resolved:
        values = _reduced(matrix)
    return SingularValues(
        *matrix.shape,
        values=values,
        errors=np.zeros(0),
        resolution=float(resolution),
        row_squares=found.row_squares,
        column_squares=found.column_squares,
    )


def _roots(lower: np.ndarray) -> tuple[np.ndarray, bool]:
    """The roots of a Gram matrix's eigenvalues, descending, and whether the smallest one is more than rounding.

    Rows and columns of zeros are taken out first: they are singular values of exactly 0, and hide no other one.
    """
    alive = np.flatnonzero(np.diag(lower) > 0)
    values = np.zeros(len(lower))
    if len(alive) == 0:
        return values, True
    kept = lower if len(alive) == len(lower) else np.asfortranarray(lower[np.ix_(alive, alive)])
    eigenvalues = _eigenvalues(kept)
    values[: len(alive)] = np.sqrt(np.maximum(eigenvalues[::-1], 0.0))
    return values, bool(eigenvalues[0] > UNRESOLVED * eigenvalues[-1])


def _eigenvalues(lower: np.ndarray) -> np.ndarray:
    """Ascending eigenvalues of a symmetric matrix, which is overwritten: to a tridiagonal one, then by QL.

    What LAPACK's drivers do for values alone, without their scaling and searching: a sixth faster at 384.

    Raises: MeasureError if QL does not converge.
    """
    if len(lower) == 1:
        return lower[0]
    if lower.dtype == np.float64:
        tridiagonal, iterate = lapack.dsytrd, lapack.dsterf
    else:
        tridiagonal, iterate = lapack.ssytrd, lapack.ssterf
    _, diagonal, beside, _, _ = tridiagonal(lower, lower=1, lwork=PANEL * len(lower), overwrite_a=1)
    values, failed = iterate(diagonal, beside)
    if failed:
        raise MeasureError(f"Its decomposition did not converge ({failed} eigenvalues are missing).")
    return values


def _reduced(matrix: np.ndarray) -> np.ndarray:
    """Singular values by QR, block by block, then of the triangle: twice to four times the work, and no squaring.

    Source: Demmel, Grigori, Hoemmen & Langou 2012, SIAM J. Sci. Comput. 34(1), the sequential "tall-skinny QR".
    """
    is_tall = matrix.shape[1] <= matrix.shape[0]
    triangle = np.zeros((0, min(matrix.shape)))
    for _, block in blocks(matrix, np.float64, least_lines=min(matrix.shape)):
        triangle = np.linalg.qr(np.vstack([triangle, block if is_tall else block.T]), mode="r")
    return np.linalg.svd(triangle, compute_uv=False)


def check_energy(matrix: np.ndarray, squares: np.ndarray) -> None:
    """Raises MeasureError if a matrix with these Σx² has no spectrum: NaN, ±Inf, or numbers whose squares are none."""
    energy = squares.sum()
    if SAFE_ENERGY[0] < energy < SAFE_ENERGY[1]:
        return
    num_bad, largest = 0, 0.0
    for _, block in blocks(matrix, np.float64):
        is_finite = np.isfinite(block)
        num_bad += block.size - int(np.count_nonzero(is_finite))
        largest = max(largest, float(np.abs(block, where=is_finite, out=np.zeros_like(block)).max()))
    if num_bad:
        raise MeasureError(f"It has {num_bad:,} NaN or infinite values: no singular values are defined.")
    if largest > 0:
        raise MeasureError(f"Its largest magnitude is {largest:.3g}: the squares leave the range of float64.")
