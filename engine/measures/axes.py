"""Row and column profiles, taken slice by slice while the slice is still in the cache."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from engine.folding import matrix_shape
from engine.measures.pattern_values import pattern_values
from engine.measures.profile_kernels import PANEL, profile, profile_patterns
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
        shape: of the tensor. stage: the type in which its slices come: float32, float64 or an unsigned integer.
        dtype: the type of the tensor, which gives patterns their values.
    """

    def __init__(self, shape: tuple[int, ...], stage: np.dtype, dtype: np.dtype) -> None:
        self.num_rows, self.num_columns = matrix_shape(shape)
        self._type = np.dtype(np.float64) if stage == np.float64 else np.dtype(np.float32)
        self._bits = np.dtype(f"u{self._type.itemsize}")
        self._value_of = None
        self._is_bfloat16 = dtype == ml_dtypes.bfloat16
        if stage.kind == "u":
            with np.errstate(invalid="ignore"):  # NaN patterns raise the flag on some machines
                self._value_of = pattern_values(dtype).values.astype(np.float32)
        self._rows: list[tuple[np.ndarray, ...]] = []
        self._columns = self._column_sums()

    @staticmethod
    def is_possible(shape: tuple[int, ...]) -> bool:
        """Whether profiles are taken of a tensor of that shape."""
        return len(shape) >= 2 and 0 < matrix_shape(shape)[1] <= MAX_PROFILE

    @property
    def max_threads(self) -> int:
        """How many spans may be under way at once, so that their column sums stay within a few MiB."""
        return max(1, _MEMORY // (_BYTES_PER_COLUMN * self.num_columns))

    def part(self) -> ProfilePart:
        """An empty part, for some of the rows."""
        return ProfilePart(self, self._column_sums())

    def row_sums(self, pieces: np.ndarray, columns: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """The sums of the rows in a slice; those of the columns are added to."""
        length = pieces.size // self.num_columns
        rows = tuple(np.zeros(length, dtype=each) for each in (np.float64, np.uint64, np.int64, np.int64))
        if self._value_of is None:
            profile(pieces, pieces.view(self._bits), rows, columns)
        else:
            scratch = np.empty(4 * PANEL, dtype=np.float32)
            both = scratch, scratch.view(np.uint32)
            profile_patterns(pieces, self._is_bfloat16, self._value_of, both, rows, columns)
        return rows

    def merge(self, part: ProfilePart) -> None:
        """Take up a finished part; parts come in the order of their rows."""
        if self.num_rows <= MAX_PROFILE:
            self._rows.extend(part.rows)
        for index, (whole, more) in enumerate(zip(self._columns, part.columns, strict=True)):
            (np.maximum if index == 1 else np.add)(whole, more, out=whole)

    def profiles(self) -> tuple[AxisProfile | None, AxisProfile | None]:
        """Of the rows (None if there are too many) and of the columns."""
        columns = _axis_profile(*self._columns)
        if self.num_rows > MAX_PROFILE:
            return None, columns
        if not self._rows:
            nothing = np.zeros(0)
            return _axis_profile(nothing, nothing, nothing.astype(np.int64), nothing.astype(np.int64)), columns
        squares, doubled, num_zero, num_nonfinite = (np.concatenate(each) for each in zip(*self._rows, strict=True))
        largest = (doubled >> np.uint64(1)).astype(self._bits).view(self._type)
        return _axis_profile(squares, largest, num_zero, num_nonfinite), columns

    def _column_sums(self) -> tuple[np.ndarray, ...]:
        """Σx², largest |x|, zeros, non-finite values."""
        return tuple(np.zeros(self.num_columns, dtype=each) for each in (np.float64, self._type, np.int64, np.int64))


class ProfilePart:
    """The sums of one span, filled by one thread."""

    def __init__(self, profiler: Profiler, columns: tuple[np.ndarray, ...]) -> None:
        self._profiler = profiler
        self.rows: list[tuple[np.ndarray, ...]] = []
        self.columns = columns

    def add(self, piece: np.ndarray) -> None:
        """Take up the next slice of whole rows."""
        self.rows.append(self._profiler.row_sums(piece, self.columns))


def _axis_profile(squares, largest, num_zero, num_nonfinite) -> AxisProfile:
    with np.errstate(over="ignore"):  # float64 values beyond float32 become infinite
        return AxisProfile(np.sqrt(squares).astype(np.float32), largest.astype(np.float32), num_zero, num_nonfinite)
