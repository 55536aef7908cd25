"""The exact distribution of a tensor, and the profiles of its rows and columns, in one reading."""

from __future__ import annotations

import numpy as np

from engine.errors import MeasureError
from engine.measures.axes import MIN_ROWS, Profiler
from engine.measures.compilation import warm_up
from engine.measures.order_statistics import Findings
from engine.measures.patterns import distribution_of_patterns
from engine.measures.results import AxisProfile, Distribution
from engine.measures.selection import DOUBLE, SINGLE
from engine.measures.spans import Progress, SliceReader, num_threads, spans
from engine.measures.wide import distribution_of_wide
from engine.sources.base import ByteCallback


def distribution(
    array: np.ndarray, *, threads: int | None = None, on_bytes: ByteCallback | None = None
) -> Distribution:
    """The exact distribution of a tensor's values, each taken as float64.

    Quantiles and histogram are those of numpy.percentile and numpy.histogram on the finite values as float64, bit for
    bit; the moments are within 10⁻¹² of the exact ones. Memory stays within 64 MiB whatever the tensor's size.

    Args:
        array: any shape and strides; bool, integers and floats of at most 64 bits, and the types of ml_dtypes. It may
            be read-only, memory-mapped, unaligned or not contiguous (slower), and is never changed.
        threads: how many to use, at most; None for all cores. The result does not depend on it, not by a bit.
        on_bytes: called as the work proceeds with the bytes done since the last call, in all the tensor's bytes.
    Raises: MeasureError for complex numbers and other types that have no order; Cancelled, if `on_bytes` raises it.
    """
    return _read(np.asarray(array), threads, on_bytes, with_profiles=False)[0]


def distribution_and_profiles(
    array: np.ndarray, *, threads: int | None = None, on_bytes: ByteCallback | None = None
) -> tuple[Distribution, AxisProfile | None, AxisProfile | None]:
    """The distribution with the profiles of rows and columns (see `axes.Profiler`; None below two dimensions).

    Args and Raises: as in `distribution`.
    """
    return _read(np.asarray(array), threads, on_bytes, with_profiles=True)


def _read(array, threads, on_bytes, with_profiles):
    dtype = array.dtype
    _check(dtype)
    warm_up()
    is_narrow = dtype.itemsize <= 2
    layout = SINGLE if dtype.kind == "f" and dtype.itemsize == 4 else DOUBLE
    stage = np.dtype(f"u{dtype.itemsize}") if is_narrow else np.dtype(layout.floating)
    reader, progress = SliceReader(array, stage), Progress(array.nbytes, on_bytes)
    profiler = None
    if with_profiles and Profiler.is_possible(array.shape):
        profiler = Profiler(array.shape, stage, reader.native)
    threads = num_threads(threads)
    if profiler:
        threads = min(threads, profiler.max_threads)
        cuts = spans(array.size, stage.itemsize, profiler.num_columns, MIN_ROWS)
    else:
        cuts = spans(array.size, stage.itemsize)

    if array.size == 0:
        found = Findings(0, 0, 0, 0, 0).without_values()
    elif is_narrow:
        found = distribution_of_patterns(reader, reader.native, cuts, threads, progress, profiler)
    else:
        found = distribution_of_wide(reader, layout, cuts, threads, progress, profiler)
    progress.finish()
    return found, *(profiler.profiles() if profiler else (None, None))


def _check(dtype: np.dtype) -> None:
    is_known = dtype.kind in "biuf" or dtype.type.__module__ == "ml_dtypes"
    if is_known and dtype.itemsize <= 8:
        return
    raise MeasureError(
        f"A tensor of type {dtype} cannot be measured: expected real numbers of at most 64 bits.",
        "Measure its real and its imaginary part apart." if dtype.kind == "c" else "",
    )
