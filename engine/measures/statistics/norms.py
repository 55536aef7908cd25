"""The size of the tensor as a vector of its finite values."""

from __future__ import annotations

import math

from engine.measures.registry import measure
from engine.measures.results import Distribution


@measure(unit="weight", title="L1 norm")
def l1_norm(distribution: Distribution) -> float:
    """Σ|x|; 0 for no finite value."""
    return distribution.l1


@measure(unit="weight", title="L2 norm")
def l2_norm(distribution: Distribution) -> float:
    """√Σx², the Frobenius norm of a matrix; 0 for no finite value."""
    return distribution.l2


@measure(unit="weight", title="Root mean square")
def rms(distribution: Distribution) -> float:
    """√(Σx² / n): the typical magnitude, mean included; NaN for no finite value."""
    return distribution.l2 / math.sqrt(distribution.num_finite) if distribution.num_finite else math.nan
