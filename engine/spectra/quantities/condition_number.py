"""How far the matrix is from singular."""

from __future__ import annotations

import math

from engine.spectra.registry import spectral_measure
from engine.spectra.results import Spectrum


@spectral_measure(unit="1", title="Condition number")
def condition_number(spectrum: Spectrum) -> float:
    """σ₁/σₖ, k = min(rows, columns): by how much the matrix can magnify a relative error; 1 for scaled orthogonal ones.

    ∞ for a singular matrix, one whose σₖ is not told from zero; NaN for a zero matrix and of an estimate. Up to 1e3 it
    is right to ten digits, at 1e6 to some three: the smallest σ is known to about 1e-10 of the largest.

    Source: Golub & Van Loan, Matrix Computations, section 2.6.
    """
    singular = spectrum.singular
    if singular.is_estimate or singular.values[0] == 0:
        return math.nan
    return math.inf if singular.values[-1] <= singular.resolution else float(singular.values[0] / singular.values[-1])
