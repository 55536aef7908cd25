"""Trainings: every checkpoint's numbers and pictures, samples and remarks, kept by the run's experiment."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from engine.errors import StorageError
from storage.connection import first_row
from storage.database import Database
from storage.records import Metric
from storage.rows import lists, nullable

KIND = "training"
"""`experiment.kind` of a training."""

TRAINING_TABLES = (
    "training_checkpoint",
    "checkpoint_tensor",
    "checkpoint_measurement",
    "checkpoint_thumbnail",
    "training_sample",
    "training_remark",
)
"""The tables whose rows belong to one training, by `experiment.id`."""

_STEPPED = ("metric", *(table for table in TRAINING_TABLES if table != "checkpoint_tensor"))


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


class Training:
    """The part of the store that keeps what trainings report. `experiment` is the key of the run."""

    _database: Database

    def begin_training(self, experiment: str, name: str, settings: dict, after_step: int = 0) -> None:
        """Record that a run begins, or goes on after a step: what was reported of later steps is forgotten.

        Args: after_step: the step of the checkpoint that it goes on from; 0 keeps only what was stored of step 0.
        """
        now = datetime.now(UTC).replace(tzinfo=None)
        with self._database.writing() as connection:
            if first_row(connection, "SELECT 1 FROM experiment WHERE id = ?", [experiment]) is None:
                connection.execute(
                    "INSERT INTO experiment VALUES (?, ?, ?, ?, 'running', ?, NULL, NULL, '')",
                    [experiment, KIND, name, json.dumps(settings), now],
                )
                return
            connection.execute(
                "UPDATE experiment SET status = 'running', finished_at = NULL, result = NULL, message = '', "
                "settings = ? WHERE id = ?",
                [json.dumps(settings), experiment],
            )
            for table in _STEPPED:
                connection.execute(f"DELETE FROM {table} WHERE experiment = ? AND step > ?", [experiment, after_step])  # noqa: S608

    def save_training_rows(self, experiment: str, rows: TrainingRows) -> None:
        """Store a batch in one transaction. A checkpoint that is there already is replaced.

        Raises: StorageError if there is no such experiment.
        """
        with self._database.writing() as connection:
            if first_row(connection, "SELECT 1 FROM experiment WHERE id = ?", [experiment]) is None:
                raise StorageError(f"No experiment {experiment} is known.", "Start it first.")
            for checkpoint, tensors in rows.checkpoints:
                _forget_checkpoint(connection, experiment, checkpoint.step)
                if first_row(connection, "SELECT 1 FROM checkpoint_tensor WHERE experiment = ?", [experiment]) is None:
                    _insert(connection, "checkpoint_tensor", experiment, _tensors(tensors))
                _insert(connection, "checkpoint_measurement", experiment, _measurements(checkpoint.step, tensors))
                _insert(connection, "checkpoint_thumbnail", experiment, _thumbnails(checkpoint.step, tensors))
            for table, incoming in (
                ("metric", _metrics(rows.metrics)),
                ("training_sample", _samples(rows.samples)),
                ("training_remark", _remarks(rows.remarks)),
                ("training_checkpoint", _checkpoints([checkpoint for checkpoint, _ in rows.checkpoints])),
            ):
                if incoming.num_rows:
                    _insert(connection, table, experiment, incoming)

    def training_checkpoints(self, experiment: str) -> list[TrainingCheckpoint]:
        """The checkpoints of a run by step, those too whose files are gone."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT step, phase, folder, is_best, bits_per_byte, saved_at FROM training_checkpoint "
                "WHERE experiment = ? ORDER BY step",
                [experiment],
            ).fetchall()
        return [
            TrainingCheckpoint(step, phase, folder, is_best, math.nan if bits is None else bits, _aware(when))
            for step, phase, folder, is_best, bits, when in rows
        ]

    def latest_metrics(self, kind: str = KIND) -> dict[str, dict[str, tuple[int, float]]]:
        """The last number of each name of every experiment of a kind: experiment -> name -> (step, value)."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT m.experiment, m.name, max(m.step), arg_max(m.value, m.step) FROM metric m "
                "JOIN experiment e ON e.id = m.experiment WHERE e.kind = ? GROUP BY ALL",
                [kind],
            ).fetchall()
        latest: dict[str, dict[str, tuple[int, float]]] = {}
        for experiment, name, step, value in rows:
            latest.setdefault(experiment, {})[name] = (step, math.nan if value is None else value)
        return latest

    def training_samples(self, experiment: str, since_step: int = 0) -> list[Sample]:
        """What the model wrote, by step."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT step, prompt, text, recorded_at FROM training_sample WHERE experiment = ? AND step >= ? "
                "ORDER BY step, position, rowid",
                [experiment, since_step],
            ).fetchall()
        return [Sample(*row[:-1], recorded_at=_aware(row[-1])) for row in rows]

    def training_remarks(self, experiment: str) -> list[Remark]:
        """What was said of the run, by step: verdicts and notices."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT step, kind, text, recorded_at FROM training_remark WHERE experiment = ? ORDER BY step, rowid",
                [experiment],
            ).fetchall()
        return [Remark(*row[:-1], recorded_at=_aware(row[-1])) for row in rows]

    def checkpoint_tensors(self, experiment: str) -> list[tuple[str, tuple[int, ...]]]:
        """(name, shape) of the tensors that the run's checkpoints have, in file order."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT tensor, shape FROM checkpoint_tensor WHERE experiment = ? ORDER BY position", [experiment]
            ).fetchall()
        return [(tensor, tuple(shape)) for tensor, shape in rows]

    def checkpoint_stats(self, experiment: str, measure: str = "") -> pd.DataFrame:
        """Numbers of every tensor at every checkpoint: step, position, tensor, layer, role, measure, value.

        Args: measure: this one alone; "" for all.
        Returns: by step, position and measure; value NaN where undefined.
        """
        with self._database.reading() as connection:
            rows = connection.sql(
                "SELECT m.step, t.position, m.tensor, t.layer, t.role, m.measure, m.value "
                "FROM checkpoint_measurement m JOIN checkpoint_tensor t USING (experiment, tensor) "
                "WHERE m.experiment = $1 AND ($2 = '' OR m.measure = $2) ORDER BY m.step, t.position, m.measure",
                params=[experiment, measure],
            )
            return rows.to_arrow_table().to_pandas()

    def thumbnail_steps(self, experiment: str, tensor: str) -> list[int]:
        """The steps of which there is a picture of the tensor, ascending."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT step FROM checkpoint_thumbnail WHERE experiment = ? AND tensor = ? ORDER BY step",
                [experiment, tensor],
            ).fetchall()
        return [step for (step,) in rows]

    def checkpoint_thumbnails(self, experiment: str, tensor: str) -> list[tuple[int, np.ndarray]]:
        """(step, picture (h, w) float32) of one tensor at every checkpoint, by step."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT step, num_rows, num_columns, values FROM checkpoint_thumbnail "
                "WHERE experiment = ? AND tensor = ? ORDER BY step",
                [experiment, tensor],
            ).fetchnumpy()
        shapes = zip(found["num_rows"].tolist(), found["num_columns"].tolist(), strict=True)
        pictures = (
            np.asarray(values, np.float32).reshape(shape) for values, shape in zip(found["values"], shapes, strict=True)
        )
        return list(zip(found["step"].tolist(), pictures, strict=True))

    def delete_training(self, experiment: str) -> bool:
        """Forget a run with all it reported, in one transaction. Returns whether there was such an experiment."""
        with self._database.writing() as connection:
            for table in (*TRAINING_TABLES, "metric"):
                connection.execute(f"DELETE FROM {table} WHERE experiment = ?", [experiment])  # noqa: S608
            gone = connection.execute("DELETE FROM experiment WHERE id = ? RETURNING id", [experiment]).fetchall()
        return bool(gone)


