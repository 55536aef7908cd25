"""Trainings: every checkpoint's numbers and pictures, samples and remarks, kept by the run's experiment."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from engine.errors import StorageError
from storage.connection import first_row
from storage.database import Database
from storage.training_rows import (
    CheckpointTensor,
    Remark,
    Sample,
    TrainingCheckpoint,
    TrainingRows,
    checkpoints_table,
    measurements_table,
    metrics_table,
    remarks_table,
    samples_table,
    tensors_table,
    thumbnails_table,
)

__all__ = ["KIND", "CheckpointTensor", "Remark", "Sample", "Training", "TrainingCheckpoint", "TrainingRows"]

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
                    _insert(connection, "checkpoint_tensor", experiment, tensors_table(tensors))
                _insert(connection, "checkpoint_measurement", experiment, measurements_table(checkpoint.step, tensors))
                _insert(connection, "checkpoint_thumbnail", experiment, thumbnails_table(checkpoint.step, tensors))
            for table, incoming in (
                ("metric", metrics_table(rows.metrics)),
                ("training_sample", samples_table(rows.samples)),
                ("training_remark", remarks_table(rows.remarks)),
                ("training_checkpoint", checkpoints_table([checkpoint for checkpoint, _ in rows.checkpoints])),
            ):
                if incoming.num_rows:
                    _insert(connection, table, experiment, incoming)

    def price_checkpoint(self, experiment: str, step: int, bits_per_byte: float, *, is_best: bool) -> None:
        """Add to a checkpoint what held-out text costs there, where nobody had looked before."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE training_checkpoint SET bits_per_byte = ?, is_best = ? WHERE experiment = ? AND step = ?",
                [bits_per_byte, is_best, experiment, step],
            )

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


def _aware(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC)
