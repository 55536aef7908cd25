"""Row and column profiles, taken slice by slice while the slice is still in the cache."""

from __future__ import annotations

import numpy as np

from engine.folding import matrix_shape
from engine.measures.kernels import expand, profile
from engine.measures.results import AxisProfile

MAX_PROFILE = 1 << 20
"""Longest profile that is kept: rows beyond this many get none, columns beyond it switch both off; chosen by us."""

MIN_ROWS = 16
"""Rows of a span at least, so that merging its columns costs little beside reading them."""

_MEMORY = 24 << 20
_BYTES_PER_COLUMN = 28


class Profiler:
    """The profiles of one matrix, gathered from spans of whole rows.

    Args:
        shape: of the tensor. value_of: (256 or 65536,) the value of each pattern, where slices come as patterns.
    """

    def __init__(self, shape: tuple[int, ...], value_of: np.ndarray | None, is_wide: bool) -> None:
        self.num_rows, self.num_columns = matrix_shape(shape)
        self._value_of = None if value_of is None else value_of.astype(np.float32)
        self._type = np.float64 if is_wide else np.float32
        self._rows: list[tuple[np.ndarray, ...]] = []
        self._columns = self._sums(self.num_columns)

    @staticmethod
    def is_possible(shape: tuple[int, ...]) -> bool:
        """Whether profiles are taken of a tensor of that shape."""
        return len(shape) >= 2 and 0 < matrix_shape(shape)[1] <= MAX_PROFILE

    @property
    def max_threads(self) -> int:
        """How many spans may be under way at once, so that their column sums stay within a few MiB."""
        return max(1, _MEMORY // (_BYTES_PER_COLUMN * self.num_columns))

    def part(self, start: int, stop: int) -> ProfilePart:
        """An empty part for the elements start … stop − 1, whole rows."""
        rows = self._sums((stop - start) // self.num_columns)
        return ProfilePart(start, rows, self._sums(self.num_columns), self._value_of)

    def merge(self, part: ProfilePart) -> None:
        """Take up a finished part; parts come in the order of their rows."""
        if self.num_rows <= MAX_PROFILE:
            self._rows.append(part.rows)
        for index, (whole, add) in enumerate(zip(self._columns, part.columns, strict=True)):
            (np.maximum if index == 1 else np.add)(whole, add, out=whole)

    def profiles(self) -> tuple[AxisProfile | None, AxisProfile | None]:
        """Of the rows (None if there are too many) and of the columns."""
        if self.num_rows > MAX_PROFILE:
            return None, _axis_profile(self._columns)
        rows = tuple(np.concatenate(each) for each in zip(*self._rows, strict=True)) if self._rows else self._sums(0)
        return _axis_profile(rows), _axis_profile(self._columns)

    def _sums(self, length: int) -> tuple[np.ndarray, ...]:
        """Σx², largest |x|, zeros, non-finite values."""
        return tuple(np.zeros(length, dtype=each) for each in (np.float64, self._type, np.int64, np.int64))


class ProfilePart:
    """The sums of one span, filled by one thread."""

    def __init__(self, start: int, rows, columns, value_of: np.ndarray | None) -> None:
        self._start, self._value_of = start, value_of
        self.rows, self.columns = rows, columns

    def add(self, piece: np.ndarray, first: int) -> None:
        """Take up a slice that begins at element `first` of the tensor."""
        if self._value_of is not None:
            values = np.empty(piece.size, dtype=np.float32)
            expand(piece, self._value_of, values)
            values.flags.writeable = False
            piece = values
        profile(piece, first - self._start, self.rows, self.columns)


def _axis_profile(sums: tuple[np.ndarray, ...]) -> AxisProfile:
    squares, largest, num_zero, num_nonfinite = sums
    with np.errstate(over="ignore"):  # float64 values beyond float32 become infinite
        return AxisProfile(np.sqrt(squares).astype(np.float32), largest.astype(np.float32), num_zero, num_nonfinite)