def _forget_checkpoint(connection: duckdb.DuckDBPyConnection, experiment: str, step: int) -> None:
    for table in ("training_checkpoint", "checkpoint_measurement", "checkpoint_thumbnail"):
        connection.execute(f"DELETE FROM {table} WHERE experiment = ? AND step = ?", [experiment, step])  # noqa: S608


def _insert(connection: duckdb.DuckDBPyConnection, table: str, experiment: str, rows: pa.Table) -> None:
    connection.register("incoming", rows)
    names = ", ".join(f'"{name}"' for name in rows.column_names)
    connection.execute(f"INSERT INTO {table} (experiment, {names}) SELECT ?, {names} FROM incoming", [experiment])  # noqa: S608
    connection.unregister("incoming")


def _metrics(rows: Sequence[Metric]) -> pa.Table:
    return pa.table(
        {
            "step": pa.array([row.step for row in rows], pa.int64()),
            "name": pa.array([row.name for row in rows], pa.string()),
            "value": nullable([row.value for row in rows]),
            "recorded_at": _times([row.recorded_at for row in rows]),
        }
    )


def _samples(rows: Sequence[Sample]) -> pa.Table:
    return pa.table(
        {
            "step": pa.array([row.step for row in rows], pa.int64()),
            "position": pa.array(range(len(rows)), pa.int32()),
            "prompt": _texts([row.prompt for row in rows]),
            "text": _texts([row.text for row in rows]),
            "recorded_at": _times([row.recorded_at for row in rows]),
        }
    )


def _remarks(rows: Sequence[Remark]) -> pa.Table:
    return pa.table(
        {
            "step": pa.array([row.step for row in rows], pa.int64()),
            "kind": pa.array([row.kind for row in rows], pa.string()),
            "text": _texts([row.text for row in rows]),
            "recorded_at": _times([row.recorded_at for row in rows]),
        }
    )


def _checkpoints(rows: Sequence[TrainingCheckpoint]) -> pa.Table:
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


def _tensors(rows: Sequence[CheckpointTensor]) -> pa.Table:
    return pa.table(
        {
            "position": pa.array(range(len(rows)), pa.int32()),
            "tensor": pa.array([row.tensor for row in rows], pa.string()),
            "layer": pa.array([row.layer for row in rows], pa.int32()),
            "role": pa.array([row.role for row in rows], pa.string()),
            "shape": pa.array([list(row.shape) for row in rows], pa.list_(pa.int64())),
        }
    )


def _measurements(step: int, tensors: Sequence[CheckpointTensor]) -> pa.Table:
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


def _thumbnails(step: int, tensors: Sequence[CheckpointTensor]) -> pa.Table:
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


def _aware(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC)
