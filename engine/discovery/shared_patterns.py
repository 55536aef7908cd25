"""The shared-pattern test: do differently trained models agree on something that their nulls do not show?

Three questions of every feature. Do models lie on one side of their nulls (`PatternEffect`, per role)? Do they agree on
which positions are high and low (`Concordance`)? How much of what varies is due to position, and how much to data or
seed (`Variance`)? Everywhere the unit is the independent model: layers are averaged within a model, relatives within a
lineage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.discovery.effect_sizes import Effect, adjusted, concordance, effect, eta_squared
from engine.discovery.signature.registry import FEATURES, transformed
from engine.naming import Place

VERSION = 1
"""Raised when the same measurements would give other results."""

TIE = 1e-5
"""Relative difference up to which a value and its null's count as equal: the null keeps that feature."""

LABEL_SHUFFLES = 499
"""Shuffles of labels over models behind the p of a variance; chosen by us: p to 0.01."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one model.

    Attributes:
        name: of the model. places: (matrices,) where each sits. values: (matrices, features) in the order of FEATURES.
        nulls: (draws, matrices, features) of nulls of the same matrices. labels: "data", "seed", … -> what it was.
    """

    name: str
    places: tuple[Place, ...]
    values: np.ndarray
    nulls: np.ndarray
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PatternEffect:
    """Whether models lie above or below their nulls in one feature of one role.

    Attributes:
        delta: mean over lineages of Cliff's δ of a model's layers against their own nulls. q_value: of its p.
        typical, typical_null: medians over models, in the feature's unit.
    """

    feature: str
    role: str
    delta: Effect
    q_value: float
    typical: float
    typical_null: float


@dataclass(frozen=True, slots=True)
class Concordance:
    """Whether models agree on the positions of one feature, beyond their nulls. excess: of Spearman's ρ."""

    feature: str
    excess: Effect
    q_value: float


@dataclass(frozen=True, slots=True)
class Variance:
    """Share of a feature's variance between the values of one factor: η²; chance: what meaningless labels explain."""

    feature: str
    factor: str
    eta_squared: float
    chance: float
    p_value: float


@dataclass(frozen=True, slots=True)
class PatternTest:
    """All answers, the most certain first."""

    effects: tuple[PatternEffect, ...]
    concordances: tuple[Concordance, ...]
    variances: tuple[Variance, ...]
    num_models: int
    num_lineages: int


def pattern_test(
    models: Sequence[Measured], lineages: Sequence[int], check: Callable[[], None] = lambda: None
) -> PatternTest:
    """Ask all three questions.

    Args: lineages: (models,) which are relatives (`subspace.lineages_of`). check: between steps; may raise Cancelled.
    """
    effects = [found for role in _roles(models) for found in _effects(models, lineages, role, check)]
    q_values = adjusted([found.delta.p_value for found in effects])
    effects = [
        PatternEffect(e.feature, e.role, e.delta, float(q), e.typical, e.typical_null)
        for e, q in zip(effects, q_values, strict=True)
    ]
    agreeing = _concordances(models, lineages, check)
    return PatternTest(
        tuple(sorted(effects, key=lambda one: (_last(one.q_value), -abs(one.delta.effect), one.feature, one.role))),
        tuple(sorted(agreeing, key=lambda one: (_last(one.q_value), -_last(one.excess.effect), one.feature))),
        tuple(_variances(models, lineages, check)),
        len(models),
        len(set(lineages)),
    )


def count_tests(models: Sequence[Measured]) -> int:
    """Effects that would be tested: features times roles that every lineage's models have."""
    return len(_roles(models)) * len(FEATURES)


def matched_delta(values: np.ndarray, nulls: np.ndarray) -> np.ndarray:
    """(features,) Cliff's δ of a model's layers, each against the nulls of that very layer, averaged over layers.

    Comparing every layer with the nulls of all layers would mix in how layers differ among themselves.

    Args: values: (layers, features). nulls: (draws, layers, features). Returns: −1 … 1; NaN where nothing is defined.
    """
    apart = values[None] - nulls
    scale = np.maximum(np.abs(values)[None], np.abs(nulls))
    signs = np.where(np.abs(apart) <= TIE * np.maximum(scale, 1e-12), 0.0, np.sign(apart))
    known = np.isfinite(apart)
    counts = known.sum(axis=(0, 1))
    return np.where(counts > 0, np.where(known, signs, 0).sum(axis=(0, 1)) / np.maximum(counts, 1), np.nan)


def by_lineage(values: Sequence[float], lineages: Sequence[int]) -> list[float]:
    """Means within lineages, NaN left out; lineages without a value are left out."""
    found: dict[int, list[float]] = {}
    for value, lineage in zip(values, lineages, strict=True):
        if math.isfinite(value):
            found.setdefault(lineage, []).append(value)
    return [float(np.mean(group)) for group in found.values()]


def _effects(
    models: Sequence[Measured], lineages: Sequence[int], role: str, check: Callable[[], None]
) -> list[PatternEffect]:
    """One role's effects, without the features that the null keeps: those are no question."""
    check()
    chosen = [np.array([place.role == role for place in model.places]) for model in models]
    rows = [model.values[which] for model, which in zip(models, chosen, strict=True)]
    nulls = [model.nulls[:, which] for model, which in zip(models, chosen, strict=True)]
    deltas = np.array([
        matched_delta(own, null) if len(own) else np.full(len(FEATURES), np.nan)
        for own, null in zip(rows, nulls, strict=True)
    ])  # fmt: skip
    found = []
    for column, feature in enumerate(FEATURES):
        values = by_lineage(deltas[:, column], lineages)
        if not values or not any(values):
            continue
        typical, typical_null = (_median([_median(each[..., column]) for each in side]) for side in (rows, nulls))
        found.append(PatternEffect(feature, role, effect(values), math.nan, typical, typical_null))
    return found


