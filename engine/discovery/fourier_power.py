"""How the energy of a matrix is spread over frequencies: along one of its axes, whatever its size, and along both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.errors import MeasureError
from engine.pooling import pool

ROUNDING = 1e-24
"""Energies below this part of the whole are what is left of zeros in float64."""

STRIP = 1 << 20
"""Numbers transformed at a time in float64; chosen by us: 8 MiB and their transform."""


@dataclass(frozen=True, eq=False)
class AxisPower:
    """The energy of a matrix by frequency along one axis, summed over the lines that run along it.

    Frequency u of n places is u/n periods per place. It is the 2-D power spectrum summed over the other axis.

    Attributes:
        length: n, places along the axis. num_lines: lines that were summed.
        energy: (n//2 + 1,) float64, Σ|X(u)|²/n over the lines, with the equal energy of −u added to that of u;
            all together they are Σx² (Parseval).
    """

    length: int
    num_lines: int
    energy: np.ndarray

    @property
    def frequencies(self) -> np.ndarray:
        """(n//2 + 1,) periods per place, 0 … ½."""
        return np.arange(len(self.energy)) / self.length

    @property
    def weights(self) -> np.ndarray:
        """(n//2 + 1,) how many of the n frequencies each stands for: 2, but 1 for zero and for ½."""
        weights = np.full(len(self.energy), 2.0)
        weights[0] = 1.0
        if self.length % 2 == 0:
            weights[-1] = 1.0
        return weights

    @property
    def density(self) -> np.ndarray:
        """Energy of a single frequency: level for white noise."""
        return self.energy / self.weights

    @cached_property
    def varying(self) -> float:
        """Energy apart from frequency zero: that of the lines about their own means."""
        return float(self.energy[1:].sum())

    @property
    def relative(self) -> np.ndarray:
        """(n//2,) density of the frequencies above zero over their mean: 1 for white noise; NaN for constant lines."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.density[1:] / (self.varying / max(1.0, float(self.weights[1:].sum())))

    def autocorrelation(self, num_lags: int) -> np.ndarray:
        """Correlation of the weights with those so many places further along the axis, lags 0 … num_lags − 1.

        Circular, of the lines about their own means: r(k) = Σ energy(u)·cos(2πuk/n) / Σ energy(u), u > 0. Noise has
        −1/(n − 1) on average. NaN for lags of n and more, and for constant lines.

        Source: Wiener-Khinchin.
        """
        density = self.density.copy()
        density[0] = 0.0
        found = np.fft.irfft(density, self.length) if self.length > 1 else np.zeros(1)
        result = np.full(num_lags, np.nan)
        if self.varying > 0:
            kept = min(num_lags, self.length)
            result[:kept] = found[:kept] / found[0]
        return result


def axis_power(matrix: np.ndarray, axis: int) -> AxisPower:
    """The energy of a matrix by frequency along an axis, a strip at a time.

    Args: matrix: (rows, cols), any real type, finite. axis: 0 for down the rows, 1 for along a row.
    """
    import scipy.fft

    length, num_lines = matrix.shape[axis], matrix.shape[1 - axis]
    energy = np.zeros(length // 2 + 1)
    step = max(1, STRIP // max(1, length))
    for start in range(0, num_lines, step):
        strip = matrix[start : start + step] if axis == 1 else matrix[:, start : start + step].T
        waves = scipy.fft.rfft(np.ascontiguousarray(strip, np.float64), axis=1)
        energy += (np.square(waves.real) + np.square(waves.imag)).sum(axis=0)
    power = AxisPower(length, num_lines, energy / max(1, length))
    return AxisPower(length, num_lines, power.energy * power.weights)


@dataclass(frozen=True, eq=False)
class PowerSpectrum:
    """The 2-D power spectrum of a matrix about its mean: energy by frequency down the rows and along the columns.

    Attributes:
        num_rows, num_columns: of the matrix.
        energy: (rows, cols//2 + 1) float64, |F(u, v)|²/(rows·cols), F the discrete Fourier transform; the energy of
            the frequencies −v is added, so that all together are Σ(x − mean)² (Parseval). Row u is u/rows periods per
            row, from rows/2 on (u − rows)/rows; column v is v/cols periods per column.
    """

    num_rows: int
    num_columns: int
    energy: np.ndarray

    @property
    def row_frequencies(self) -> np.ndarray:
        """(rows,) periods per row, −½ … ½, in the order of `energy`."""
        return np.fft.fftfreq(self.num_rows)

    @property
    def column_frequencies(self) -> np.ndarray:
        """(cols//2 + 1,) periods per column, 0 … ½."""
        return np.fft.rfftfreq(self.num_columns)

    @property
    def total(self) -> float:
        """Σ(x − mean)²."""
        return float(self.energy.sum())

    def relative(self) -> np.ndarray:
        """Energy of each single frequency over the mean of its kind: 1 on average for white noise.

        There are three kinds: waves that change down the rows and along the columns, and those that change along one
        of the two alone. The latter are the means of rows and of columns: where those differ, all of their kind have
        energy, which says nothing about order. A kind without energy beyond rounding is 0; all are of a constant.
        """
        single = self.energy / _doubled(self.num_columns)
        for kind, number in (
            ((slice(1, None), slice(0, 1)), self.num_rows - 1),
            ((slice(0, 1), slice(1, None)), self.num_columns - 1),
            ((slice(1, None), slice(1, None)), (self.num_rows - 1) * (self.num_columns - 1)),
        ):
            total = float(self.energy[kind].sum())
            single[kind] *= number / total if total > ROUNDING * self.total else 0.0
        return single

    def along(self, axis: int) -> AxisPower:
        """Energy by frequency along one axis, summed over the other: 0 for down the rows, 1 for along the columns."""
        if axis == 1:
            return AxisPower(self.num_columns, self.num_rows, self.energy.sum(axis=0))
        found = self.energy.sum(axis=1)
        half = found[: self.num_rows // 2 + 1].copy()
        mirrored = found[: self.num_rows // 2 : -1]
        half[1 : 1 + len(mirrored)] += mirrored
        return AxisPower(self.num_rows, self.num_columns, half)


def power_spectrum(matrix: np.ndarray) -> PowerSpectrum:
    """The 2-D power spectrum of a matrix about its mean, in float64.

    Args: matrix: (rows, cols), any real type.
    Raises: MeasureError if it is no matrix of at least 2 × 2, or holds NaN or ±Inf.
    """
    import scipy.fft

    if matrix.ndim != 2 or min(matrix.shape) < 2:
        raise MeasureError(f"A power spectrum is taken of a matrix of at least 2 × 2, got {matrix.shape}.")
    values = np.array(matrix, np.float64)
    if not np.isfinite(values).all():
        num_bad = int(values.size - np.isfinite(values).sum())
        raise MeasureError(f"It has {num_bad:,} NaN or infinite values: no waves are defined.")
    values -= values.mean()
    waves = scipy.fft.rfft2(values, overwrite_x=True)
    energy = np.square(waves.real) + np.square(waves.imag)
    energy[0, 0] = 0.0  # the mean, which was taken away, up to rounding
    energy *= _doubled(matrix.shape[1]) / matrix.size
    return PowerSpectrum(*matrix.shape, energy)


def power_picture(spectrum: PowerSpectrum, height: int = 256, width: int = 256) -> np.ndarray:
    """The spectrum as a bounded grid that hides no peak: each cell holds the highest frequency that it covers.

    Returns: (h, w) float32, at most height × width, energy over the mean of its kind; rows from frequency −½ to ½,
        columns from 0 to ½.
    """
    return pool(np.fft.fftshift(spectrum.relative(), axes=0).astype(np.float32), height, width)


def _doubled(num_columns: int) -> np.ndarray:
    """How many frequencies each column of the half plane stands for."""
    weights = np.full(num_columns // 2 + 1, 2.0)
    weights[0] = 1.0
    if num_columns % 2 == 0:
        weights[-1] = 1.0
    return weights
