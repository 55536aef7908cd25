"""Row and column profiles of a tensor seen as a matrix."""

from __future__ import annotations

import numpy as np

from engine.folding import matrix_shape
from engine.measures.results import AxisProfile

MAX_PROFILE = 1 << 20
"""Rows or columns beyond this many get no profile (24 bytes each would be kept); chosen by us."""


def profiles(array: np.ndarray) -> tuple[AxisProfile | None, AxisProfile | None]:
    if array.ndim < 2:
        return None, None
    values = array.reshape(matrix_shape(array.shape)).astype(np.float64)
    finite = np.isfinite(values)
    magnitude = np.where(finite, np.abs(values), 0)

    def along(axis):
        return AxisProfile(
            l2=np.sqrt((magnitude**2).sum(axis)).astype(np.float32),
            abs_max=magnitude.max(axis, initial=0).astype(np.float32),
            num_zero=np.count_nonzero(values == 0, axis).astype(np.int64),
            num_nonfinite=np.count_nonzero(~finite, axis).astype(np.int64),
        )

    return along(1), along(0)
