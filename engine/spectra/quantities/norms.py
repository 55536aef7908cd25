"""The size of the matrix, seen through its singular values."""

from __future__ import annotations

import math

from engine.spectra.registry import spectral_measure
from engine.spectra.results import Spectrum


@spectral_measure(unit="weight", title="Spectral norm")
def spectral_norm(spectrum: Spectrum) -> float:
    """σ₁, the largest singular value: how much the matrix can stretch a vector. Of an estimate, a lower bound."""
    return float(spectrum.singular.values[0])


@spectral_measure(unit="weight", title="Frobenius norm")
def frobenius_norm(spectrum: Spectrum) -> float:
    """√Σσ² = √Σx², the length of all weights as one vector; exact for an estimate too."""
    return math.sqrt(spectrum.singular.energy)


@spectral_measure(unit="weight", title="Nuclear norm")
def nuclear_norm(spectrum: Spectrum) -> float:
    """Σσ, the convex stand-in for the rank; NaN of an estimate, which has not all σ."""
    return math.nan if spectrum.singular.is_estimate else float(spectrum.singular.values.sum())
