"""The types in which two arrays are compared, whatever types they have."""

from __future__ import annotations

from functools import cache

import ml_dtypes
import numpy as np

from engine.errors import MeasureError

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


class Staged:
    """Two arrays as bit patterns of one type, for the compiled loops.

    Args: values: the type that holds every entry of both. bits: its patterns as `engine.compare.kernels` takes them.
    """

    PIECE = 1 << 17
    """Entries converted at a time: they stay in the second-level cache."""

    def __init__(self, values: np.dtype, bits: np.dtype) -> None:
        self._values, self._bits = values, bits

    def is_direct(self, array: np.ndarray) -> bool:
        """Whether an array's memory can be read as it lies."""
        return array.dtype == self._values and array.flags.c_contiguous and _is_aligned(array)

    def patterns(self, piece: np.ndarray) -> np.ndarray:
        """(n,) the bits of a flat piece: native, contiguous, aligned, read-only."""
        if not self.is_direct(piece):
            piece = np.array(piece).astype(self._values, copy=False)
        view = np.ascontiguousarray(piece).view(np.ndarray).view(self._bits)
        view.flags.writeable = False
        return view

    def add(self, a, b, first, tolerance, sums, counts, largest) -> None:
        """As `engine.compare.kernels.add_difference`."""
        from engine.compare.kernels import add_difference, compiled

        compiled(add_difference)(a, b, first, tolerance, sums, counts, largest)

    def num_changed(self, a: np.ndarray, b: np.ndarray) -> int:
        from engine.compare.kernels import compiled, num_changed

        same = np.uint16 if a.itemsize == 2 else np.uint32
        return int(compiled(num_changed)(a.view(same), b.view(same)))


class WideStaged(Staged):
    """64-bit types, and 32-bit integers: by numpy, in float64; for these are rarely weights.

    Args: values: the common stored type, whose bits are compared; float64 if the types differ.
    """

    PIECE = 1 << 15

    def __init__(self, values: np.dtype) -> None:
        super().__init__(values, values)

    def add(self, a, b, first, tolerance, sums, counts, largest) -> None:
        counts[0] += self.num_changed(a, b)
        x, y = a.astype(np.float64), b.astype(np.float64)
        finite = np.isfinite(x) & np.isfinite(y)
        counts[3:] += [np.isnan(x).sum(), np.isinf(x).sum(), np.isnan(y).sum(), np.isinf(y).sum(), (~finite).sum()]
        x, y = np.where(finite, x, 0.0), np.where(finite, y, 0.0)
        delta = np.abs(y - x)
        counts[1] += np.count_nonzero(delta > tolerance)
        counts[2] += np.count_nonzero(((x < 0) & (y > 0)) | ((x > 0) & (y < 0)))
        sums[:4] += [x @ x, y @ y, x @ y, delta @ delta]
        place = int(np.argmax(delta)) if delta.size else 0
        if delta.size and delta[place] > sums[4]:
            sums[4], largest[0] = delta[place], first + place

    def num_changed(self, a: np.ndarray, b: np.ndarray) -> int:
        bits = np.dtype(f"u{a.itemsize}")
        return int(np.count_nonzero(a.view(bits) != b.view(bits)))


@cache
def staging(a: np.dtype, b: np.dtype) -> Staged:
    """The common type of two: their own if it is one type, else one that holds the values of both without loss.

    64-bit integers against another type are the exception: beyond 2⁵³ they are rounded to float64.

    Raises: MeasureError for complex numbers and what is no number.
    """
    for kind in (a, b):
        if kind.kind in "cOSUM" or (kind.kind == "V" and not _is_small_float(kind)):
            raise MeasureError(f"Entries of the type {kind} cannot be compared.", "Only real numbers can.")
    a, b = a.newbyteorder("=") if a.kind in "iuf" else a, b.newbyteorder("=") if b.kind in "iuf" else b
    if a == b == BFLOAT16:
        return Staged(BFLOAT16, np.dtype(np.uint16))
    if a == b == np.float16:
        return Staged(np.dtype(np.float16), np.dtype(np.int16))
    if all(kind.itemsize <= 2 or kind == np.float32 for kind in (a, b)):
        return Staged(np.dtype(np.float32), np.dtype(np.uint32))
    return WideStaged(a if a == b else np.dtype(np.float64))


def _is_small_float(kind: np.dtype) -> bool:
    return kind.type.__module__.startswith("ml_dtypes")


def _is_aligned(array: np.ndarray) -> bool:
    return array.__array_interface__["data"][0] % array.itemsize == 0
