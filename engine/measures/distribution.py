"""The exact distribution of a tensor, in one reading."""

from __future__ import annotations

import numpy as np

from engine.errors import MeasureError
from engine.measures.moment_sums import MomentSums, safe_scale, sums_of_counted
from engine.measures.order_statistics import bin_edges, histogram, interpolate, quantile_ranks
from engine.measures.results import NUM_BINS, QUANTILE_PERCENTS, Distribution
from engine.sources.base import ByteCallback


def distribution(
    array: np.ndarray, *, threads: int | None = None, on_bytes: ByteCallback | None = None
) -> Distribution:
    values = np.asarray(array).reshape(-1)
    if values.dtype.kind == "c":
        raise MeasureError(
            f"A tensor of {values.dtype} numbers has no order, so no quantiles and no histogram.",
            "Measure its real and its imaginary part apart.",
        )
    if on_bytes is not None:
        on_bytes(values.nbytes)
    return distribution_of_few(values.astype(np.float64))


def distribution_of_few(values: np.ndarray) -> Distribution:
    """The distribution by sorting a float64 copy: the plain way, and the fastest for small tensors.

    Args: values: (n,) float64.
    """
    finite = np.sort(values[np.isfinite(values)])
    num_nan = int(np.count_nonzero(np.isnan(values)))
    num_posinf = int(np.count_nonzero(values == np.inf))
    counts = (values.size, num_nan, num_posinf, values.size - finite.size - num_nan - num_posinf)
    num_zero = int(np.count_nonzero(finite == 0.0))
    if finite.size == 0:
        return assemble(counts, num_zero, MomentSums(), 1.0)
    scale = safe_scale(max(abs(float(finite[0])), abs(float(finite[-1]))))
    scaled = finite if scale == 1.0 else finite * scale
    sums = sums_of_counted(scaled, np.ones(finite.size, dtype=np.int64))
    before, after, weight = quantile_ranks(finite.size)
    edges = bin_edges(float(finite[0]), float(finite[-1]))
    return Distribution(
        *counts,
        num_zero,
        float(finite[0]),
        float(finite[-1]),
        *sums.moments(1.0 / scale),
        quantiles=interpolate(finite[before], finite[after], weight),
        bin_counts=histogram(np.searchsorted(finite, edges[1:-1], side="left"), finite.size),
        bin_low=float(edges[0]),
        bin_high=float(edges[-1]),
    )


def assemble(counts, num_zero, sums, scale) -> Distribution:
    nan = float("nan")
    return Distribution(
        *counts,
        num_zero,
        nan,
        nan,
        *sums.moments(scale),
        quantiles=np.full(len(QUANTILE_PERCENTS), nan),
        bin_counts=np.zeros(NUM_BINS, np.int64),
        bin_low=nan,
        bin_high=nan,
    )
