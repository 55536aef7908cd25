"""What the database keeps of a checkpoint's weights, so that they can be looked at long after its files are gone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

import engine.sources
from engine.folding import matrix_shape
from engine.heatmaps import thumbnail
from engine.measures.reading import measure_tensor
from engine.measures.registry import MEASURES
from engine.naming import place
from engine.sources.base import Source, TensorInfo
from storage.training import CheckpointTensor

THUMBNAIL_SIZES = (64, 48, 32)
MOST_CELLS = 1 << 18
"""Cells of all thumbnails of one checkpoint: 1 MiB. The largest size that stays below is taken, the last one at the
worst; ours. A training of 100 checkpoints then keeps at most some 100 MiB, of models up to about 200 matrices."""

CHANGES = (("change_since_start", 1), ("change_since_previous", 1))
"""Names and versions of the two numbers that need another checkpoint."""

_PIECE = 1 << 18


def record_checkpoint(
    folder: Path, start: Path | None = None, previous: Path | None = None, threads: int | None = None
) -> tuple[CheckpointTensor, ...]:
    """Measure every tensor of a checkpoint once, and shrink it to a small picture.

    Args:
        folder: the checkpoint. start, previous: checkpoints that its change is measured against; None leaves it NaN.
        threads: at most so many; None for all cores.
    Raises: SourceError if one of them cannot be opened.
    """
    with engine.sources.open(folder) as source:
        size = thumbnail_size([info.shape for info in source.infos()])
        changes = [_changes(source, other) for other in (start, previous)]
        return tuple(
            _recorded(source, info, size, [change.get(info.name, math.nan) for change in changes], threads)
            for info in source.infos()
        )


def thumbnail_size(shapes: list[tuple[int, ...]]) -> int:
    """Cells along the longer side of every thumbnail of a checkpoint with tensors of these shapes."""
    sides = [matrix_shape(shape) for shape in shapes]
    for size in THUMBNAIL_SIZES:
        if sum(min(rows, size) * min(columns, size) for rows, columns in sides) <= MOST_CELLS:
            return size
    return THUMBNAIL_SIZES[-1]


def relative_change(W: np.ndarray, base: np.ndarray) -> float:
    """‖W − W₀‖ / ‖W₀‖ (Frobenius), summed in float64; NaN where W₀ is zero and W is not, or shapes differ."""
    if W.shape != base.shape:
        return math.nan
    new, old = np.asarray(W).reshape(-1), np.asarray(base).reshape(-1)
    change2 = norm2 = 0.0
    for begin in range(0, new.size, _PIECE):
        part = old[begin : begin + _PIECE].astype(np.float64)
        change = new[begin : begin + _PIECE].astype(np.float64) - part
        change2 += float(np.square(change).sum())  # no BLAS: its threads would wait for those of the training
        norm2 += float(np.square(part).sum())
    if norm2 == 0:
        return 0.0 if change2 == 0 else math.nan
    return math.sqrt(change2 / norm2)


def _changes(source: Source, other: Path | None) -> dict[str, float]:
    """Tensor -> how much of it changed since the other checkpoint."""
    if other is None:
        return {}
    with engine.sources.open(other) as base:
        there = {info.name for info in base.infos()}
        return {
            info.name: relative_change(source.read(info.name), base.read(info.name))
            for info in source.infos()
            if info.name in there
        }


def _recorded(
    source: Source, info: TensorInfo, size: int, changes: list[float], threads: int | None
) -> CheckpointTensor:
    where = place(info.name, info.shape)
    reading = measure_tensor(source, info, threads=threads)
    values = {(name, entry.version): reading.values[name] for name, entry in MEASURES.items()}
    values |= dict(zip(CHANGES, changes, strict=True))
    picture = thumbnail(source, info, size) if reading.error is None else None
    return CheckpointTensor(info.name, where.layer, where.role, tuple(info.shape), values, picture)
