"""How many directions carry the energy."""

from __future__ import annotations

import math

from engine.spectra.registry import spectral_measure
from engine.spectra.results import Spectrum


@spectral_measure(unit="1", title="Stable rank")
def stable_rank(spectrum: Spectrum) -> float:
    """‖W‖_F²/‖W‖₂² = Σσ²/σ₁²: 1 for a single direction, min(rows, columns) if all σ are equal; NaN for a zero matrix.

    Never above the rank, and hardly moved by small perturbations. Of an estimate, an upper bound that is close.

    Source: Rudelson & Vershynin 2007, Journal of the ACM 54(4).
    """
    largest = float(spectrum.singular.values[0])
    return spectrum.singular.energy / largest**2 if largest > 0 else math.nan
