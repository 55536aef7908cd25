"""What features are computed from: everything that is found out once about a matrix, when it is first asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.discovery.fourier_power import AxisPower, axis_power
from engine.errors import MeasureError
from engine.sources.base import ByteCallback
from engine.spectra.reading import spectrum_of
from engine.spectra.results import SingularValues, Spectrum
from engine.spectra.singular_values import singular_values

STRIP = 1 << 20
"""Numbers held in float64 at a time."""

NUM_RANKS = 1 << 14
"""Evenly spread order statistics that laws are fitted to; chosen by us: of more entries, 5 degrees of freedom then
come out within 0.1 % of what all entries give."""

FAR = 4.0
"""Robust standard deviations from the median beyond which a weight counts as far out; a normal has 6 in 100,000."""


@dataclass(frozen=True, slots=True)
class HeadRun:
    """Where one part of one head lies: a run of rows (axis 0) or of columns (axis 1), half open."""

    axis: int
    start: int
    stop: int


class Facts:
    """One matrix, and all that features ask of it; each fact is computed once.

    The matrix is divided by a power of two, so that squares neither overflow nor vanish; `unit` gives it back.

    Args:
        matrix: (rows, cols), any real type, both at least 2. heads: where its heads lie; () where it has none.
        on_bytes: told of bytes as they are read; may raise Cancelled.
    Raises: MeasureError if it is no such matrix, or holds NaN or ±Inf.
    """

    def __init__(
        self, matrix: np.ndarray, heads: tuple[HeadRun, ...] = (), on_bytes: ByteCallback | None = None
    ) -> None:
        if matrix.ndim != 2 or min(matrix.shape) < 2:
            shape = " × ".join(map(str, matrix.shape)) or "scalar"
            raise MeasureError(f"A signature is taken of a matrix of at least 2 × 2, got {shape}.")
        if matrix.dtype.kind in "cbSUOMm":
            raise MeasureError(f"A signature is taken of real numbers, got {matrix.dtype}.")
        self.heads, self._on_bytes = heads, on_bytes
        is_narrow = matrix.dtype.itemsize < 4 or matrix.dtype == np.float32
        with np.errstate(invalid="ignore"):
            work = np.array(matrix, np.float32 if is_narrow else np.float64)
        largest = float(max(work.max(), -work.min()))
        if not math.isfinite(largest):
            num_bad = int(work.size - np.count_nonzero(np.isfinite(work)))
            raise MeasureError(f"It has {num_bad:,} NaN or infinite values: its signature is not defined.")
        exponent = math.frexp(largest)[1] if largest > 0 else 0
        self.unit = math.ldexp(1.0, exponent) if exponent < 1024 else math.inf
        self.matrix = np.ldexp(work, -exponent, out=work)

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    def check(self) -> None:
        """Let the work be stopped here."""
        if self._on_bytes is not None:
            self._on_bytes(0)

    @cached_property
    def ordered(self) -> np.ndarray:
        """(n,) all entries, increasing."""
        self.check()
        return np.sort(self.matrix, axis=None)

    @cached_property
    def mean(self) -> float:
        return sum(float(part.sum()) for part in _parts(self.ordered)) / self.ordered.size

    @cached_property
    def moments(self) -> tuple[float, float, float]:
        """Central moments Σ(x − mean)ᵏ/n, k = 2, 3, 4."""
        sums = np.zeros(3)
        for part in _parts(self.ordered):
            centred = part - self.mean
            squares = centred * centred
            sums += squares.sum(), (squares * centred).sum(), (squares * squares).sum()
        return tuple(float(total) for total in sums / self.ordered.size)

    @cached_property
    def mean_magnitude(self) -> float:
        return sum(float(np.abs(part).sum()) for part in _parts(self.ordered)) / self.ordered.size

    @property
    def std(self) -> float:
        """Standard deviation, 0 where it is no more than rounding."""
        std = math.sqrt(self.moments[0])
        return std if std > 1e-7 * max(abs(float(self.ordered[0])), abs(float(self.ordered[-1]))) else 0.0

    @property
    def rms(self) -> float:
        return math.sqrt(self.singular.energy / self.matrix.size)

    def quantile(self, share: float) -> float:
        """The number below which this share of the entries lies; numpy's "linear" definition."""
        place = share * (self.ordered.size - 1)
        below = int(place)
        low, high = float(self.ordered[below]), float(self.ordered[min(below + 1, self.ordered.size - 1)])
        return low + (high - low) * (place - below)

    @cached_property
    def median(self) -> float:
        return self.quantile(0.5)

    @cached_property
    def robust_std(self) -> float:
        """Quartile range / 1.349: a normal's standard deviation, whatever its tails do."""
        return (self.quantile(0.75) - self.quantile(0.25)) / 1.3489795003921634

    @cached_property
    def ranks(self) -> np.ndarray:
        """(k,) float64, increasing: all entries, or evenly spread order statistics of more than `NUM_RANKS`."""
        size = self.ordered.size
        if size <= NUM_RANKS:
            return self.ordered.astype(np.float64)
        return self.ordered[((np.arange(NUM_RANKS) + 0.5) * (size / NUM_RANKS)).astype(np.int64)].astype(np.float64)

    def num_outside(self, low: float, high: float) -> int:
        """Entries below `low` or above `high`."""
        first = np.searchsorted(self.ordered, self.matrix.dtype.type(low), "left")
        return int(first + self.ordered.size - np.searchsorted(self.ordered, self.matrix.dtype.type(high), "right"))

    @cached_property
    def singular(self) -> SingularValues:
        return singular_values(self.matrix, "float64", self._on_bytes)

    @cached_property
    def spectrum(self) -> Spectrum:
        return spectrum_of(self.singular)

    def line_squares(self, axis: int) -> np.ndarray:
        """Σx² of every row (axis 0) or column (axis 1), float64."""
        return self.singular.row_squares if axis == 0 else self.singular.column_squares

    @cached_property
    def line_sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Σx of every row, and of every column, float64."""
        return tuple(np.add.reduce(self.matrix, axis=1 - axis, dtype=np.float64) for axis in (0, 1))

    @cached_property
    def scaled(self) -> tuple[float, float]:
        """(mean y⁴ / (mean y²)², cosine between x² and rᵢ·cⱼ), y = x/√(rᵢ·cⱼ), r and c the rows' and columns' Σx²."""
        rows, columns = (self.line_squares(axis) for axis in (0, 1))
        kept_rows, kept_columns = rows > 0, columns > 0
        by_row, by_column = (np.divide(1.0, each, where=each > 0, out=np.zeros(len(each))) for each in (rows, columns))
        second = fourth = product = fourth_raw = 0.0
        for lines, strip in strips(self.matrix):
            squares = np.square(strip)
            product += rows[lines] @ (squares @ columns)
            second += by_row[lines] @ (squares @ by_column)
            np.square(squares, out=squares)
            fourth += np.square(by_row[lines]) @ (squares @ np.square(by_column))
            fourth_raw += squares.sum()
        count = int(kept_rows.sum()) * int(kept_columns.sum())
        length = math.sqrt(fourth_raw * float(rows @ rows) * float(columns @ columns))
        if not (second > 0 and length > 0):
            return math.nan, math.nan
        return fourth * count / second**2, product / length

    @cached_property
    def power(self) -> tuple[AxisPower, AxisPower]:
        """Energy by frequency down the rows, and along the columns."""
        self.check()
        return axis_power(self.matrix, 0), axis_power(self.matrix, 1)

    @cached_property
    def num_far(self) -> tuple[np.ndarray, np.ndarray]:
        """How many weights of every row, and of every column, lie more than `FAR` robust deviations out."""
        counts = np.zeros(self.shape[0], np.int64), np.zeros(self.shape[1], np.int64)
        reach = FAR * self.robust_std
        for lines, strip in strips(self.matrix):
            is_far = np.abs(strip - self.median) > reach
            counts[0][lines] = is_far.sum(axis=1)
            counts[1][:] += is_far.sum(axis=0)
        return counts

    @cached_property
    def head_singular(self) -> list[SingularValues]:
        """Singular values of each head's own part."""
        runs = (self.matrix[h.start : h.stop] if h.axis == 0 else self.matrix[:, h.start : h.stop] for h in self.heads)
        return [singular_values(run, "float64", self._on_bytes) for run in runs]


def strips(matrix: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Runs of rows in float64, with which rows they are."""
    step = max(1, STRIP // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], step):
        lines = slice(start, min(start + step, matrix.shape[0]))
        yield lines, matrix[lines].astype(np.float64)


def _parts(values: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, values.size, STRIP):
        yield values[start : start + STRIP].astype(np.float64)
