"""The range of numbers a colour map spans, robust against outliers and the same for every view of a tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.folding import matrix_shape
from engine.heatmaps import Viewport, full_view, read_grid
from engine.measures.results import QUANTILE_PERCENTS, Distribution
from engine.sources.base import Source, TensorInfo

DEFAULT_PERCENT = 99.5
"""The upper percentile that takes the end colour; ours: about 1 % of the weights saturate, the bulk is seen."""

PERCENTS = tuple(percent for percent in QUANTILE_PERCENTS if percent >= 95.0)
"""The percentiles on offer: those that are stored exactly."""

SAMPLE_ROWS = 64
SAMPLE_COLUMNS = 1 << 14
"""Rows and entries per row looked at where no exact quantiles are stored: at most a million, evenly spaced; ours."""


@dataclass(frozen=True, slots=True)
class ColourLimits:
    """The numbers at both ends of a colour map: low < high; entries beyond them take the end colours.

    Attributes:
        low, high: the limits. is_signed: whether zero is the middle (low = −high) and a diverging map fits.
    """

    low: float
    high: float
    is_signed: bool


def colour_limits(
    source: Source,
    info: TensorInfo,
    distribution: Distribution | None = None,
    *,
    percent: float | None = DEFAULT_PERCENT,
) -> ColourLimits:
    """Limits for a tensor: a percentile, symmetric about zero for signed data.

    With q₋ and q₊ the (100 − percent) and percent quantiles, signed data get ±max(|q₋|, |q₊|). Data without a negative
    entry get [0, q₊], or [q₋, q₊] where they lie far from zero (q₋ > q₊ / 4, such as the scales of a norm). Where the
    quantiles are zero or equal, the full range is taken; where that is a single number c, [−|c|, |c|] or [0, c]; and
    [−1, 1] where there is nothing to see (only zeros, no finite entry).

    Args:
        source, info: the tensor. distribution: its stored one; exact, and nothing is read. Without it at most 64 evenly
            spaced rows of at most 16,384 evenly spaced entries are read: always the same ones, hence the same limits.
        percent: one of `PERCENTS`; None for the full range (exact with a distribution; without one, from the largest
            entry of every cell of an overview, passing over cells that hold NaN or Inf).
    """
    if distribution is not None:
        return _limits(distribution.minimum, distribution.maximum, _stored_quantiles(distribution, percent))
    values = sample_entries(source, info)
    if percent is None:
        overview = read_grid(source, info, full_view(info)).values.astype(np.float64)
        values = np.concatenate([values, overview[np.isfinite(overview)]])
    return value_limits(values, percent)


def value_limits(values: np.ndarray, percent: float | None = DEFAULT_PERCENT) -> ColourLimits:
    """The limits of these numbers, by the rules of `colour_limits`.

    Args:
        values: any shape, finite; may be empty. percent: above 50; None for the full range.
    """
    if values.size == 0:
        return ColourLimits(-1.0, 1.0, is_signed=True)
    quantiles = None if percent is None else tuple(np.percentile(values, [100.0 - percent, percent]))
    return _limits(float(values.min()), float(values.max()), quantiles)


def _limits(minimum: float, maximum: float, quantiles: tuple[float, float] | None) -> ColourLimits:
    if not (np.isfinite(minimum) and np.isfinite(maximum)) or minimum == maximum == 0:
        return ColourLimits(-1.0, 1.0, is_signed=True)
    low, high = quantiles if quantiles is not None else (minimum, maximum)
    if minimum < 0:
        bound = max(abs(low), abs(high)) or max(abs(minimum), abs(maximum))
        return ColourLimits(-float(bound), float(bound), is_signed=True)
    if low == high or high == 0:
        low, high = (minimum, maximum)
    low = low if high / 4 < low < high else 0.0
    return ColourLimits(float(low), float(high), is_signed=False)


def _stored_quantiles(distribution: Distribution, percent: float | None) -> tuple[float, float] | None:
    if percent is None:
        return None
    low, high = (QUANTILE_PERCENTS.index(round(wanted, 6)) for wanted in (100.0 - percent, percent))
    return float(distribution.quantiles[low]), float(distribution.quantiles[high])


def sample_entries(source: Source, info: TensorInfo) -> np.ndarray:
    """At most 64 × 16,384 evenly spaced finite entries, float64, (n,); all of them where the tensor has fewer."""
    rows, columns = matrix_shape(info.shape)
    if rows == 0 or columns == 0:
        return np.zeros(0)
    if len(info.shape) == 1:  # one row: its contiguous runs are read as if they were rows
        run = max(1, min(SAMPLE_COLUMNS, columns // SAMPLE_ROWS)) if columns > SAMPLE_COLUMNS else columns
        starts = _evenly(columns - run + 1, SAMPLE_ROWS if columns > SAMPLE_COLUMNS else 1)
        windows = [Viewport(0, 1, start, start + run, 1, run) for start in starts]
    else:
        windows = [Viewport(row, row + 1, 0, columns, 1, columns) for row in _evenly(rows, SAMPLE_ROWS)]
    pieces = []
    for window in windows:
        grid = read_grid(source, info, window)
        values = (grid.values if grid.stored is None else grid.stored)[0]
        pieces.append(values[:: max(1, -(-values.size // SAMPLE_COLUMNS))].astype(np.float64))
    sample = np.concatenate(pieces)
    return sample[np.isfinite(sample)]


def _evenly(count: int, most: int) -> list[int]:
    """At most `most` of 0 … count − 1, evenly spaced, the first and the last among them."""
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, most))})
