"""What one reading of one tensor gives: plain numbers and small arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

QUANTILE_PERCENTS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9)
"""The stored quantiles, in percent; chosen by us: symmetric, and dense where outliers begin."""

NUM_BINS = 256
"""Bins of the stored histogram, equal in width from the smallest to the largest finite value."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """The exact distribution of a tensor's finite values.

    NaN and ±Inf are counted apart and enter nothing else. Undefined numbers are NaN.

    Attributes:
        count: all elements. num_nan, num_posinf, num_neginf, num_zero: how many of them are that (−0 is a zero).
        minimum, maximum, mean: of the finite values; NaN if there is none.
        m2, m3, m4: central moments Σ(x − mean)ᵏ / n of the finite values (population, not sample).
        l1, l2: Σ|x| and √Σx² of the finite values; 0 for none.
        quantiles: (15,) float64 at QUANTILE_PERCENTS, numpy's "linear" definition; NaN if no finite value.
        bin_counts: (256,) int64, numpy.histogram's definition over [minimum, maximum] (or ±0.5 about a constant).
        bin_low, bin_high: the outer edges of the histogram; NaN if no finite value.
    """

    count: int
    num_nan: int
    num_posinf: int
    num_neginf: int
    num_zero: int
    minimum: float
    maximum: float
    mean: float
    m2: float
    m3: float
    m4: float
    l1: float
    l2: float
    quantiles: np.ndarray
    bin_counts: np.ndarray
    bin_low: float
    bin_high: float

    @property
    def num_finite(self) -> int:
        return self.count - self.num_nan - self.num_posinf - self.num_neginf


@dataclass(frozen=True, eq=False)
class AxisProfile:
    """One number per row (or per column) of the tensor seen as a matrix (`engine.folding.matrix_shape`).

    Attributes:
        l2: (n,) float32, √Σx² of the finite values. abs_max: (n,) float32, the largest |finite value|, 0 for none.
        num_zero: (n,) int64. num_nonfinite: (n,) int64.
    """

    l2: np.ndarray
    abs_max: np.ndarray
    num_zero: np.ndarray
    num_nonfinite: np.ndarray


@dataclass(frozen=True, eq=False)
class TensorReading:
    """Everything one reading of a tensor gives.

    Attributes:
        distribution: of all elements; None if the tensor could not be read.
        rows, columns: profiles along both axes; None for tensors with fewer than two dimensions.
        values: measure name -> value (float; NaN where undefined), for every registered measure.
        error: why the tensor could not be measured; None if it could.
    """

    distribution: Distribution | None
    rows: AxisProfile | None
    columns: AxisProfile | None
    values: dict[str, float]
    error: str | None = None
