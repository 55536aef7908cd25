"""What the bit patterns of the 8- and 16-bit types mean."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class PatternValues(NamedTuple):
    """What the patterns of a type mean.

    Attributes:
        values: (256 or 65536,) float64, the value of each pattern. order: the patterns of finite values, by value.
        nan, posinf, neginf: the patterns that are that.
    """

    values: np.ndarray
    order: np.ndarray
    nan: np.ndarray
    posinf: np.ndarray
    neginf: np.ndarray


@lru_cache(maxsize=32)
def pattern_values(dtype: np.dtype) -> PatternValues:
    """The meaning of every pattern of an 8- or 16-bit type, as its own conversion to float64 gives it."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    patterns = np.arange(1 << 8 * dtype.itemsize, dtype=unsigned)
    with np.errstate(invalid="ignore"):  # some conversions raise the flag for the NaN patterns
        values = patterns.view(dtype).astype(np.float64)
    finite = np.flatnonzero(np.isfinite(values))
    order = finite[np.argsort(values[finite], kind="stable")]
    special = (np.flatnonzero(each) for each in (np.isnan(values), values == np.inf, values == -np.inf))
    return PatternValues(values, order, *special)
