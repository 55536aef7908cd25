"""The singular values, free of the matrix's scale and, where that can be, of its size."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engine.discovery.signature.facts import Facts
from engine.discovery.signature.registry import LINES, Traits, feature
from engine.spectra.quantities.entropy import effective_rank, spectral_entropy
from engine.spectra.results import NoiseEdge

DIRECTIONS = LINES | {"sign", "rotation"}
SPECTRUM = Traits("spectrum", DIRECTIONS)
SHARE = replace(SPECTRUM, unit="share", resolution=0.02)
RATIO = replace(SPECTRUM, transform="log")
SCALED = LINES | {"sign"}
"""The row × column edge knows the norms of rows and columns, which a rotation changes."""

QUIET = 0.01
"""A direction below this part of the root-mean-square singular value carries next to nothing; chosen by us."""


@feature(RATIO, "Stable rank, relative")
def stable_rank_share(facts: Facts) -> float:
    """Σσ²/σ₁² over k = min(rows, columns), 1/k … 1: 1 if all directions are equally strong. NaN for a zero matrix."""
    values = facts.singular.values
    return facts.singular.energy / values[0] ** 2 / len(values) if values[0] > 0 else math.nan


@feature(SHARE, "Effective rank, relative")
def effective_rank_share(facts: Facts) -> float:
    """exp(−Σ p ln p) with p = σ/Σσ, over k: 1 if all directions are equally strong. NaN for a zero matrix.

    Source: Roy & Vetterli 2007.
    """
    return effective_rank(facts.spectrum) / len(facts.singular.values)


@feature(replace(SPECTRUM, resolution=0.01), "Spectral entropy")
def energy_entropy(facts: Facts) -> float:
    """−Σ p ln p / ln k with p = σ²/Σσ²: 0 if one direction has all energy, 1 if all share it. NaN for a zero matrix.

    Source: Alter, Brown & Botstein 2000.
    """
    return spectral_entropy(facts.spectrum)


@feature(replace(RATIO, resolution=0.1), "Tail exponent α")
def alpha(facts: Facts) -> float:
    """Exponent of the power law that fits the largest eigenvalues; smaller is a heavier tail. NaN below 20 of them.

    Source: Clauset, Shalizi & Newman 2009, as `engine.spectra.power_law`.
    """
    return facts.spectrum.tail.alpha


@feature(replace(SPECTRUM, resolution=0.02), "Distance of the tail from the fit")
def alpha_distance(facts: Facts) -> float:
    """Kolmogorov-Smirnov distance between the tail and the fitted power law, 0 … 1. NaN where α is."""
    return facts.spectrum.tail.distance


@feature(replace(SHARE, resolution=0.05), "Length of the tail")
def tail_share(facts: Facts) -> float:
    """Share of the eigenvalues that the power law was fitted to. NaN where α is."""
    tail = facts.spectrum.tail
    return tail.num_tail / len(facts.singular.values) if tail.num_tail else math.nan


@feature(SHARE, "Spikes, iid")
def iid_spike_share(facts: Facts) -> float:
    """Share of the directions beyond the Marchenko-Pastur edge (99 % point) of shuffled entries.

    Too many: rows or columns of different scale alone reach beyond it. NaN below 10 directions.
    """
    return _beyond(facts, facts.spectrum.iid_edge)[0]


@feature(replace(SHARE, invariances=SCALED), "Spikes, row × column")
def scaled_spike_share(facts: Facts) -> float:
    """Share of the directions beyond the edge (99 % point) of noise with the same row and column norms.

    The honest count of structure. NaN below 10 directions.
    """
    return _beyond(facts, facts.spectrum.scaled_edge)[0]


@feature(SHARE, "Energy in spikes, iid")
def iid_spike_energy(facts: Facts) -> float:
    """Share of Σσ² in the directions beyond the Marchenko-Pastur edge. NaN below 10 directions."""
    return _beyond(facts, facts.spectrum.iid_edge)[1]


@feature(replace(SHARE, invariances=SCALED), "Energy in spikes, row × column")
def scaled_spike_energy(facts: Facts) -> float:
    """Share of Σσ² in the directions beyond the edge of noise with the same norms. NaN below 10 directions."""
    return _beyond(facts, facts.spectrum.scaled_edge)[1]


@feature(RATIO, "Largest direction over the edge, iid")
def top_over_iid_edge(facts: Facts) -> float:
    """σ₁ over the Marchenko-Pastur edge: about 1 for noise equal in all entries. NaN below 10 directions."""
    return _over(facts, facts.spectrum.iid_edge)


@feature(replace(RATIO, invariances=SCALED), "Largest direction over the edge, row × column")
def top_over_scaled_edge(facts: Facts) -> float:
    """σ₁ over the edge of noise with the same row and column norms: about 1 for it. NaN below 10 directions."""
    return _over(facts, facts.spectrum.scaled_edge)


@feature(RATIO, "First over second direction")
def top_gap(facts: Facts) -> float:
    """σ₁/σ₂: well above 1 where a single direction dominates. NaN if σ₂ is not told from zero."""
    values = facts.singular.values
    return float(values[0] / values[1]) if values[1] > max(facts.singular.resolution, 1e-6 * values[0]) else math.nan


@feature(replace(SHARE, resolution=0.01), "Directions with half the energy")
def half_energy_rank(facts: Facts) -> float:
    """Share of the directions, strongest first, that together hold 50 % of Σσ², interpolated. NaN for zero."""
    return _energy_rank(facts, 0.5)


@feature(SHARE, "Directions with 90 % of the energy")
def most_energy_rank(facts: Facts) -> float:
    """Share of the directions, strongest first, that together hold 90 % of Σσ², interpolated. NaN for zero."""
    return _energy_rank(facts, 0.9)


@feature(SPECTRUM, "Spread of the bulk")
def bulk_spread(facts: Facts) -> float:
    """(q₇₅ − q₂₅) of the singular values over their root mean square: the middle of the spectrum. NaN for zero."""
    values = facts.singular.values
    low, high = np.quantile(values, [0.25, 0.75])
    rms = math.sqrt(facts.singular.energy / len(values))
    return float(high - low) / rms if rms > 0 else math.nan


@feature(SHARE, "Quiet directions")
def quiet_share(facts: Facts) -> float:
    """Share of the directions whose σ is below 1 % of the root mean square: that carry next to nothing.

    0 for noise that is not square; all but the rank of a low-rank matrix. NaN for a zero matrix.
    """
    values = facts.singular.values
    rms = math.sqrt(facts.singular.energy / len(values))
    return float(np.mean(values < QUIET * rms)) if rms > 0 else math.nan


def _beyond(facts: Facts, edge: NoiseEdge) -> tuple[float, float]:
    """(share of the directions, share of the energy) beyond an edge."""
    if math.isnan(edge.edge):
        return math.nan, math.nan
    eigenvalues = facts.singular.eigenvalues
    is_spike = eigenvalues > edge.threshold
    return float(is_spike.mean()), float(eigenvalues[is_spike].sum() / facts.singular.energy)


def _over(facts: Facts, edge: NoiseEdge) -> float:
    return float(facts.singular.values[0]) / math.sqrt(edge.edge) if edge.edge > 0 else math.nan


def _energy_rank(facts: Facts, share: float) -> float:
    """Where the running sum of σ² crosses a share of all, linear between directions, over k."""
    eigenvalues = facts.singular.eigenvalues
    if not eigenvalues[0] > 0:
        return math.nan
    running = np.concatenate([[0.0], np.cumsum(eigenvalues)])
    return float(np.interp(share * running[-1], running, np.arange(len(running)))) / len(eigenvalues)
