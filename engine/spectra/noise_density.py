"""The shape of the bulk: how the eigenvalues of noise are spread below its edge."""

from __future__ import annotations

import numpy as np

GROUPS = 64
"""Rows (and columns) are taken together in so many groups of neighbouring norms; more change no pixel; ours."""

STEPS = 32
"""Steps in which the imaginary part comes down to the last one; each begins where the one before it ended."""

SMOOTHING = 1e-3
"""The last imaginary part, as a part of λ: narrower than a bar of a histogram on a logarithmic axis; ours."""


def bulk_density(row_squares: np.ndarray, column_squares: np.ndarray, eigenvalues: np.ndarray) -> np.ndarray:
    """The density of the eigenvalues λ = σ² of Gaussian noise whose rows and columns have these norms.

    Of the smaller Gram matrix: −Im m(z)/π /k for z = λ + iη, with k·m = Σ 1/(…) as in `noise.scaled_edge`: p·z =
    Σ aᵢ/(1 − aᵢq), q·z = Σ bⱼ/(1 − bⱼp), solved by Newton's method from far above the real axis downwards. Equal norms
    give the Marchenko-Pastur law.

    Args: row_squares: (rows,), column_squares: (columns,) float64, Σx² of each. eigenvalues: (n,) float64, above 0.
    Returns: (n,) float64, at least 0, in 1/λ; its integral is 1, apart from singular values of exactly 0. NaN for a
        zero matrix.
    Source: as `noise.scaled_edge`; Marchenko & Pastur 1967.
    """
    energy = float(row_squares.sum())
    if not energy > 0:
        return np.full(len(eigenvalues), np.nan)
    short, long = sorted((row_squares, column_squares), key=len)
    unit = short.max() * (long.max() / energy)
    (a, a_times), (b, b_times) = (_grouped(squares / squares.max()) for squares in (short, long))
    x = np.asarray(eigenvalues, np.float64) / unit
    p = q = None
    for eta in np.geomspace(np.full(len(x), 10 * (x.max() + 1)), SMOOTHING * x, STEPS):
        z = x + 1j * eta
        if p is None:
            p, q = (a @ a_times) / z, (b @ b_times) / z
        for _ in range(4):
            p, q = _newton(z, p, q, (a, a_times), (b, b_times))
    for _ in range(12):
        p, q = _newton(z, p, q, (a, a_times), (b, b_times))
    trace = -((p * q * z) + a_times.sum()) / z
    return np.maximum(trace.imag, 0.0) / np.pi / len(short) / unit


def marchenko_pastur_density(num_rows: int, num_columns: int, energy: float, eigenvalues: np.ndarray) -> np.ndarray:
    """The density of the eigenvalues λ = σ² of noise equal in all entries; as `bulk_density`, in closed form.

    √((λ₊ − λ)(λ − λ₋)) / (2π s² k λ) between λ± = s²(√long ± √short)², k the shorter side, s² = energy/(rows·columns).

    Source: Marchenko & Pastur 1967.
    """
    short, long = sorted((num_rows, num_columns))
    variance = energy / num_rows / num_columns
    low, high = (variance * (np.sqrt(long) + sign * np.sqrt(short)) ** 2 for sign in (-1, 1))
    inside = np.maximum((high - eigenvalues) * (eigenvalues - low), 0.0)
    return np.sqrt(inside) / (2 * np.pi * variance * short * eigenvalues)


def _newton(z, p, q, rows, columns):
    """One step towards p·z = A(q), q·z = B(p), for every z at once.

    The wanted p and q lie below the real axis. A Newton step that leaves it is replaced by half a step of the fixed
    point's own iteration, which never does.
    """
    value_a, slope_a = _sums(rows, q)
    value_b, slope_b = _sums(columns, p)
    miss_p, miss_q = z * p - value_a, z * q - value_b
    determinant = z * z - slope_a * slope_b
    new_p = p - (miss_p * z + miss_q * slope_a) / determinant
    new_q = q - (miss_q * z + miss_p * slope_b) / determinant
    stays = (new_p.imag < 0) & (new_q.imag < 0)
    return np.where(stays, new_p, 0.5 * (p + value_a / z)), np.where(stays, new_q, 0.5 * (q + value_b / z))


def _sums(weighted: tuple[np.ndarray, np.ndarray], at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ w/(1 − w·at) and its derivative in `at`."""
    weights, times = weighted
    inverse = 1.0 / (1.0 - weights[:, None] * at)
    return (weights * times) @ inverse, (weights**2 * times) @ inverse**2


def _grouped(squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring norms taken together: (their means, how many)."""
    ordered = np.sort(squares[squares > 0])
    groups = np.array_split(ordered, min(GROUPS, len(ordered)))
    return np.array([group.mean() for group in groups]), np.array([float(len(group)) for group in groups])
