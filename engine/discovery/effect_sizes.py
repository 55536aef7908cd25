"""How much models differ from their nulls, with one number a model: never one a layer.

The layers of a model are no independent witnesses: they were trained together. So every effect is first taken within a
model, and chance enters only between models. Two questions: do models lie above or below their nulls (`effect`), and
do they agree on which positions are high and low (`concordance`)?

Source: Cliff 1993, "Dominance statistics"; Benjamini & Hochberg 1995.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EXACT_MODELS = 14
"""Up to so many models every assignment of signs is tried: 2¹³ = 8,192 of them."""

RESAMPLES = 9_999
"""Random assignments of signs, or bootstrap resamples, beyond that: the usual number (Davison & Hinkley 1997)."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect over models.

    Attributes:
        effect: mean over models, in the unit of what was given. low, high: its 95 % interval over models.
        p_value: two-sided, from swapping each model with its null; NaN of fewer than 2 models.
        values: one a model.
    """

    effect: float
    low: float
    high: float
    p_value: float
    values: tuple[float, ...]

    @property
    def num_models(self) -> int:
        return len(self.values)


NO_EFFECT = Effect(math.nan, math.nan, math.nan, math.nan, ())


def cliffs_delta(x: np.ndarray, y: np.ndarray) -> float:
    """δ = P(x > y) − P(x < y) over all pairs: 1 where every x is above every y, 0 where neither is, −1 below.

    Args: x, y: any shapes; what is not finite is left out. Returns: −1 … 1; NaN if either has nothing finite.
    """
    x, y = (np.sort(np.asarray(each, np.float64)[np.isfinite(each)]) for each in (x, y))
    if not len(x) or not len(y):
        return math.nan
    below = np.searchsorted(y, x, "left").sum()
    above = (len(y) - np.searchsorted(y, x, "right")).sum()
    return float((below - above) / (len(x) * len(y)))


def effect(values: Sequence[float], seed: int = 0) -> Effect:
    """An effect of one number a model, which is symmetric about 0 if models are like their nulls.

    Args: values: such as each model's Cliff's δ against its own nulls, −1 … 1; NaN are left out.
    Returns: NaN throughout if nothing is left.
    """
    kept = np.array([value for value in values if math.isfinite(value)], np.float64)
    if not len(kept):
        return NO_EFFECT
    low, high = bootstrap_interval(kept, seed)
    return Effect(float(kept.mean()), low, high, sign_flip_p(kept, seed), tuple(kept.tolist()))


def sign_flip_p(values: np.ndarray, seed: int = 0) -> float:
    """Two-sided p of the mean being 0: the share of assignments of signs with a mean as far from 0.

    Swapping a model with its null turns the sign of its number. Exact up to EXACT_MODELS, then by RESAMPLES random
    assignments with that of the data among them. The smallest of n models is 2 / 2ⁿ.

    Args: values: (models,) finite. Returns: NaN of fewer than 2 models.
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return math.nan
    signs = sign_assignments(len(values), seed)
    sums = np.abs(signs @ values)
    return float((sums >= np.abs(values.sum()) - 1e-9 * max(np.abs(values).sum(), 1e-300)).mean())


def sign_assignments(num_models: int, seed: int = 0) -> np.ndarray:
    """(assignments, models) of ±1, that of the data (all +1) first: half of all, as the others are their mirror image.

    Beyond EXACT_MODELS, RESAMPLES random ones after the first.
    """
    if num_models <= EXACT_MODELS:
        return np.array([(1, *signs) for signs in itertools.product((1, -1), repeat=num_models - 1)], np.int8)
    random = np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (RESAMPLES, num_models))
    return np.concatenate([np.ones((1, num_models), np.int8), random])


