"""How the heads of an attention matrix differ from each other; NaN for matrices without heads."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engine.discovery.signature.facts import Facts
from engine.discovery.signature.registry import Traits, feature
from engine.spectra.quantities.entropy import effective_rank
from engine.spectra.reading import spectrum_of

HEADS = Traits("heads", frozenset({"scale", "sign"}))
RATIO = replace(HEADS, transform="log")


@feature(HEADS, "Spread of head norms")
def head_norm_cv(facts: Facts) -> float:
    """Standard deviation of the heads' Frobenius norms over their mean: 0 if all heads are equally large."""
    return _cv(_norms(facts))


@feature(RATIO, "Largest head norm")
def head_norm_max(facts: Facts) -> float:
    """The largest head's Frobenius norm over the median one: 1 if all are equal."""
    norms = _norms(facts)
    return float(norms.max() / np.median(norms)) if norms.size and np.median(norms) > 0 else math.nan


@feature(replace(HEADS, unit="share", resolution=0.02), "Effective rank of heads, relative")
def head_effective_rank(facts: Facts) -> float:
    """Median over the heads of the effective rank of their part, over its shorter side: 1 if all directions are equal.

    Source: Roy & Vetterli 2007.
    """
    ranks = _effective_ranks(facts)
    return float(np.median(ranks)) if ranks.size else math.nan


@feature(HEADS, "Spread of the heads' effective ranks")
def head_effective_rank_cv(facts: Facts) -> float:
    """Standard deviation of the heads' effective ranks over their mean: 0 if all heads are equally rich."""
    return _cv(_effective_ranks(facts))


@feature(replace(RATIO, resolution=0.1), "Stable rank of heads, relative")
def head_stable_rank(facts: Facts) -> float:
    """Median over the heads of Σσ²/σ₁² of their part, over its shorter side: small where one direction dominates."""
    found = [each.energy / each.values[0] ** 2 / len(each.values) for each in facts.head_singular if each.values[0] > 0]
    return float(np.median(found)) if found else math.nan


def _norms(facts: Facts) -> np.ndarray:
    return np.sqrt([each.energy for each in facts.head_singular])


def _effective_ranks(facts: Facts) -> np.ndarray:
    kept = [each for each in facts.head_singular if each.values[0] > 0]
    return np.array([effective_rank(spectrum_of(each)) / len(each.values) for each in kept])


def _cv(values: np.ndarray) -> float:
    return float(values.std() / values.mean()) if values.size > 1 and values.mean() > 0 else math.nan
