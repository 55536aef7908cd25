"""The two circuits of a head, from their thin factors: the big matrices are never made to measure them.

A head moves information from one position to another. Its QK circuit says where it looks, its OV circuit what it
carries. With a linear layer's weights, y = W·x, and everything in one head,

    QK = W_Qᵀ W_K   (model × model): query vector x and key vector y score xᵀ QK y (before the scaling by 1/√d),
    OV = W_O W_V    (model × model): what head output is added for a vector x that is looked at.

Both have rank at most d, the width of the head. They leave out biases, the norm before the attention, and norms of
queries and keys. With rotary positions QK holds between tokens at the same position: at a distance, a rotation stands
between its factors.

Source: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (who write rows for our columns).
"""

from __future__ import annotations

import contextlib

import numpy as np

from engine.pooling import Blocks, Pool, cells

BLOCK_BYTES = 8 << 20
"""Of the product made at a time for a picture; chosen by us."""

LARGEST_CONDITION = 1e3
"""σ₁/σ_d of a factor up to which its triangle is taken from its Gram matrix."""


def product_singular_values(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Singular values of left @ right, without making it: `joined_singular_values` of the factors' triangles.

    Args: left: (m, d). right: (d, n). Any float type; computed in float64.
    Returns: (min(d, m, n),), falling; all NaN if an entry is not finite. The product's other min(m, n) − d are zero.
    """
    return joined_singular_values(triangle(left), triangle(right.T))


def triangle(tall: np.ndarray) -> np.ndarray:
    """R of a thin QR factorisation, up to signs of rows: RᵀR = AᵀA, which holds all that a product's size depends on.

    Taken from the Gram matrix AᵀA by Cholesky, six times faster than by QR, where that costs no accuracy: an error ε of
    the Gram matrix moves singular value σ by ε·σ₁² / 2σ, which is 1e-13·σ₁ at `LARGEST_CONDITION`. Else by QR.

    Args: tall: A, (n, d). Returns: (min(n, d), d) float64; NaN where an entry of A is not finite.
    """
    tall = np.asarray(tall, np.float64)
    if not np.isfinite(tall).all():
        return np.full((min(tall.shape), tall.shape[1]), np.nan)
    if tall.shape[0] >= tall.shape[1]:
        with contextlib.suppress(np.linalg.LinAlgError):  # not positive definite: rank-deficient, or nearly
            found = np.linalg.cholesky(tall.T @ tall).T
            sigma = np.linalg.svd(found, compute_uv=False)
            if np.isfinite(sigma).all() and sigma[0] < LARGEST_CONDITION * sigma[-1]:
                return found
    return np.linalg.qr(tall, mode="r")


def joined_singular_values(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Singular values of A Bᵀ from the triangles of A and B: with A = Q₁R₁ and B = Q₂R₂ those of R₁R₂ᵀ.

    Args: first: R₁, (a, d). second: R₂, (b, d). Returns: (min(a, b),), falling; all NaN if an entry is not finite.
    """
    core = first @ second.T
    if not np.isfinite(core).all():
        return np.full(min(core.shape), np.nan)
    return np.linalg.svd(core, compute_uv=False)


def frobenius_norm(singular: np.ndarray) -> float:
    """√Σσ², which is the root of the sum of all squared entries."""
    return float(np.sqrt(np.sum(np.square(singular))))


def stable_rank(singular: np.ndarray) -> float:
    """Σσ² / σ₁²: how many directions as strong as the strongest would carry the energy.

    Returns: 1 … the number of singular values; NaN for a zero matrix. Source: Rudelson & Vershynin 2007.
    """
    return float(np.sum(np.square(singular / singular[0]))) if singular.size and singular[0] > 0 else np.nan


def effective_rank(singular: np.ndarray) -> float:
    """exp(−Σ p ln p) with p = σ / Σσ: how many directions are used, each by its share.

    Returns: 1 … the number of singular values; NaN for a zero matrix. Source: Roy & Vetterli 2007.
    """
    total = np.sum(singular)
    if not total > 0:
        return np.nan
    shares = singular[singular > 0] / total
    return float(np.exp(-np.sum(shares * np.log(shares))))


def copying(value: np.ndarray, output: np.ndarray) -> float:
    """Σ Re λ / Σ |λ| over the eigenvalues of OV: 1 where the head adds to a token more of what it is, −1 where it takes
    it away, 0 where it turns it into something else.

    Eigenvalues of W_O W_V other than zero are those of the small W_V W_O. This is the copying score of Elhage et al. in
    the residual stream itself, without embedding and unembedding.

    Args: value: W_V, (d, n). output: W_O, (m, d).
    Returns: −1 … 1; NaN if n ≠ m (the head reads another stack than it writes), for a zero or nilpotent circuit, and if
        an entry is not finite.
    """
    if value.shape[1] != output.shape[0]:
        return np.nan
    small = np.asarray(value, np.float64) @ np.asarray(output, np.float64)
    if not np.isfinite(small).all():
        return np.nan
    eigenvalues = np.linalg.eigvals(small)
    total = np.abs(eigenvalues).sum()
    scale = np.linalg.norm(small)
    return float(np.clip(eigenvalues.real.sum() / total, -1, 1)) if total > 1e-12 * scale else np.nan


def pooled_product(left: np.ndarray, right: np.ndarray, size: int = 256) -> tuple[np.ndarray, int, int]:
    """left @ right as a picture: at most size × size cells of the signed extreme; the product is made in row blocks.

    Args: left: (m, d). right: (d, n).
    Returns: (cells, float32; rows per cell; columns per cell).
    """
    rows, columns = left.shape[0], right.shape[1]
    if rows == 0 or columns == 0:
        return np.zeros((rows, columns), np.float32), 1, 1
    blocks: Blocks = cells(rows, columns, size, size)
    pool = Pool(blocks, np.dtype(np.float32))
    step = max(1, BLOCK_BYTES // (8 * columns))
    for start in range(0, rows, step):
        pool.add((left[start : start + step] @ right).astype(np.float32), start, 0)
    return pool.values(), blocks.row_step, blocks.column_step
