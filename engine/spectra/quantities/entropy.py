"""How evenly the singular values share: two entropies."""

from __future__ import annotations

import math

import numpy as np

from engine.spectra.registry import spectral_measure
from engine.spectra.results import Spectrum


@spectral_measure(unit="1", title="Effective rank")
def effective_rank(spectrum: Spectrum) -> float:
    """exp(−Σ p ln p) with p = σ/Σσ: how many equally large singular values would be as spread out.

    1 … min(rows, columns); NaN for a zero matrix and of an estimate.

    Source: Roy & Vetterli 2007, EUSIPCO, "The effective rank".
    """
    if spectrum.singular.is_estimate:
        return math.nan
    return math.exp(_entropy(spectrum.singular.values))


@spectral_measure(unit="1", title="Spectral entropy")
def spectral_entropy(spectrum: Spectrum) -> float:
    """−Σ p ln p / ln k with p = σ²/Σσ², k = min(rows, columns): 0 if one direction has all energy, 1 if all share it.

    NaN for a zero matrix, for k = 1, and of an estimate.

    Source: Alter, Brown & Botstein 2000, PNAS 97(18), equation 3.
    """
    number = len(spectrum.singular.values)
    if spectrum.singular.is_estimate or number < 2:
        return math.nan
    return _entropy(spectrum.singular.values / (spectrum.singular.values[0] or 1.0), power=2) / math.log(number)


def _entropy(values: np.ndarray, power: int = 1) -> float:
    """−Σ p ln p with p = xᵏ/Σxᵏ, 0 ln 0 = 0; NaN if all are zero."""
    weights = values**power
    total = weights.sum()
    if not total > 0:
        return math.nan
    shares = weights[weights > 0] / total
    return max(0.0, float(-(shares * np.log(shares)).sum()))
