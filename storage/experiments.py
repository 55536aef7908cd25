"""Runs of training, compression and scans, with the numbers they report."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from engine.errors import StorageError
from storage.connection import first_row
from storage.database import Database
from storage.records import Experiment, Metric

_COLUMNS = "id, kind, name, settings, status, started_at, finished_at, result, message"


class Experiments:
    """The part of the store that keeps experiments and their metrics."""

    _database: Database

    def start_experiment(self, kind: str, name: str, settings: dict, experiment: str | None = None) -> str:
        """Record the beginning of a run.

        Args:
            settings: what was asked, as JSON can hold it.
            experiment: its key; None for a new one. A key that is there already begins again, its metrics gone.
        Returns: the key.
        """
        key = experiment or uuid.uuid4().hex
        with self._database.writing() as connection:
            connection.execute("DELETE FROM metric WHERE experiment = ?", [key])
            connection.execute("DELETE FROM experiment WHERE id = ?", [key])
            connection.execute(
                f"INSERT INTO experiment ({_COLUMNS}) VALUES (?, ?, ?, ?, 'running', ?, NULL, NULL, '')",  # noqa: S608
                [key, kind, name, json.dumps(settings), _utc(None)],
            )
        return key

    def append_metrics(self, experiment: str, rows: Iterable[Metric]) -> None:
        """Store a batch of metrics in one transaction. Raises StorageError if there is no such experiment."""
        batch = list(rows)
        table = pa.table(
            {
                "step": pa.array([row.step for row in batch], pa.int64()),
                "name": pa.array([row.name for row in batch], pa.string()),
                "value": pa.array(np.array([row.value for row in batch], np.float64), from_pandas=True),
                "recorded_at": pa.array([_utc(row.recorded_at) for row in batch], pa.timestamp("us")),
            }
        )
        with self._database.writing() as connection:
            _require(connection, experiment)
            connection.register("incoming", table)
            connection.execute(
                "INSERT INTO metric SELECT ?, step, name, value, recorded_at FROM incoming", [experiment]
            )
            connection.unregister("incoming")

    def finish_experiment(
        self, experiment: str, status: str = "done", result: dict | None = None, message: str = ""
    ) -> None:
        """Record the end of a run.

        Args: status: "done", "failed" or "cancelled". result: what came of it. message: why it failed.
        Raises: StorageError if there is no such experiment.
        """
        if status not in ("done", "failed", "cancelled"):
            raise StorageError(f"The status {status!r} ends no experiment, expected done, failed or cancelled.")
        with self._database.writing() as connection:
            _require(connection, experiment)
            connection.execute(
                "UPDATE experiment SET status = ?, finished_at = ?, result = ?, message = ? WHERE id = ?",
                [status, _utc(None), None if result is None else json.dumps(result), message, experiment],
            )

    def experiments(self, kind: str | None = None) -> list[Experiment]:
        """The experiments, of one kind or of all, the latest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM experiment WHERE $1::VARCHAR IS NULL OR kind = $1 "  # noqa: S608
                "ORDER BY started_at DESC, id",
                [kind],
            ).fetchall()
        return [_experiment(row) for row in rows]

    def metrics(self, experiment: str) -> pd.DataFrame:
        """Its metrics in the order of their steps: columns step, name, value (NaN: undefined), recorded_at (UTC)."""
        with self._database.reading() as connection:
            rows = connection.sql(
                "SELECT step, name, value, recorded_at FROM metric WHERE experiment = ? ORDER BY step, name, rowid",
                params=[experiment],
            )
            return rows.to_arrow_table().to_pandas()


def _require(connection: duckdb.DuckDBPyConnection, experiment: str) -> None:
    if first_row(connection, "SELECT 1 FROM experiment WHERE id = ?", [experiment]) is None:
        raise StorageError(f"No experiment {experiment} is known.", "Start it first.")


def _utc(when: datetime | None) -> datetime:
    """The moment in UTC as DuckDB's TIMESTAMP takes it; now for None."""
    return (when or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)


def _experiment(row: tuple) -> Experiment:
    key, kind, name, settings, status, started_at, finished_at, result, message = row
    return Experiment(
        id=key,
        kind=kind,
        name=name,
        settings=json.loads(settings),
        status=status,
        started_at=started_at.replace(tzinfo=UTC),
        finished_at=finished_at.replace(tzinfo=UTC) if finished_at else None,
        result=json.loads(result) if result else None,
        message=message,
    )
