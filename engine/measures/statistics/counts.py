"""How many elements there are, and how many are special. Range of all counts: 0 … number of elements."""

from __future__ import annotations

import math

from engine.measures.registry import measure
from engine.measures.results import Distribution


@measure(unit="count", title="Elements")
def count(distribution: Distribution) -> float:
    """Number of elements, the special ones included."""
    return distribution.count


@measure(unit="count", title="Zeros")
def zeros(distribution: Distribution) -> float:
    """Number of elements that are exactly 0, or −0."""
    return distribution.num_zero


@measure(unit="1", title="Share of zeros")
def zero_fraction(distribution: Distribution) -> float:
    """Zeros / elements: the sparsity, 0 … 1; NaN for an empty tensor."""
    return distribution.num_zero / distribution.count if distribution.count else math.nan


@measure(unit="count", title="NaN")
def nan(distribution: Distribution) -> float:
    """Number of elements that are not a number; anything but 0 means a broken tensor."""
    return distribution.num_nan


@measure(unit="count", title="+Inf")
def posinf(distribution: Distribution) -> float:
    """Number of elements that are +∞, the mark of an overflow."""
    return distribution.num_posinf


@measure(unit="count", title="−Inf")
def neginf(distribution: Distribution) -> float:
    """Number of elements that are −∞, the mark of an overflow."""
    return distribution.num_neginf