def bootstrap_interval(values: np.ndarray, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the mean over models drawn anew; wide where the bootstrap is blind.

    Where all models of n have the same value of ±1, every resample does too and the bootstrap would claim certainty.
    There the exact binomial limit stands in: the share of models with that sign is at least (½(1 − level))^(1/n).

    Args: values: (models,) within −1 … 1. Returns: (low, high); (NaN, NaN) of fewer than 2 models.
    Source: Efron & Tibshirani 1993, chapter 13; Clopper & Pearson 1934.
    """
    values, tail = np.asarray(values, np.float64), (1 - level) / 2
    if len(values) < 2:
        return math.nan, math.nan
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (tail, 1 - tail))
    least = 2 * tail ** (1 / len(values)) - 1
    if (values == 1).all():
        low = least
    elif (values == -1).all():
        high = -least
    return float(low), float(high)


def adjusted(p_values: Sequence[float]) -> np.ndarray:
    """Benjamini-Hochberg q of each p; NaN stays NaN and counts as no test."""
    from scipy.stats import false_discovery_control

    p = np.asarray(p_values, np.float64)
    q, known = np.full(p.shape, np.nan), np.isfinite(p)
    if known.any():
        q[known] = false_discovery_control(p[known], method="bh")
    return q


def concordance(trained: np.ndarray, nulls: np.ndarray, units: Sequence[int], seed: int = 0) -> Effect:
    """Do models agree on which positions are high and low, more than their nulls do?

    The statistic is the mean Spearman correlation over pairs of models, of the values at positions, minus that of their
    nulls, which have the same shapes: dimensions alone make untrained models agree. p is one-sided, from swapping
    models with their nulls, relatives together.

    Args:
        trained: (models, positions) one feature; NaN where a model has no such position.
        nulls: (draws, models, positions) the same of nulls.
        units: (models,) which lineage each model belongs to; relatives make no pair.
    Returns: values: one a lineage, its mean excess over its pairs; all NaN where fewer than 2 lineages can be paired.
    """
    units = np.unique(np.asarray(units), return_inverse=True)[1]
    num_models, num_units = len(trained), units.max(initial=-1) + 1
    table = np.mean([rank_correlations(np.concatenate([trained, draw])) for draw in nulls], axis=0)
    is_pair = np.tile(units[:, None] != units[None, :], (2, 2)) & np.isfinite(table)
    own, null = slice(0, num_models), slice(num_models, None)
    is_whole = is_pair[own, own] & is_pair[null, null] & is_pair[own, null] & is_pair[null, own]
    if not is_whole.any():
        return NO_EFFECT
    table = np.where(np.tile(is_whole, (2, 2)), np.nan_to_num(table), 0.0)
    excess = table[own, own] - table[null, null]
    values = [
        excess[units == u].sum() / is_whole[units == u].sum() for u in range(num_units) if is_whole[units == u].any()
    ]
    signs = sign_assignments(num_units, seed)
    if num_units <= EXACT_MODELS:
        signs = np.concatenate([signs, -signs])
    is_own = signs[:, units] > 0
    chosen = np.concatenate([is_own, ~is_own], axis=1).astype(np.float64)
    sums = ((chosen @ table) * chosen).sum(axis=1) - (((1 - chosen) @ table) * (1 - chosen)).sum(axis=1)
    p_value = float((sums >= sums[0] - 1e-9 * np.abs(table).sum()).mean())
    low, high = bootstrap_interval(np.array(values), seed)
    return Effect(float(excess.sum() / is_whole.sum()), low, high, p_value, tuple(float(value) for value in values))


def rank_correlations(values: np.ndarray) -> np.ndarray:
    """(n, n) Spearman correlations of rows, each pair over the positions that both have; NaN of fewer than 3."""
    from scipy.stats import rankdata

    size = len(values)
    known = np.isfinite(values)
    table = np.full((size, size), np.nan)
    patterns, kinds = np.unique(known, axis=0, return_inverse=True)
    for i, j in itertools.combinations_with_replacement(range(len(patterns)), 2):
        both = patterns[i] & patterns[j]
        if both.sum() < 3:
            continue
        rows, columns = np.flatnonzero(kinds == i), np.flatnonzero(kinds == j)
        x, y = (_standard(rankdata(values[which][:, both], axis=1)) for which in (rows, columns))
        table[np.ix_(rows, columns)] = x @ y.T
        table[np.ix_(columns, rows)] = y @ x.T
    return table


def _standard(rows: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1; a constant row becomes NaN: it has no order to agree with."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, np.nan)


def eta_squared(values: np.ndarray, labels: Sequence[object]) -> float:
    """η² = Σ n_g (mean_g − mean)² / Σ (x − mean)²: the share of the variance that lies between the labels.

    Args: values: (n,); NaN are left out. labels: one each. Returns: 0 … 1; NaN if nothing varies.
    Source: Fisher 1925. With n values and g labels of no meaning it is (g − 1) / (n − 1) on average: subtract that.
    """
    values, names = np.asarray(values, np.float64), np.asarray([str(label) for label in labels])
    known = np.isfinite(values)
    values, names = values[known], names[known]
    whole = float(((values - values.mean()) ** 2).sum()) if len(values) else 0.0
    if whole <= 0:
        return math.nan
    groups = [values[names == name] for name in np.unique(names)]
    return float(sum(len(group) * (group.mean() - values.mean()) ** 2 for group in groups) / whole)
