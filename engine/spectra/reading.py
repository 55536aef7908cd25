"""Reading a tensor: its singular values and every registered spectral measure."""

from __future__ import annotations

import math

import numpy as np

from engine.errors import Cancelled, HubError, MeasureError, WeightscopeError
from engine.folding import matrix_shape
from engine.sources.base import ByteCallback, Source, TensorInfo
from engine.spectra.gram import folded
from engine.spectra.leading_values import leading_values
from engine.spectra.noise import NO_EDGE, iid_edge, scaled_edge
from engine.spectra.power_law import MIN_EIGENVALUES, NO_TAIL, fit_power_law
from engine.spectra.registry import SPECTRAL_MEASURES
from engine.spectra.results import SingularValues, SpectralReading, Spectrum
from engine.spectra.settings import SpectrumSettings
from engine.spectra.singular_values import singular_values

MIN_NOISE_SIDE = 10
"""Singular values from which on the laws of large matrices are used; Johnstone 2001 finds them good from 10 on."""


def has_spectrum(info: TensorInfo) -> bool:
    """Whether a tensor is a matrix, or folds to one, of more than one row and column; the others are passed over."""
    return len(info.shape) >= 2 and min(matrix_shape(info.shape)) >= 2


def measure_spectrum(
    source: Source,
    info: TensorInfo,
    settings: SpectrumSettings | None = None,
    *,
    on_bytes: ByteCallback | None = None,
) -> SpectralReading:
    """Read one tensor of a checkpoint and measure its spectrum.

    Args:
        source: the open checkpoint. info: which of its tensors.
        on_bytes: called as the weights are read with the bytes in memory since the last call; may raise Cancelled.
    Returns: the reading; a tensor without a spectrum gives one with its `problem` and NaN for every measure.
    Raises: Cancelled, if `on_bytes` raises it; HubError if a remote tensor cannot be fetched.
    """
    try:
        return measure_array(source.read(info.name), settings, on_bytes=on_bytes)
    except (Cancelled, HubError):  # a network that fails says nothing about the tensor
        raise
    except WeightscopeError as error:
        return no_reading(error.message)


def measure_array(
    array: np.ndarray, settings: SpectrumSettings | None = None, *, on_bytes: ByteCallback | None = None
) -> SpectralReading:
    """Measure the spectrum of an array of any shape and real type; it is never changed.

    A vector is a matrix of one row, a scalar one of one entry (`engine.folding`).

    Raises: MeasureError for complex numbers, for NaN or ±Inf, for a tensor without elements; Cancelled.
    """
    settings = settings or SpectrumSettings()
    matrix = folded(array)
    if matrix.size == 0:
        raise MeasureError(f"It has no elements (shape {'x'.join(map(str, array.shape))}): it has no singular values.")
    if min(matrix.shape) > settings.max_exact_side:
        found = leading_values(matrix, settings.num_leading, settings.seed, on_bytes)
    else:
        found = singular_values(matrix, settings.precision, on_bytes)
    return reading_of(found)


def reading_of(singular: SingularValues) -> SpectralReading:
    """Every registered measure of singular values that were taken before."""
    spectrum = spectrum_of(singular)
    return SpectralReading(singular, {name: entry.function(spectrum) for name, entry in SPECTRAL_MEASURES.items()})


def spectrum_of(singular: SingularValues) -> Spectrum:
    """Everything that is fitted to singular values."""
    is_large = min(singular.num_rows, singular.num_columns) >= MIN_NOISE_SIDE
    told = singular.values > singular.resolution
    return Spectrum(
        singular,
        NO_TAIL if singular.is_estimate else fit_power_law(singular.eigenvalues[told]),
        iid_edge(singular.num_rows, singular.num_columns, singular.energy) if is_large else NO_EDGE,
        scaled_edge(singular.row_squares, singular.column_squares) if is_large else NO_EDGE,
    )


def no_reading(problem: str) -> SpectralReading:
    """The reading of a tensor that has no spectrum, or whose spectrum could not be taken."""
    return SpectralReading(None, dict.fromkeys(SPECTRAL_MEASURES, math.nan), problem)


def warm_up() -> None:
    """Compile the kernels, or load them from the cache; afterwards no spectrum waits for the compiler."""
    measure_array(np.diag(np.arange(1.0, 1.0 + MIN_EIGENVALUES)))
