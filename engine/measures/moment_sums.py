"""Sums of powers about the mean: from counted values, merged, and turned into moments."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from engine.measures.kernels import merge


class MomentSums(NamedTuple):
    """n, mean, Σ(x − mean)² … ⁴ and Σ|x| of a set of finite values, all as floats; all 0 for the empty set.

    The mean is origin + offset, the sum of a nearby number and a small rest that keeps the digits lost in their sum.
    """

    n: float = 0.0
    origin: float = 0.0
    offset: float = 0.0
    s2: float = 0.0
    s3: float = 0.0
    s4: float = 0.0
    l1: float = 0.0

    @property
    def mean(self) -> float:
        return self.origin + self.offset

    def merged(self, other: tuple[float, ...]) -> MomentSums:
        """The sums of both sets together."""
        return MomentSums(*merge(self, other))

    def moments(self, exponent: int = 0) -> dict[str, float]:
        """mean, m2, m3, m4, l1 and l2 of the values times 2^exponent; the first four NaN for no values.

        What leaves the range of float64 becomes infinite, or 0, as it would in numpy.
        """
        if self.n == 0:
            return {"mean": math.nan, "m2": math.nan, "m3": math.nan, "m4": math.nan, "l1": 0.0, "l2": 0.0}
        return {
            "mean": _shifted(self.mean, exponent),
            "m2": _shifted(self.s2 / self.n, 2 * exponent),
            "m3": _shifted(self.s3 / self.n, 3 * exponent),
            "m4": _shifted(self.s4 / self.n, 4 * exponent),
            "l1": _shifted(self.l1, exponent),
            "l2": _shifted(math.hypot(math.sqrt(self.s2), math.sqrt(self.n) * self.mean), exponent),
        }


def _shifted(value: float, exponent: int) -> float:
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)


def sums_of_constant(value: float, n: int) -> MomentSums:
    """The sums of n times the same value, without the rounding that would give it a spread."""
    return MomentSums(float(n), value, l1=abs(value) * n)


def sums_of_counted(values: np.ndarray, counts: np.ndarray) -> MomentSums:
    """The sums of distinct finite values that occur `counts` times each. Args: both (k,), k ≥ 1; counts integers."""
    n, weights = float(counts.sum()), counts.astype(np.float64)
    mean = float(np.sum(values * weights)) / n
    deviation = values - mean
    square = deviation * deviation
    weighted = square * weights
    s2, s3, s4 = (float(np.sum(each)) for each in (weighted, weighted * deviation, weighted * square))
    return MomentSums(n, mean, 0.0, s2, s3, s4, float(np.sum(np.abs(values) * weights)))


def safe_exponent(abs_max: float) -> int:
    """The e for which values times 2^−e keep their fourth powers within float64; 0 where they do as they are."""
    if abs_max == 0 or 2.0**-200 < abs_max < 2.0**200:
        return 0
    return max(-1000, min(1000, math.frexp(abs_max)[1]))
