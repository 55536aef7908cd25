"""Waves in a matrix: its power spectrum on its own rows and columns, beside that of a null made from it.

The order of a linear layer's rows and columns means nothing to the network, so that its spectrum is that of noise.
Where order means something (positions, time, pixels, a grid of heads), waves show, with their periods in rows and
columns. Nothing is resized: a frequency is periods per row, or per column, of the matrix itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.discovery.fourier_power import AxisPower, PowerSpectrum, power_spectrum
from engine.discovery.nulls import null_matrix
from engine.folding import matrix_shape

NEAR = 2
"""Frequencies next to a peak, in steps of the grid, that are its own foot and no peaks of their own."""


@dataclass(frozen=True, slots=True)
class FourierSettings:
    """How waves are looked for.

    Attributes:
        null: the null model beside it, one of `nulls.NULLS`. Shuffled rows and columns by default: it forgets the order
            and nothing else, so that its p-values are exact. Shuffled entries are no fair null for weights whose rows
            or columns differ in scale: on such noise they call 77 of 100 autocorrelations significant at 0.05.
        num_nulls: how many of it: 19 give p-values of 0.05.
        num_peaks: peaks that are listed. num_lags: places that autocorrelation goes on for.
        max_elements: of larger matrices a strip of neighbouring rows (or columns) from the middle is looked at; 2²²,
            chosen by us: a few seconds. seed: of the nulls.
    """

    null: str = "line_permutation"
    num_nulls: int = 19
    num_peaks: int = 8
    num_lags: int = 64
    max_elements: int = 1 << 22
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Peak:
    """A wave that stands out.

    Attributes:
        row_frequency: periods per row, −½ … ½; below zero the wave runs against the columns. column_frequency: periods
            per column, 0 … ½.
        height: its energy over the mean of its kind (`PowerSpectrum.relative`): 1 on average for noise.
        share: of all energy, 0 … 1.
        p_value: share of the nulls (and this matrix) whose highest peak is as high, 1/(nulls + 1) at least.
    """

    row_frequency: float
    column_frequency: float
    height: float
    share: float
    p_value: float

    @property
    def row_period(self) -> float:
        """Rows after which it repeats; inf if it does not change down the rows."""
        return 1 / abs(self.row_frequency) if self.row_frequency else np.inf

    @property
    def column_period(self) -> float:
        """Columns after which it repeats; inf if it does not change along the columns."""
        return 1 / self.column_frequency if self.column_frequency else np.inf


@dataclass(frozen=True, eq=False)
class AxisReading:
    """What there is along one axis, beside the nulls.

    Attributes:
        power: energy by frequency. relative: (n//2,) its density above frequency zero, over the mean.
        relative_band: (2, n//2) between which 95 of 100 nulls lie: mean ± 1.96 standard deviations of the nulls,
            the latter pooled over frequencies.
        autocorrelation: (lags,) from lag 0 on. autocorrelation_band: (2, lags) as before, pooled over lags.
        peak_p_value, autocorrelation_p_value: share of the nulls (and this matrix) whose highest frequency is as
            high, or whose largest |autocorrelation| beyond lag 0 is as large; NaN where there is nothing to compare.
    """

    power: AxisPower
    relative: np.ndarray
    relative_band: np.ndarray
    autocorrelation: np.ndarray
    autocorrelation_band: np.ndarray
    peak_p_value: float
    autocorrelation_p_value: float


@dataclass(frozen=True, eq=False)
class FourierReading:
    """Waves in a matrix beside those in its nulls.

    Attributes:
        settings: how it was done. row_start, row_stop, column_start, column_stop: the part that was looked at.
        is_whole: whether that is all of it.
        spectrum: of the matrix. null_spectrum: of the first null.
        peaks: the highest, highest first. null_heights: (nulls,) the highest peak of each null.
        rows, columns: along each axis.
    """

    settings: FourierSettings
    row_start: int
    row_stop: int
    column_start: int
    column_stop: int
    is_whole: bool
    spectrum: PowerSpectrum
    null_spectrum: PowerSpectrum
    peaks: tuple[Peak, ...]
    null_heights: np.ndarray
    rows: AxisReading
    columns: AxisReading

    @property
    def found(self) -> tuple[Peak, ...]:
        """The peaks that are higher than those of all nulls."""
        return tuple(peak for peak in self.peaks if peak.height > self.null_heights.max(initial=0.0))


def highest_peaks(spectrum: PowerSpectrum, number: int, null_heights: np.ndarray) -> tuple[Peak, ...]:
    """The highest frequencies that do not stand next to a higher one, highest first.

    Args: null_heights: the highest peak of each null, for the p-values; () gives 1.
    """
    relative = spectrum.relative()
    flat = relative.ravel()
    candidates = np.argpartition(flat, -min(flat.size, 64 * number))[-min(flat.size, 64 * number) :]
    places: list[tuple[int, int]] = []
    for place in candidates[np.argsort(-flat[candidates], kind="stable")]:
        u, v = divmod(int(place), relative.shape[1])
        if flat[place] > 0 and all(_distance(spectrum, (u, v), other) > NEAR for other in places):
            places.append((u, v))
        if len(places) == number:
            break
    return tuple(_peak(spectrum, u, v, float(relative[u, v]), null_heights) for u, v in places)


def fourier_reading(
    matrix: np.ndarray, settings: FourierSettings | None = None, check: Callable[[], None] | None = None
) -> FourierReading:
    """Look for waves in a matrix, and in nulls made from it.

    Args: matrix: any shape of at least two dimensions (`engine.folding`), any real type. check: may stop the work.
    Raises: MeasureError if it is no matrix of at least 2 × 2, or holds NaN or ±Inf.
    """
    settings = settings or FourierSettings()
    matrix = matrix.reshape(matrix_shape(matrix.shape))
    rows, columns = middle_strip(matrix.shape, settings.max_elements)
    looked_at = np.ascontiguousarray(matrix[rows, columns])
    spectrum = power_spectrum(looked_at)
    nulls, first = [], None
    for number in range(settings.num_nulls):
        if check is not None:
            check()
        null = power_spectrum(null_matrix(settings.null, looked_at, settings.seed + number))
        nulls.append(_NullFacts.of(null, settings.num_lags))
        first = null if first is None else first
    heights = np.array([null.height for null in nulls])
    return FourierReading(
        settings=settings,
        row_start=rows.start,
        row_stop=rows.stop,
        column_start=columns.start,
        column_stop=columns.stop,
        is_whole=looked_at.size == matrix.size,
        spectrum=spectrum,
        null_spectrum=first if first is not None else spectrum,
        peaks=highest_peaks(spectrum, settings.num_peaks, heights),
        null_heights=heights,
        rows=_axis_reading(spectrum, 0, [null.axes[0] for null in nulls], settings.num_lags),
        columns=_axis_reading(spectrum, 1, [null.axes[1] for null in nulls], settings.num_lags),
    )


def middle_strip(shape: tuple[int, int], max_elements: int) -> tuple[slice, slice]:
    """The rows and columns that are looked at: all, or a strip of neighbours from the middle of the longer axis."""
    length, other = max(shape), min(shape)
    kept = length if length * other <= max_elements else max(2, max_elements // other)
    start = (length - kept) // 2
    strip = slice(start, start + kept)
    return (strip, slice(0, shape[1])) if shape[0] >= shape[1] else (slice(0, shape[0]), strip)


@dataclass(frozen=True, eq=False)
class _NullFacts:
    """What is kept of a null: its highest peak, and along each axis its relative density and autocorrelation."""

    height: float
    axes: tuple[tuple[np.ndarray, np.ndarray], ...]

    @classmethod
    def of(cls, spectrum: PowerSpectrum, num_lags: int) -> _NullFacts:
        powers = (spectrum.along(axis) for axis in (0, 1))
        axes = tuple((power.relative, power.autocorrelation(num_lags)) for power in powers)
        return cls(float(spectrum.relative().max()), axes)


def _axis_reading(
    spectrum: PowerSpectrum, axis: int, nulls: list[tuple[np.ndarray, np.ndarray]], num_lags: int
) -> AxisReading:
    power = spectrum.along(axis)
    relative, correlation = power.relative, power.autocorrelation(num_lags)
    null_relative = np.array([each for each, _ in nulls]).reshape(len(nulls), len(relative))
    null_correlation = np.array([each for _, each in nulls]).reshape(len(nulls), num_lags)
    return AxisReading(
        power,
        relative,
        _band(null_relative),
        correlation,
        _band(null_correlation[:, 1:], first=1.0),
        _p_value(relative, null_relative),
        _p_value(np.abs(correlation[1:]), np.abs(null_correlation[:, 1:])),
    )


def _band(nulls: np.ndarray, first: float | None = None) -> np.ndarray:
    """Mean ± 1.96 standard deviations of the nulls, both the same for all places of the axis."""
    known = nulls[:, ~np.isnan(nulls).any(axis=0)]
    if known.size == 0:
        low = high = np.nan
    else:
        low, high = (float(known.mean() + sign * 1.96 * known.std()) for sign in (-1, 1))
    band = np.repeat([[low], [high]], nulls.shape[1], axis=1)
    return band if first is None else np.hstack([np.full((2, 1), first), band])


def _p_value(values: np.ndarray, nulls: np.ndarray) -> float:
    """(1 + nulls whose largest number is as large) / (1 + nulls)."""
    values, nulls = values[~np.isnan(values)], nulls[:, ~np.isnan(values)]
    if values.size == 0 or len(nulls) == 0:
        return np.nan
    return float((1 + np.count_nonzero(nulls.max(axis=1) >= values.max())) / (1 + len(nulls)))


def _distance(spectrum: PowerSpectrum, first: tuple[int, int], second: tuple[int, int]) -> int:
    """Steps between two frequencies on the grid, around its edges; (u, 0) and (−u, 0) are one wave."""
    rows = spectrum.num_rows

    def around(step: int) -> int:
        return min(step % rows, -step % rows)

    across = abs(first[1] - second[1])
    direct = max(around(first[0] - second[0]), across)
    mirrored = max(around(first[0] + second[0]), first[1] + second[1])
    folded = max(around(first[0] + second[0]), spectrum.num_columns - first[1] - second[1])
    return min(direct, mirrored, folded)


def _peak(spectrum: PowerSpectrum, u: int, v: int, height: float, null_heights: np.ndarray) -> Peak:
    p_value = (1 + np.count_nonzero(null_heights >= height)) / (1 + len(null_heights))
    row = float(spectrum.row_frequencies[u])
    # A wave that does not change along the columns has no direction: one of its two mirror images is enough.
    row = abs(row) if v == 0 or 2 * v == spectrum.num_columns else row
    share = float(spectrum.energy[u, v]) / spectrum.total
    if (v == 0 or 2 * v == spectrum.num_columns) and (2 * u) % spectrum.num_rows:
        share *= 2  # the other image of the same wave
    return Peak(row, float(spectrum.column_frequencies[v]), height, share, float(p_value))
