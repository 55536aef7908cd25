"""A few entries of a tensor, at the same places in every tensor of its shape: enough to recognise it."""

from __future__ import annotations

import numpy as np

from engine.sources.base import Source, TensorInfo

ROWS, ENTRIES = 16, 1024
"""Rows read of a matrix, and entries kept of them; chosen by us: two independent tensors correlate by 0.03."""


def sample(source: Source, info: TensorInfo) -> np.ndarray:
    """At most ENTRIES entries, evenly over at most ROWS rows or over a vector: float32; NaN where not finite."""
    if not info.shape or info.num_elements == 0:
        values = np.asarray(source.read(info.name)).reshape(-1)
    elif len(info.shape) == 1:
        values = np.asarray(source.read(info.name))
    else:
        rows = np.unique(np.linspace(0, info.shape[0] - 1, ROWS).astype(np.int64))
        values = np.stack([np.asarray(source.read_rows(info.name, int(row), int(row) + 1)).reshape(-1) for row in rows])
        each = max(ENTRIES // len(rows), 1)
        values = values[:, np.unique(np.linspace(0, values.shape[1] - 1, each).astype(np.int64))].reshape(-1)
    picked = np.unique(np.linspace(0, max(values.size - 1, 0), ENTRIES).astype(np.int64)) if values.size else slice(0)
    if values.dtype.kind == "c":
        return np.full(values[picked].shape, np.nan, np.float32)
    found = values[picked].astype(np.float32)
    return np.where(np.isfinite(found), found, np.float32(np.nan))


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson correlation over the entries that both have; 0 if fewer than 8, or if either does not vary."""
    if x.shape != y.shape:
        return 0.0
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 8:
        return 0.0
    p, q = x[both].astype(np.float64), y[both].astype(np.float64)
    p, q = p - p.mean(), q - q.mean()
    scale = np.linalg.norm(p) * np.linalg.norm(q)
    return float(p @ q / scale) if scale > 0 else 0.0
