"""The power law in the tail of the eigenvalues."""

from __future__ import annotations

import math

import numpy as np
from numba import float64

from engine.measures.compilation import array, kernel
from engine.spectra.results import TailFit

MIN_EIGENVALUES = 20
"""Fewer eigenvalues say nothing of an exponent: below 20, WeightWatcher itself turns to another estimator, and Clauset
et al. find the method unreliable below about 50."""

NO_TAIL = TailFit(math.nan, math.nan, math.nan, 0, math.nan)


def fit_power_law(eigenvalues: np.ndarray) -> TailFit:
    """Fit p(x) ∝ x^−α to the largest values, with the beginning of the tail where the fit is best.

    For every candidate x_min among the values: α = 1 + n / Σ ln(xᵢ/x_min) over the n values from x_min on (maximum
    likelihood), and D = max |1 − (xᵢ/x_min)^(1−α) − i/n|, i = 0 … n − 1. The smallest D wins; of equal ones the first.

    Args: eigenvalues: (k,) float64, any order; those that are not above 0 are left out.
    Returns: `NO_TAIL` for fewer than 20 values, or where no value differs from the others.
    Source: Clauset, Shalizi & Newman 2009, SIAM Review 51(4), equations 3.1, 3.2 and 3.9; the numbers are those of
        WeightWatcher 0.7.7 (Martin & Mahoney 2021, JMLR 22(165)).
    """
    values = np.sort(np.asarray(eigenvalues, np.float64))
    values = values[values > 0]
    if len(values) < MIN_EIGENVALUES:
        return NO_TAIL
    alpha, distance, first = scan(np.log(values))
    if first < 0:
        return NO_TAIL
    num_tail = len(values) - first
    return TailFit(alpha, float(values[first]), distance, num_tail, (alpha - 1) / math.sqrt(num_tail))


BLOCK = 64
"""Values looked at before asking whether this x_min can still win; measured: 32 to 128 cost the same."""

LEAST_SPREAD = 1e-9
"""Mean ln(xᵢ/x_min) below this is rounding, not a spread: eigenvalues are right to some 1e-12 of the largest."""


@kernel((array(float64),))
def scan(logs):
    """Every x_min in turn, each given up as soon as its distance exceeds the best one: (alpha, distance, first).

    Args: logs: (n,) float64, ascending, the logarithms of the values. Returns: first = −1 if no tail spreads at all.
    """
    n = logs.size
    best, best_alpha, best_first = np.inf, np.nan, -1
    sums = np.empty(n)
    total = 0.0
    for i in range(n - 1, -1, -1):
        total += logs[i]
        sums[i] = total
    for first in range(n - 1):
        count = n - first
        spread = sums[first] - count * logs[first]
        if spread <= LEAST_SPREAD * count:
            continue
        alpha = 1.0 + count / spread
        power, low, share = 1.0 - alpha, logs[first], 1.0 / count
        distance = 0.0
        for start in range(first, n, BLOCK):
            for i in range(start, min(start + BLOCK, n)):
                gap = abs(1.0 - math.exp(power * (logs[i] - low)) - (i - first) * share)
                distance = max(distance, gap)
            if distance >= best:
                break
        if distance < best:
            best, best_alpha, best_first = distance, alpha, first
    return best_alpha, best, best_first
