"""Vectors of one length between numpy and DuckDB's FLOAT[n]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def vectors(values: np.ndarray, missing: Sequence[bool] | None = None) -> pa.FixedSizeListArray:
    """A column of FLOAT[n], NaN and ±Inf as NULL.

    Args: values: (rows, n). missing: (rows,) whether the whole vector is NULL; None for none.
    """
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    numbers = pa.array(flat, pa.float32(), mask=~np.isfinite(flat))
    mask = None if missing is None else pa.array(np.asarray(missing, bool))
    return pa.FixedSizeListArray.from_arrays(numbers, values.shape[1], mask=mask)


def from_vectors(column: pa.ChunkedArray, length: int) -> np.ndarray:
    """A column of FLOAT[n] as (rows, n) float32, NULL as NaN; no vector of it may be NULL itself."""
    parts = [_part(chunk).reshape(-1, length) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.zeros((0, length), np.float32)


def _part(chunk: pa.FixedSizeListArray) -> np.ndarray:
    return chunk.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