def _concordances(models: Sequence[Measured], lineages: Sequence[int], check: Callable[[], None]) -> list[Concordance]:
    profiles, _ = position_profiles(models)
    draws = min(len(model.nulls) for model in models)
    nulls = [position_profiles(models, draw)[0] for draw in range(draws)]
    found = []
    for column, feature in enumerate(FEATURES):
        check()
        excess = concordance(profiles[..., column], np.array([each[..., column] for each in nulls]), lineages)
        if math.isfinite(excess.p_value) and any(abs(value) > TIE for value in excess.values):
            found.append((feature, excess))
    q_values = adjusted([excess.p_value for _, excess in found])
    return [Concordance(feature, excess, float(q)) for (feature, excess), q in zip(found, q_values, strict=True)]


def position_profiles(
    models: Sequence[Measured], draw: int | None = None
) -> tuple[np.ndarray, list[tuple[str, str, int | None]]]:
    """((models, positions, features), positions as (stack, role, depth)): NaN where a model lacks a position.

    Models with the same number of layers stand layer by layer; otherwise as many depths are compared as the shortest
    has layers, each model giving its layer at that relative depth. Several matrices in one place are averaged.

    Args: draw: which null to take in place of the models; None for the models themselves.
    """
    depths = [max((place.layer + 1 for place in m.places if place.layer is not None), default=0) for m in models]
    shortest = min((depth for depth in depths if depth), default=0)
    tables = []
    for model, depth in zip(models, depths, strict=True):
        values = model.values if draw is None else model.nulls[draw]
        steps = {round(g * (depth - 1) / max(shortest - 1, 1)): g for g in range(shortest)}
        table: dict[tuple[str, str, int | None], list[np.ndarray]] = {}
        for place, row in zip(model.places, values, strict=True):
            if place.layer is None or place.layer in steps:
                where = None if place.layer is None else steps[place.layer]
                table.setdefault((place.stack, place.role, where), []).append(row)
        tables.append({key: np.mean(rows, axis=0) for key, rows in table.items()})
    positions = list(dict.fromkeys(key for table in tables for key in table))
    nothing = np.full(len(FEATURES), np.nan)
    return np.array([[table.get(key, nothing) for key in positions] for table in tables]), positions


def _variances(models: Sequence[Measured], lineages: Sequence[int], check: Callable[[], None]) -> list[Variance]:
    profiles, positions = position_profiles(models)
    profiles = transformed(profiles)
    shape = profiles.shape[:2]
    factors: dict[str, list[str]] = {"lineage": [str(lineage) for lineage in lineages]}
    for name in dict.fromkeys(label for model in models for label in model.labels):
        factors[name] = [model.labels.get(name, "") for model in models]
    factors = {name: labels for name, labels in factors.items() if 1 < len(set(labels)) < len(models)}
    random, found = np.random.default_rng(0), []
    for column, feature in enumerate(FEATURES):
        check()
        values = profiles[..., column]
        count = int(np.isfinite(values).sum())
        where = np.broadcast_to(np.arange(shape[1]), shape)
        share = eta_squared(values.ravel(), where.ravel().tolist())
        if math.isnan(share):
            continue
        found.append(Variance(feature, "position", share, _chance(len(positions), count), math.nan))
        for factor, labels in factors.items():
            number = np.unique(labels, return_inverse=True)[1]
            share = _share(values, number)
            shuffled = [_share(values, random.permutation(number)) for _ in range(LABEL_SHUFFLES)]
            p_value = (1 + sum(each >= share - 1e-12 for each in shuffled)) / (1 + len(shuffled))
            found.append(Variance(feature, factor, share, float(np.mean(shuffled)), p_value))
    return found


def _share(values: np.ndarray, labels: np.ndarray) -> float:
    """η² of labels of models over all their positions; (models, positions) values, NaN left out."""
    known = np.isfinite(values)
    mean = values[known].mean()
    whole = float(((values[known] - mean) ** 2).sum())
    between = 0.0
    for label in range(labels.max() + 1):
        group = values[labels == label]
        kept = group[np.isfinite(group)]
        between += len(kept) * (kept.mean() - mean) ** 2 if len(kept) else 0.0
    return float(between / whole) if whole > 0 else math.nan


def _roles(models: Sequence[Measured]) -> list[str]:
    """Roles that at least two models have, in the order of the first."""
    counts: dict[str, int] = {}
    for model in models:
        for role in dict.fromkeys(place.role for place in model.places):
            counts[role] = counts.get(role, 0) + 1
    return [role for role, count in counts.items() if count >= min(2, len(models))]


def _chance(groups: int, count: int) -> float:
    return (groups - 1) / (count - 1) if count > 1 else math.nan


def _median(values: object) -> float:
    array = np.asarray(values, np.float64)
    array = array[np.isfinite(array)]
    return float(np.median(array)) if array.size else math.nan


def _last(value: float) -> float:
    """A key that puts NaN at the end."""
    return math.inf if math.isnan(value) else value
