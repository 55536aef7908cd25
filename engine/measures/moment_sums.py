"""Sums of powers about the mean, and how two sets of them merge without losing digits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class MomentSums:
    """n, mean, Σ(x − mean)² … ⁴ and Σ|x| of a set of finite values; all 0 for the empty set."""

    n: int = 0
    mean: float = 0.0
    s2: float = 0.0
    s3: float = 0.0
    s4: float = 0.0
    l1: float = 0.0

    def merged(self, other: MomentSums) -> MomentSums:
        """The sums of both sets together.

        Source: Chan, Golub & LeVeque 1979; Pébay 2008, SAND2008-6212, equations 1.5 and 2.1.
        """
        if self.n == 0 or other.n == 0:
            return self if other.n == 0 else other
        n, delta = self.n + other.n, other.mean - self.mean
        a, b = self.n / n, other.n / n
        step = delta * a * b * n
        s2 = self.s2 + other.s2 + delta * step
        s3 = self.s3 + other.s3 + delta * (delta * step * (a - b) + 3 * (a * other.s2 - b * self.s2))
        s4 = self.s4 + other.s4 + delta**3 * step * (a * a - a * b + b * b)
        s4 += 6 * delta**2 * (a * a * other.s2 + b * b * self.s2) + 4 * delta * (a * other.s3 - b * self.s3)
        return MomentSums(n, self.mean + delta * b, s2, s3, s4, self.l1 + other.l1)

    def moments(self, scale: float = 1.0) -> tuple[float, float, float, float, float, float]:
        """(mean, m2, m3, m4, l1, l2) of the values times `scale`, a power of two; NaN for mean … m4 of no values."""
        if self.n == 0:
            return math.nan, math.nan, math.nan, math.nan, 0.0, 0.0
        l2 = math.sqrt(self.s2 + self.n * self.mean * self.mean)
        with np.errstate(over="ignore", under="ignore"):
            m2, m3, m4 = (
                float(np.float64(total / self.n) * np.float64(scale) ** power)
                for power, total in ((2, self.s2), (3, self.s3), (4, self.s4))
            )
        return self.mean * scale, m2, m3, m4, self.l1 * scale, l2 * scale


def sums_of_counted(values: np.ndarray, counts: np.ndarray) -> MomentSums:
    """The sums of distinct finite values that occur `counts` times each.

    Args: values: (k,) float64. counts: (k,) int64, positive. Both may be empty.
    """
    n = int(counts.sum())
    if n == 0:
        return MomentSums()
    weights = counts.astype(np.float64)
    mean = float(np.sum(values * weights)) / n
    deviation = values - mean
    square = deviation * deviation
    weighted = square * weights
    return MomentSums(
        n,
        mean,
        float(np.sum(weighted)),
        float(np.sum(weighted * deviation)),
        float(np.sum(weighted * square)),
        float(np.sum(np.abs(values) * weights)),
    )


def safe_scale(abs_max: float) -> float:
    """A power of two that brings values of this magnitude near 1 where their fourth powers would leave float64."""
    if abs_max == 0 or 2.0**-200 < abs_max < 2.0**200:
        return 1.0
    return math.ldexp(1.0, max(-1000, min(1000, -math.frexp(abs_max)[1])))
