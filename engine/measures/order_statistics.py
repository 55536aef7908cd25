"""Quantiles and histogram from ranks alone, bit for bit as numpy gives them for float64."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np

from engine.measures.moment_sums import MomentSums
from engine.measures.results import NUM_BINS, QUANTILE_PERCENTS, Distribution


def quantile_ranks(num_values: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Between which two order statistics each stored quantile lies: numpy.percentile's method "linear".

    Args: num_values: n, at least 1.
    Returns: (15,) int64 ranks from 0 of the value before, the same of the value after, and (15,) float64 weights of
        the latter.
    """
    virtual = (num_values - 1) * np.true_divide(QUANTILE_PERCENTS, 100.0)
    before = np.floor(virtual)
    weight = virtual - before
    before = before.astype(np.int64)
    return before, np.minimum(before + 1, num_values - 1), weight


def interpolate(before: np.ndarray, after: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """before + (after − before)·weight, from whichever end is nearer, as numpy rounds it.

    Where after − before overflows float64, where numpy gives an infinity, the weighted mean of both is taken instead.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        difference = after - before
        result = np.where(weight >= 0.5, after - difference * (1 - weight), before + difference * weight)
    return np.where(np.isfinite(difference), result, before * (1 - weight) + after * weight)


def bin_edges(minimum: float, maximum: float) -> np.ndarray:
    """The 257 edges of the histogram over [minimum, maximum], or ±0.5 about a constant: numpy.histogram's.

    Where the range overflows float64, or is so small that neighbouring edges fall together, numpy refuses; here the
    edges are taken as they round, and a bin between equal edges is empty. Where the range is so small (under 10⁻³⁰⁵)
    that the width of a bin is subnormal, numpy's counts disagree with its own edges; ours keep to the edges.
    """
    if minimum == maximum:
        minimum, maximum = minimum - 0.5, maximum + 0.5
    if math.isfinite(maximum - minimum):
        return np.linspace(minimum, maximum, NUM_BINS + 1)
    return np.linspace(minimum / 2, maximum / 2, NUM_BINS + 1) * 2


def histogram(num_below: np.ndarray, num_values: int) -> np.ndarray:
    """Counts of half-open bins, the last one closed, from the (255,) numbers of values below each inner edge."""
    return np.diff(np.concatenate(([0], num_below, [num_values]))).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was counted over all elements, finite or not."""

    count: int
    num_nan: int
    num_posinf: int
    num_neginf: int
    num_zero: int

    def without_values(self) -> Distribution:
        """The distribution of a tensor without a finite value."""
        nothing = np.full(len(QUANTILE_PERCENTS), math.nan)
        return Distribution(
            *astuple(self),
            minimum=math.nan,
            maximum=math.nan,
            **MomentSums().moments(),
            quantiles=nothing,
            bin_counts=np.zeros(NUM_BINS, dtype=np.int64),
            bin_low=math.nan,
            bin_high=math.nan,
        )

    def distribution(
        self,
        sums: MomentSums,
        extremes: tuple[float, float],
        quantile_values: tuple[np.ndarray, np.ndarray],
        num_below: np.ndarray,
        exponent: int = 0,
    ) -> Distribution:
        """Put the distribution together.

        Args:
            sums: of the finite values times 2^−exponent. extremes: smallest and largest of them.
            quantile_values: (15,) each, the values at the ranks before and after each quantile.
            num_below: (255,) values below each inner edge of the histogram.
        """
        num_values = self.count - self.num_nan - self.num_posinf - self.num_neginf
        _, _, weight = quantile_ranks(num_values)
        edges = bin_edges(*extremes)
        return Distribution(
            *astuple(self),
            *extremes,
            **sums.moments(exponent),
            quantiles=interpolate(*quantile_values, weight),
            bin_counts=histogram(num_below, num_values),
            bin_low=float(edges[0]),
            bin_high=float(edges[-1]),
        )
