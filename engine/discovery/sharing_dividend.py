"""Sharing dividend: how many bits per weight knowing one model saves in writing down another.

½·log₂(1 / (1 − ρ²)) bits per weight for correlation ρ, weighted over matrices: what a coder gains that predicts each
weight from its partner, if both are normal. Putting units in the best order finds some correlation between any two
models, even of pure noise; the same is therefore done with nulls of the very matrices, and what they reach is
subtracted. Only the net says anything.

Source: Cover & Thomas, Elements of Information Theory, chapter 8.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.compare.matching import Matching, match_tensors
from engine.discovery.initialisation import initial_law
from engine.discovery.nulls import DEFAULT_NULL, null_matrix
from engine.discovery.weight_matching import Fit, Layout, Matrices, fits, layout, read_matrices
from engine.naming import family
from engine.sources.base import Source

VERSION = 1
"""Raised when the same two checkpoints would give other numbers."""

MOST_BITS = 16.0
"""What a perfect correlation counts: equal weights save all their bits, and 16 is what most are stored in."""

SHARED_BITS = 0.003
"""Net bits per weight below which nothing is shared: independent random models stay below it (see the tests)."""

UNFIT_NULLS = {"line_permutation": DEFAULT_NULL}
"""Nulls that alignment undoes: the same weights in another order are the same model. The default stands in."""


@dataclass(frozen=True, slots=True)
class Dividend:
    """What one of two models saves in writing the other.

    Attributes:
        alignment: the way of laying B over A that saves most: "as stored", "units" or "units and stream".
        correlation: ρ as stored, over all weights. aligned_correlation: ρ in that way.
        gross: bits per weight. null: the mean of what the nulls reach, each in its best way. nulls: every draw.
        net: gross − null. low, high: its 95 % interval, from the spread of the draws; NaN of fewer than 2.
        by_role: role -> gross bits per weight. num_weights: compared. null_name: which nulls.
    """

    alignment: str
    correlation: float
    aligned_correlation: float
    gross: float
    null: float
    nulls: tuple[float, ...]
    net: float
    low: float
    high: float
    by_role: dict[str, float]
    num_weights: int
    null_name: str

    @property
    def is_shared(self) -> bool:
        """Whether more is shared than alignment finds in noise."""
        return self.net > SHARED_BITS and not self.low <= 0


@dataclass(frozen=True, eq=False)
class LaidOver:
    """Two models' common matrices, B's in the best order. a, b: by A's names. fit: how they were laid."""

    plan: Layout
    fit: Fit
    a: Matrices
    b: Matrices


def fit_null(null: str) -> str:
    """The null itself, or the one that stands in where it forgets too little."""
    return UNFIT_NULLS.get(null, null)


def bits(correlation: float) -> float:
    """½·log₂(1 / (1 − ρ²)), at most MOST_BITS; NaN stays NaN."""
    rest = 1 - correlation * correlation
    return min(-0.5 * math.log2(rest), MOST_BITS) if rest > 0 else MOST_BITS


def dividend(
    source_a: Source,
    source_b: Source,
    matching: Matching | None = None,
    null: str = DEFAULT_NULL,
    draws: int = 3,
    check: Callable[[], None] = lambda: None,
) -> tuple[Dividend, LaidOver]:
    """The sharing dividend of two checkpoints, net of the alignment null.

    Args:
        null: a name of `engine.discovery.nulls.NULLS`. draws: nulls of both, each aligned like the models.
        check: called between steps; may raise Cancelled.
    Returns: NaN throughout if no matrix of one stands against one of the other.
    """
    matching = matching or match_tensors(source_a, source_b)
    plan = layout(source_a, matching)
    a, b = read_matrices(source_a, matching, plan, False), read_matrices(source_b, matching, plan, True)
    name = fit_null(null)
    found = fits(a, b, plan, check)
    reached = tuple(
        max(_mean_bits(fit, plan) for fit in fits(*_nulls((a, b), (source_a, source_b), plan, name, draw), plan, check))
        for draw in range(draws)
    )
    best = max(found, key=lambda fit: _mean_bits(fit, plan)) if plan.matches else found[0]
    return _dividend(found[0], best, plan, reached, name), LaidOver(plan, best, a, b)


