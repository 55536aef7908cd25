"""The power law in the tail of the eigenvalues λ = σ² (`engine.spectra.power_law`)."""

from __future__ import annotations

from engine.spectra.registry import spectral_measure
from engine.spectra.results import Spectrum


@spectral_measure(unit="1", title="Tail exponent α")
def alpha(spectrum: Spectrum) -> float:
    """Exponent α of the power law p(λ) ∝ λ^−α that fits the largest eigenvalues best; smaller is a heavier tail.

    Well-trained layers usually have 2 to 6; untrained ones 6 and more, layers that fit a few examples below 2. The
    third decimal is noise: rounding the weights to bf16 moves it. NaN for fewer than 20 eigenvalues and of an estimate.

    Source: Martin & Mahoney 2021, JMLR 22(165); the fit: Clauset, Shalizi & Newman 2009.
    """
    return spectrum.tail.alpha


@spectral_measure(unit="1", title="Standard error of α")
def alpha_error(spectrum: Spectrum) -> float:
    """(α − 1)/√n with n the eigenvalues in the tail; it takes x_min for known.

    Source: Clauset, Shalizi & Newman 2009, equation 3.2.
    """
    return spectrum.tail.error


@spectral_measure(unit="weight²", title="Beginning of the tail (λ)")
def x_min(spectrum: Spectrum) -> float:
    """The smallest eigenvalue that counts to the tail: where the fit comes nearest to the data."""
    return spectrum.tail.x_min


@spectral_measure(unit="1", title="Distance of the tail from the fit")
def ks_distance(spectrum: Spectrum) -> float:
    """Kolmogorov-Smirnov distance between the tail and the fitted law, 0 … 1; above about 0.1 α says little."""
    return spectrum.tail.distance


@spectral_measure(unit="count", title="Eigenvalues in the tail")
def tail_count(spectrum: Spectrum) -> float:
    """How many eigenvalues the fit of α rests on."""
    return float(spectrum.tail.num_tail) if spectrum.tail.num_tail else float("nan")
