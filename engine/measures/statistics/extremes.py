"""The ends of the distribution, over the finite values; NaN if there is none."""

from __future__ import annotations

from engine.measures.registry import measure
from engine.measures.results import Distribution


@measure(unit="weight", title="Smallest")
def min(distribution: Distribution) -> float:
    """The smallest finite value."""
    return distribution.minimum


@measure(unit="weight", title="Largest")
def max(distribution: Distribution) -> float:
    """The largest finite value."""
    return distribution.maximum


@measure(unit="weight", title="Largest magnitude")
def abs_max(distribution: Distribution) -> float:
    """max |x|: what sets the scale of a naive quantiser."""
    low, high = abs(distribution.minimum), abs(distribution.maximum)
    return low if low > high else high
