"""Where the spectrum of pure noise ends: noise that is equal everywhere, and noise that knows rows and columns."""

from __future__ import annotations

import math

import numpy as np
from numba import float64
from numba.extending import register_jitable

from engine.measures.compilation import array, kernel
from engine.spectra.results import NoiseEdge

NO_EDGE = NoiseEdge(math.nan, math.nan)


def iid_edge(num_rows: int, num_columns: int, energy: float) -> NoiseEdge:
    """The Marchenko-Pastur edge: where the eigenvalues of a matrix of independent, equal noise end.

    edge = s²·(√rows + √columns)², width = s²·(√rows + √columns)^(4/3) · (rows·columns)^(−1/6), in units of λ = σ²,
    with s² = energy / (rows·columns): what is left of the matrix when its entries are shuffled.

    Args: energy: Σx² of the matrix.
    Returns: NaN for an empty or zero matrix.
    Source: Marchenko & Pastur 1967; Johnstone 2001, Annals of Statistics 29(2), for the width.
    """
    if not (num_rows and num_columns and energy > 0):
        return NO_EDGE
    variance = energy / num_rows / num_columns
    root = math.sqrt(num_rows) + math.sqrt(num_columns)
    return NoiseEdge(variance * root**2, variance * root ** (4 / 3) * (num_rows * num_columns) ** (-1 / 6))


def scaled_edge(row_squares: np.ndarray, column_squares: np.ndarray) -> NoiseEdge:
    """The edge of Gaussian noise whose rows and columns have the norms of the matrix: the honest one.

    Entry (i, j) has the variance aᵢ·bⱼ = rᵢ·cⱼ / Σx², with r, c the squared norms. Weights whose rows or columns differ
    in scale reach beyond the Marchenko-Pastur edge without any structure; beyond this edge they do not. For large
    matrices the eigenvalues x outside the bulk belong to p, q > 0 with p·x = Σ aᵢ/(1 − aᵢq) and q·x = Σ bⱼ/(1 − bⱼp).
    With F = p·q·x, both p and q follow from F alone (Σ bⱼp/(1 − bⱼp) = F, and likewise q), and the edge is the smallest
    x(F) = F/(p·q): there 1/P + 1/Q = 1, where P = d ln F/d ln p, Q = d ln F/d ln q. The curvature there gives the
    width. With equal norms both are `iid_edge`'s.

    Args: row_squares: (rows,), column_squares: (columns,) float64, Σx² of each; their sums agree.
    Returns: NaN for an empty or zero matrix.
    Source: Paul & Silverstein 2009, J. Multivariate Analysis 100(1); Couillet & Hachem 2014, Random Matrices 3(4),
        arXiv 1310.8094. The closed condition and the width are derived here; tests hold them against simulations.
    """
    energy = float(row_squares.sum())
    if not energy > 0:
        return NO_EDGE
    highest = float(row_squares.max()), float(column_squares.max())
    a, b = (squares[squares > 0] / most for squares, most in zip((row_squares, column_squares), highest, strict=True))
    edge, width = _edge(np.ascontiguousarray(a, np.float64), np.ascontiguousarray(b, np.float64))
    unit = highest[0] * (highest[1] / energy)
    return NoiseEdge(edge * unit, width * unit)


@register_jitable
def _sums(weights, p):
    """Σ wp/(1−wp), Σ wp/(1−wp)², Σ wp(1+wp)/(1−wp)³: F, and its first and second derivative in ln p."""
    first = second = third = 0.0
    for i in range(weights.size):
        wp = weights[i] * p
        inverse = 1.0 / (1.0 - wp)
        term = wp * inverse
        first += term
        second += term * inverse
        third += term * inverse * inverse * (1.0 + wp)
    return first, second, third


@register_jitable
def _solved(weights, value, p):
    """The p in (0, 1) with Σ wp/(1−wp) = value, from a guess; by Newton's method on ln F over ln p, kept below 1."""
    low, high = 0.0, 1.0
    for _ in range(200):
        first, second, third = _sums(weights, p)
        if first > value:
            high = p
        else:
            low = p
        step = p - (first - value) * p / second
        following = step if low < step < high else 0.5 * (low + high)
        if abs(following - p) <= 1e-15 * p or high - low <= 1e-16:
            break
        p = following
    return p, second / first, third / first


@kernel((array(float64), array(float64)))
def _edge(a, b):
    """(edge, width) of noise with variances aᵢ·bⱼ; both largest ones are 1.

    h(ln F) = 1/P + 1/Q − 1 falls from 1 to −1; its root is found by Newton's method inside a bracket that narrows.
    """
    low, high = math.log(1e-12), math.log(1e12 * max(a.size, b.size))
    log_value = 0.5 * math.log(float(a.size) * float(b.size))
    p = q = 0.5
    slope = 1.0
    for _ in range(200):
        value = math.exp(log_value)
        p, p_first, p_second = _solved(b, value, p)
        q, q_first, q_second = _solved(a, value, q)
        excess = 1.0 / p_first + 1.0 / q_first - 1.0
        slope = (p_second - p_first**2) / p_first**3 + (q_second - q_first**2) / q_first**3
        if excess > 0:
            low = log_value
        else:
            high = log_value
        step = log_value + excess / slope if slope > 0 else low
        following = step if low < step < high else 0.5 * (low + high)
        if abs(excess) <= 1e-14 or abs(following - log_value) <= 1e-13:
            break
        log_value = following
    value = math.exp(log_value)
    edge = value / p / q
    # The density near the edge is √(edge − x)·bend/π; the Tracy-Widom scale is bend^(−2/3).
    bend = value / edge * math.sqrt(2.0 / (edge * slope))
    return edge, bend ** (-2.0 / 3.0)
