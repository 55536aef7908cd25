"""How many singular values are not zero."""

from __future__ import annotations

import math

import numpy as np

from engine.spectra.registry import spectral_measure
from engine.spectra.results import Spectrum


@spectral_measure(unit="count", title="Numerical rank")
def numerical_rank(spectrum: Spectrum) -> float:
    """How many σ exceed σ₁ · max(rows, columns) · 2.2e-16, as numpy's matrix_rank counts in float64.

    NaN of an estimate. In float32 precision, how many exceed what that precision tells from zero.

    Source: numpy.linalg.matrix_rank; Press et al., Numerical Recipes, section 2.6.
    """
    singular = spectrum.singular
    return math.nan if singular.is_estimate else float(np.count_nonzero(singular.values > singular.resolution))
