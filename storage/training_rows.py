"""What trainings report, as frozen dataclasses and as Arrow tables, the column `experiment` left to the insert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from storage.records import Metric
from storage.rows import lists, nullable


@dataclass(frozen=True)
class TrainingCheckpoint:
    """One checkpoint of a run.

    Attributes:
        step: of the run; 0 is before training. phase: "supervised" or "self-play".
        folder: where it was saved; it may be gone.
        is_best: by held-out text, among those up to it. bits_per_byte: at the last look; NaN before the first.
        saved_at: UTC.
    """

    step: int
    phase: str
    folder: str
    is_best: bool
    bits_per_byte: float
    saved_at: datetime


@dataclass(frozen=True, eq=False)
class CheckpointTensor:
    """One tensor of a checkpoint: numbers by (measure, version), and its small picture (h, w) float32 or None."""

    tensor: str
    layer: int | None
    role: str
    shape: tuple[int, ...]
    values: dict[tuple[str, int], float]
    thumbnail: np.ndarray | None


@dataclass(frozen=True)
class Sample:
    """A text that the model wrote after `prompt` at a step."""

    step: int
    prompt: str
    text: str
    recorded_at: datetime


@dataclass(frozen=True)
class Remark:
    """What was said of a step. kind: "improved", "hacked", "unstable", "unchanged" or "notice"."""

    step: int
    kind: str
    text: str
    recorded_at: datetime

    @property
    def is_verdict(self) -> bool:
        return self.kind != "notice"


@dataclass(eq=False)
class TrainingRows:
    """What is to be stored at once: lists that a run fills and hands over."""

    metrics: list[Metric] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    checkpoints: list[tuple[TrainingCheckpoint, tuple[CheckpointTensor, ...]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.metrics or self.samples or self.remarks or self.checkpoints)


def metrics_table(rows: Sequence[Metric]) -> pa.Table:
    return pa.table(
        {
            "step": pa.array([row.step for row in rows], pa.int64()),
            "name": pa.array([row.name for row in rows], pa.string()),
            "value": nullable([row.value for row in rows]),
            "recorded_at": _times([row.recorded_at for row in rows]),
        }
    )


def samples_table(rows: Sequence[Sample]) -> pa.Table:
    return pa.table(
        {
            "step": pa.array([row.step for row in rows], pa.int64()),
            "position": pa.array(range(len(rows)), pa.int32()),
            "prompt": _texts([row.prompt for row in rows]),
            "text": _texts([row.text for row in rows]),
            "recorded_at": _times([row.recorded_at for row in rows]),
        }
    )


def remarks_table(rows: Sequence[Remark]) -> pa.Table:
    return pa.table(
        {
            "step": pa.array([row.step for row in rows], pa.int64()),
            "kind": pa.array([row.kind for row in rows], pa.string()),
            "text": _texts([row.text for row in rows]),
            "recorded_at": _times([row.recorded_at for row in rows]),
        }
    )


def checkpoints_table(rows: Sequence[TrainingCheckpoint]) -> pa.Table:
    return pa.table(
        {
            "step": pa.array([row.step for row in rows], pa.int64()),
            "phase": pa.array([row.phase for row in rows], pa.string()),
            "folder": pa.array([row.folder for row in rows], pa.string()),
            "is_best": pa.array([row.is_best for row in rows], pa.bool_()),
            "bits_per_byte": nullable([row.bits_per_byte for row in rows]),
            "saved_at": _times([row.saved_at for row in rows]),
        }
    )


def tensors_table(rows: Sequence[CheckpointTensor]) -> pa.Table:
    return pa.table(
        {
            "position": pa.array(range(len(rows)), pa.int32()),
            "tensor": pa.array([row.tensor for row in rows], pa.string()),
            "layer": pa.array([row.layer for row in rows], pa.int32()),
            "role": pa.array([row.role for row in rows], pa.string()),
            "shape": pa.array([list(row.shape) for row in rows], pa.list_(pa.int64())),
        }
    )


def measurements_table(step: int, tensors: Sequence[CheckpointTensor]) -> pa.Table:
    flat = [(row.tensor, *key, value) for row in tensors for key, value in row.values.items()]
    return pa.table(
        {
            "step": pa.array([step] * len(flat), pa.int64()),
            "tensor": pa.array([row[0] for row in flat], pa.string()),
            "measure": pa.array([row[1] for row in flat], pa.string()),
            "version": pa.array([row[2] for row in flat], pa.int32()),
            "value": nullable([row[3] for row in flat]),
        }
    )


def thumbnails_table(step: int, tensors: Sequence[CheckpointTensor]) -> pa.Table:
    kept = [(row.tensor, row.thumbnail) for row in tensors if row.thumbnail is not None]
    return pa.table(
        {
            "step": pa.array([step] * len(kept), pa.int64()),
            "tensor": pa.array([name for name, _ in kept], pa.string()),
            "num_rows": pa.array([picture.shape[0] for _, picture in kept], pa.int32()),
            "num_columns": pa.array([picture.shape[1] for _, picture in kept], pa.int32()),
            "values": lists([picture.ravel() for _, picture in kept], np.float32),
        }
    )


def _texts(texts: Sequence[str]) -> pa.Array:
    """Text of a model may hold half of a character's surrogate pair, which no database takes."""
    return pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.string())


def _times(moments: Sequence[datetime | None]) -> pa.Array:
    now = datetime.now(UTC)
    return pa.array([(when or now).astimezone(UTC).replace(tzinfo=None) for when in moments], pa.timestamp("us"))
