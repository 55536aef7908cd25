"""Single weights that stand far out, and whether they stand together."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engine.discovery.signature.facts import FAR, Facts
from engine.discovery.signature.registry import ENTRIES, LINES, Traits, feature, line_feature

OUTLIERS = Traits("outliers", ENTRIES | {"sign"}, transform="log", resolution=0.1)
COUNT = replace(OUTLIERS, unit="per million", transform="log1p", resolution=0.3)

TOP_LINES = 0.01
"""Share of the rows (or columns) looked at for the concentration of outliers, at least one."""

LEAST_FAR = 20
"""Fewer outliers say nothing about where they gather."""


@feature(OUTLIERS, "Farthest weight")
def max_sigmas(facts: Facts) -> float:
    """Largest |x − median| in robust standard deviations (quartile range / 1.349): 4 to 6 for normal weights.

    NaN if half of the weights are one number.
    """
    if not facts.robust_std > 0:
        return math.nan
    reach = max(facts.median - float(facts.ordered[0]), float(facts.ordered[-1]) - facts.median)
    return reach / facts.robust_std


@feature(COUNT, "Beyond 4 deviations")
def far_weights(facts: Facts) -> float:
    """Weights of a million more than 4 robust deviations from the median: 63 of a normal. NaN as `max_sigmas`."""
    return _beyond(facts, FAR)


@feature(COUNT, "Beyond 8 deviations")
def very_far_weights(facts: Facts) -> float:
    """Weights of a million more than 8 robust deviations from the median: none of a normal. NaN as `max_sigmas`."""
    return _beyond(facts, 2 * FAR)


@line_feature(
    Traits("outliers", LINES | {"sign"}, unit="share", resolution=0.05), "Outliers in the {lines} with the most"
)
def outlier_concentration(facts: Facts, axis: int) -> float:
    """Share of the weights beyond 4 robust deviations that the 1 % of the {lines} with the most of them hold.

    Near 1 where outliers sit in a few {lines}. NaN for fewer than 20 outliers, and as `max_sigmas`.
    """
    if not facts.robust_std > 0:
        return math.nan
    counts = np.sort(facts.num_far[axis])
    total = int(counts.sum())
    return float(counts[-math.ceil(TOP_LINES * len(counts)) :].sum() / total) if total >= LEAST_FAR else math.nan


def _beyond(facts: Facts, reach: float) -> float:
    if not facts.robust_std > 0:
        return math.nan
    distance = reach * facts.robust_std
    return 1e6 * facts.num_outside(facts.median - distance, facts.median + distance) / facts.ordered.size
