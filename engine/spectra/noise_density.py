"""The shape of the bulk: how the eigenvalues of noise are spread below its edge."""

from __future__ import annotations

import math

import numpy as np
from numba import float64
from numba.extending import register_jitable

from engine.measures.compilation import array, kernel

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
    x = np.ascontiguousarray(eigenvalues, np.float64) / unit
    return _density(a, a_times, b, b_times, x) / (len(short) * unit)


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


@register_jitable
def _sums(weights, times, at):
    """Σ w/(1 − w·at), each so many times, and its derivative in `at`."""
    value = slope = 0j
    for i in range(weights.size):
        term = weights[i] / (1.0 - weights[i] * at)
        value += times[i] * term
        slope += times[i] * term * term
    return value, slope


@kernel((array(float64),) * 5)
def _density(a, a_times, b, b_times, places):
    """−Im Σ 1/(…)/π at every place, of noise with variances aᵢ·bⱼ.

    The wanted p and q lie below the real axis. A Newton step that leaves it is replaced by half a step of the fixed
    point's own iteration, which never does.
    """
    result = np.empty(places.size)
    highest = 10.0 * (places.max() + 1.0)
    for k in range(places.size):
        x = places[k]
        ratio = (SMOOTHING * x / highest) ** (1.0 / (STEPS - 1))
        eta = highest
        z = complex(x, eta)
        p, q = np.sum(a * a_times) / z, np.sum(b * b_times) / z
        for step in range(STEPS):
            z = complex(x, eta)
            for _ in range(16 if step == STEPS - 1 else 4):
                value_a, slope_a = _sums(a, a_times, q)
                value_b, slope_b = _sums(b, b_times, p)
                miss_p, miss_q = z * p - value_a, z * q - value_b
                determinant = z * z - slope_a * slope_b
                new_p = p - (miss_p * z + miss_q * slope_a) / determinant
                new_q = q - (miss_q * z + miss_p * slope_b) / determinant
                if not (new_p.imag < 0.0 and new_q.imag < 0.0):
                    new_p, new_q = 0.5 * (p + value_a / z), 0.5 * (q + value_b / z)
                change = abs(new_p - p) + abs(new_q - q)
                p, q = new_p, new_q
                if change <= 1e-10 * (abs(p) + abs(q)):
                    break
            eta *= ratio
        trace = -(p * q * z + np.sum(a_times)) / z
        result[k] = max(trace.imag, 0.0) / math.pi
    return result


def _grouped(squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring norms taken together: (their means, how many)."""
    ordered = np.sort(squares[squares > 0])
    groups = np.array_split(ordered, min(GROUPS, len(ordered)))
    return np.array([group.mean() for group in groups]), np.array([float(len(group)) for group in groups])
