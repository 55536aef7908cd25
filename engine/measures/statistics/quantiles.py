"""The stored quantiles of the finite values: numpy's "linear" definition, exact; NaN if there is none."""

from __future__ import annotations

from collections.abc import Callable

from engine.measures.registry import measure
from engine.measures.results import QUANTILE_PERCENTS, Distribution


def _at(distribution: Distribution, percent: float) -> float:
    return float(distribution.quantiles[QUANTILE_PERCENTS.index(percent)])


def _quantile(percent: float) -> Callable[[Distribution], float]:
    """The measure of one stored quantile, named as a column can be: 2.5 % becomes q2_5."""

    def quantile(distribution: Distribution) -> float:
        return _at(distribution, percent)

    quantile.__name__ = f"q{percent:g}".replace(".", "_")
    quantile.__doc__ = f"The value that {percent:g} % of the finite values lie below; NaN if there is none."
    return measure(unit="weight", title=f"{percent:g} % quantile")(quantile)


for _percent in QUANTILE_PERCENTS:
    _quantile(_percent)


@measure(unit="weight", title="Median")
def median(distribution: Distribution) -> float:
    """The value in the middle: half of the finite values lie below it; NaN if there is none."""
    return _at(distribution, 50.0)


@measure(unit="weight", title="Interquartile range")
def iqr(distribution: Distribution) -> float:
    """q75 − q25: a spread that outliers cannot move; 1.349 standard deviations for a normal distribution."""
    return _at(distribution, 75.0) - _at(distribution, 25.0)
