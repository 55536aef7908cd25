"""The largest singular values of a matrix that is too large for all of them, with how far each may be off."""

from __future__ import annotations

import numpy as np

from engine.sources.base import ByteCallback
from engine.spectra.gram import apply, blocks
from engine.spectra.results import SingularValues
from engine.spectra.singular_values import check_energy

WIDTH, DEPTH = 32, 4
"""Random directions, and how often the matrix is applied to them; chosen by us: six passes in all; values that
stand well out of the bulk have errors below 1e-3, those within it of some per cent."""


def leading_values(
    matrix: np.ndarray, number: int, seed: int = 0, on_bytes: ByteCallback | None = None
) -> SingularValues:
    """Estimates of the largest singular values by a randomised block Krylov method.

    The directions V₀ (random), G·V₀, …, G⁴·V₀ with G the smaller Gram matrix span a space in which G is decomposed
    (Rayleigh-Ritz). An estimate θ of λ = σ² is never above the true one. With r = ‖G·v − θ·v‖ some eigenvalue lies
    within r of θ; so the relative error of √θ is at most r/θ, the error given here.

    Args:
        matrix: (rows, cols), any real type. number: how many values. seed: of the random directions.
        on_bytes: told of bytes as they are read, in all passes together as many as are stored; may raise Cancelled.
    Returns: values descending, errors of each. Those that lie in the bulk, close together, have large errors.
    Raises: MeasureError if the matrix holds NaN or ±Inf.
    Source: Musco & Musco 2015, arXiv 1504.05477; Halko, Martinsson & Tropp 2011, SIAM Review 53(2); the bound:
        Parlett, The Symmetric Eigenvalue Problem, theorem 4.5.1.
    """
    check = None if on_bytes is None else lambda num_bytes: on_bytes(num_bytes // (DEPTH + 2))
    row_squares, column_squares = _squares(matrix, check)
    check_energy(matrix, row_squares)
    side = min(matrix.shape)
    width = min(WIDTH, side)
    directions = np.linalg.qr(np.random.default_rng(seed).standard_normal((side, width)))[0]
    spaces = [directions]
    for _ in range(DEPTH):
        directions = np.linalg.qr(apply(matrix, directions, check))[0]
        spaces.append(directions)
    basis = np.linalg.qr(np.hstack(spaces)[:, :side])[0]
    image = apply(matrix, basis, check)
    ritz, rotation = np.linalg.eigh(basis.T @ image)
    order = np.argsort(ritz)[::-1][: min(number, side)]
    theta = np.maximum(ritz[order], 0.0)
    residual = np.linalg.norm(image @ rotation[:, order] - basis @ (rotation[:, order] * ritz[order]), axis=0)
    rounding = side * np.finfo(np.float64).eps * theta[:1]
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(theta > 0, (residual + rounding) / theta, np.inf)
    return SingularValues(
        *matrix.shape,
        values=np.sqrt(theta),
        errors=errors,
        resolution=float(np.sqrt(theta[0]) * max(matrix.shape) * np.finfo(np.float64).eps),
        row_squares=row_squares,
        column_squares=column_squares,
    )


def _squares(matrix: np.ndarray, check: ByteCallback | None) -> tuple[np.ndarray, np.ndarray]:
    """Σx² of every row and of every column, in one pass."""
    rows, columns = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
    is_tall = matrix.shape[1] <= matrix.shape[0]
    for start, block in blocks(matrix, np.float64, check):
        height, width = block.shape
        rows[start if is_tall else 0 :][:height] += np.einsum("ij,ij->i", block, block)
        columns[0 if is_tall else start :][:width] += np.einsum("ij,ij->j", block, block)
    return rows, columns