def group_dividend(nets: np.ndarray) -> tuple[float, list[tuple[int, int]]]:
    """Bits per weight that a whole group saves if each model but the first is written given its nearest relative.

    Args: nets: (models, models) net dividends, symmetric; NaN where two cannot be compared; below 0 counts as 0.
    Returns: (bits per weight of all models, the pairs used): a maximum spanning tree, Σ of its dividends / models.
    Source: Chow & Liu 1968.
    """
    size = len(nets)
    gains = np.where(np.isfinite(nets), np.maximum(nets, 0), 0.0)
    inside, pairs, whole = {0}, [], 0.0
    while len(inside) < size:
        choices = [(gains[i, j], -i, -j) for i in inside for j in range(size) if j not in inside]
        gain, i, j = max(choices)
        inside.add(-j)
        if gain > 0:
            pairs.append((-i, -j))
            whole += float(gain)
    return (whole / size if size else math.nan), pairs


def _dividend(stored: Fit, best: Fit, plan: Layout, reached: Sequence[float], null: str) -> Dividend:
    gross, mean = _mean_bits(best, plan), float(np.mean(reached)) if reached else math.nan
    low, high = interval(gross, reached)
    roles: dict[str, list[str]] = {}
    for name, match in plan.matches.items():
        roles.setdefault(match.place.role, []).append(name)
    return Dividend(
        best.name,
        _mean(stored.correlations, plan),
        _mean(best.correlations, plan),
        gross,
        mean,
        tuple(reached),
        gross - mean,
        low,
        high,
        {role: _mean({name: bits(best.correlations[name]) for name in names}, plan) for role, names in roles.items()},
        plan.num_weights,
        null,
    )


def interval(gross: float, reached: Sequence[float]) -> tuple[float, float]:
    """Where gross − null lies if another null had been drawn: Student's t on the spread of the draws.

    Returns: (low, high), 95 %; NaN of fewer than 2 draws.
    """
    if len(reached) < 2:
        return math.nan, math.nan
    from scipy.stats import t

    half = float(t.ppf(0.975, len(reached) - 1) * np.std(reached, ddof=1) * math.sqrt(1 + 1 / len(reached)))
    net = gross - float(np.mean(reached))
    return net - half, net + half


def _mean_bits(fit: Fit, plan: Layout) -> float:
    return _mean({name: bits(rho) for name, rho in fit.correlations.items()}, plan)


def _mean(values: dict[str, float], plan: Layout) -> float:
    """Weighted by the weights of each matrix; NaN of none."""
    sizes = {name: plan.matches[name].num_compared for name in values}
    whole = sum(sizes.values())
    return sum(values[name] * size for name, size in sizes.items()) / whole if whole else math.nan


def _nulls(
    both: tuple[Matrices, Matrices], sources: tuple[Source, Source], plan: Layout, null: str, draw: int
) -> tuple[Matrices, Matrices]:
    """A null of each of two models, with draws of their own."""
    return tuple(
        {
            name: null_matrix(null, array, seed(name, draw, side), _law(sources[side], plan, name))
            for name, array in both[side].items()
        }
        for side in (0, 1)
    )


def _law(source: Source, plan: Layout, name: str):
    match = plan.matches[name]
    names = [info.name for info in source.infos()]
    return initial_law(match.compared_shape, source.config, family(names, source.config), match.place.role)


def seed(name: str, draw: int, side: int = 0) -> int:
    """A seed of its own for every matrix, draw and side, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{side} {draw} {name}".encode()).digest()[:8], "little")
