"""Mean, spread and shape of the finite values; population moments, as numpy and scipy give by default."""

from __future__ import annotations

import math

from engine.measures.registry import measure
from engine.measures.results import Distribution


@measure(unit="weight", title="Mean")
def mean(distribution: Distribution) -> float:
    """Σx / n over the finite values; NaN if there is none."""
    return distribution.mean


@measure(unit="weight", title="Standard deviation")
def std(distribution: Distribution) -> float:
    """√m₂, the population standard deviation (divides by n): the scale of the weights.

    0 for a constant, NaN for no finite value.
    """
    return math.sqrt(distribution.m2)


@measure(unit="1", title="Skewness")
def skewness(distribution: Distribution) -> float:
    """m₃ / m₂^1.5: 0 when symmetric, positive with a longer right tail; NaN for a constant or an empty tensor."""
    return _ratio(distribution.m3, distribution.m2**1.5)


@measure(unit="1", title="Excess kurtosis")
def kurtosis(distribution: Distribution) -> float:
    """m₄ / m₂² − 3: 0 for a normal distribution, large with heavy tails or outliers, never under −2.

    NaN for a constant or an empty tensor.
    """
    return _ratio(distribution.m4, distribution.m2**2) - 3.0


def _ratio(numerator: float, denominator: float) -> float:
    """Their ratio; NaN where a vanished or overflowed denominator leaves it undefined."""
    return numerator / denominator if denominator > 0.0 and math.isfinite(denominator) else math.nan
