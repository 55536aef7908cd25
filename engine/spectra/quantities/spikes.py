"""What stands out of noise (`engine.spectra.noise`)."""

from __future__ import annotations

import math

import numpy as np

from engine.spectra.registry import spectral_measure
from engine.spectra.results import NoiseEdge, Spectrum


@spectral_measure(unit="weight²", title="Marchenko-Pastur edge (λ)")
def iid_edge(spectrum: Spectrum) -> float:
    """Where the eigenvalues would end if the same entries stood in random places; NaN for fewer than 10 of them."""
    return spectrum.iid_edge.edge


@spectral_measure(unit="count", title="Spikes above the Marchenko-Pastur edge")
def iid_spikes(spectrum: Spectrum) -> float:
    """How many eigenvalues lie beyond the noise of shuffled entries (its 99 % point): too many.

    Rows and columns of different scale alone pass this edge; `scaled_spikes` is the honest count. NaN for fewer than 10
    singular values, or where an estimate does not reach down to the edge.
    """
    return _beyond(spectrum, spectrum.iid_edge)


@spectral_measure(unit="weight²", title="Row × column edge (λ)")
def scaled_edge(spectrum: Spectrum) -> float:
    """Where the eigenvalues of noise with the same row and column norms would end; NaN for fewer than 10 of them."""
    return spectrum.scaled_edge.edge


@spectral_measure(unit="count", title="Spikes above the row × column edge")
def scaled_spikes(spectrum: Spectrum) -> float:
    """How many directions stand out of noise with the same row and column norms (its 99 % point): the honest count.

    Noise itself shows one in 1 of 100 matrices. NaN for fewer than 10 singular values, or where an estimate does not
    reach down to the edge.
    """
    return _beyond(spectrum, spectrum.scaled_edge)


def _beyond(spectrum: Spectrum, edge: NoiseEdge) -> float:
    eigenvalues = spectrum.singular.eigenvalues
    if math.isnan(edge.edge) or (spectrum.singular.is_estimate and eigenvalues[-1] > edge.threshold):
        return math.nan
    return float(np.count_nonzero(eigenvalues > edge.threshold))
