"""What the rows and columns say; the tensor seen as a matrix (`engine.folding.matrix_shape`).

NaN for tensors with fewer than two dimensions, without rows, or too long on that side for a profile to be taken.
"""

from __future__ import annotations

import math

import numpy as np

from engine.measures.registry import measure
from engine.measures.results import AxisProfile


@measure(unit="weight", title="Largest row norm", reads="rows")
def max_row_norm(rows: AxisProfile) -> float:
    """max over rows of √Σx²: far above the others, it marks an outlier neuron or token."""
    return _extreme(np.max, rows.l2)


@measure(unit="weight", title="Smallest row norm", reads="rows")
def min_row_norm(rows: AxisProfile) -> float:
    """min over rows of √Σx²; 0 where a row is dead."""
    return _extreme(np.min, rows.l2)


@measure(unit="weight", title="Largest column norm", reads="columns")
def max_column_norm(columns: AxisProfile) -> float:
    """max over columns of √Σx²: far above the others, it marks an outlier feature."""
    return _extreme(np.max, columns.l2)


@measure(unit="weight", title="Smallest column norm", reads="columns")
def min_column_norm(columns: AxisProfile) -> float:
    """min over columns of √Σx²; 0 where a column is dead."""
    return _extreme(np.min, columns.l2)


@measure(unit="count", title="Dead rows", reads="rows")
def dead_rows(rows: AxisProfile) -> float:
    """Number of rows that are zero throughout: outputs that can never speak."""
    return _num_dead(rows)


@measure(unit="count", title="Dead columns", reads="columns")
def dead_columns(columns: AxisProfile) -> float:
    """Number of columns that are zero throughout: inputs that are never heard."""
    return _num_dead(columns)


def _extreme(reduce, values: np.ndarray) -> float:
    return float(reduce(values)) if values.size else math.nan


def _num_dead(profile: AxisProfile) -> float:
    return float(np.count_nonzero((profile.abs_max == 0) & (profile.num_nonfinite == 0)))
