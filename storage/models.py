"""Measured models: stored whole, listed, deleted."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import duckdb

from storage.connection import first_row
from storage.database import Database
from storage.measures import learn_measures
from storage.records import ModelRecord, ModelSummary
from storage.rows import model_rows, taken_measures
from storage.views import create_views

MODEL_TABLES = (
    "tensor",
    "tensor_failure",
    "measurement",
    "model_measure",
    "distribution",
    "axis_profile",
    "thumbnail",
    "spectrum",
    "null_signature_v1",
    "forensics_check",
    "forensics",
    "suggestion_check",
    "suggestion",
    "suggestion_tensor",
    "health_check",
    "finding",
    "signature_v1",
    "signature_index_v1",
    "model_signature_v1",
)
"""The tables whose rows belong to one model, by `model.id`."""

PAIR_TABLES = ("comparison", "comparison_tensor", "comparison_value", "lineage")
"""The tables whose rows belong to two models, by `model_a` and `model_b`."""

TEST_TABLES = (
    "pattern_effect",
    "pattern_variance",
    "pattern_pair",
    "pattern_subspace",
    "pattern_test",
    "pattern_model",
)
"""The tables of tests of several models, by `test`; a test goes with the first of its models that goes."""

_SUMMARY = "content_hash, name, uri, format, family, num_tensors, num_parameters, num_bytes, measured_at"


class Models:
    """The part of the store that keeps measured models."""

    _database: Database

    def save_model(self, model: ModelRecord, settings_hash: str) -> bool:
        """Store a measured model in one transaction.

        If the same content is there already, its readings are replaced, unless they were taken by the same versions
        of the same measures under the same settings: then nothing is written.

        Args: settings_hash: of the settings under which the measures were taken.
        Returns: whether anything was written.
        Raises: StorageError; then nothing was written.
        """
        measures = self._database.measures
        tables = model_rows(model, measures, settings_hash)
        versions = {name: measures[name].version for name in taken_measures(model.tensors, measures)}
        with self._database.writing() as connection:
            # Asked inside the transaction: of two processes that measured the same model, the second finds it here.
            if _has_taken(connection, model.content_hash, versions, settings_hash):
                return False
            if learn_measures(connection, measures):
                create_views(connection)
            key = _put_model(connection, model)
            _forget_readings(connection, key)
            for table, rows in tables.items():
                connection.register("incoming", rows)
                names = ", ".join(f'"{name}"' for name in rows.column_names)
                connection.execute(f"INSERT INTO {table} (model, {names}) SELECT ?, {names} FROM incoming", [key])  # noqa: S608
                connection.unregister("incoming")
        return True

    def has_model(self, content_hash: str, settings_hash: str) -> bool:
        """Whether every measure of today, in its present version, was taken of this content under these settings."""
        versions = {name: entry.version for name, entry in self._database.measures.items()}
        with self._database.reading() as connection:
            return _has_taken(connection, content_hash, versions, settings_hash)

    def models(self) -> list[ModelSummary]:
        """All measured models, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {_SUMMARY} FROM model ORDER BY lower(name), name").fetchall()  # noqa: S608
        return [_summary(row) for row in rows]

    def model(self, name_or_hash: str) -> ModelSummary | None:
        """The measured model of that name, or else of that content hash; None if there is none."""
        with self._database.reading() as connection:
            key = model_key(connection, name_or_hash)
            rows = connection.execute(f"SELECT {_SUMMARY} FROM model WHERE id = ?", [key]).fetchall()  # noqa: S608
        return _summary(rows[0]) if rows else None

    def model_config(self, name_or_hash: str) -> dict:
        """The model's config.json; {} if it had none or there is no such model."""
        return self._model_json(name_or_hash, "config")

    def model_metadata(self, name_or_hash: str) -> dict[str, str]:
        """What the header of the model's weight file says of itself; {} if nothing, or if there is no such model."""
        return self._model_json(name_or_hash, "metadata")

    def delete_model(self, name_or_hash: str) -> bool:
        """Forget a model and all its readings, in one transaction; its files and locations stay.

        Returns: whether there was such a model.
        """
        with self._database.writing() as connection:
            key = model_key(connection, name_or_hash)
            if key is None:
                return False
            connection.execute(
                "UPDATE location SET content_hash = NULL "
                "WHERE content_hash = (SELECT content_hash FROM model WHERE id = ?)",
                [key],
            )
            _forget_readings(connection, key)
            for table in PAIR_TABLES:
                connection.execute(f"DELETE FROM {table} WHERE model_a = $1 OR model_b = $1", [key])  # noqa: S608
            of_model = "test IN (SELECT test FROM pattern_model WHERE model = ?)"
            for table in TEST_TABLES:
                connection.execute(f"DELETE FROM {table} WHERE {of_model}", [key])  # noqa: S608
            connection.execute("DELETE FROM model WHERE id = ?", [key])
        return True

    def _model_json(self, name_or_hash: str, column: str) -> dict:
        with self._database.reading() as connection:
            key = model_key(connection, name_or_hash)
            row = first_row(connection, f"SELECT {column} FROM model WHERE id = ?", [key])  # noqa: S608
        return json.loads(row[0]) if row else {}


def model_key(connection: duckdb.DuckDBPyConnection, name_or_hash: str) -> int | None:
    """The model's key inside the database; a name goes before a hash."""
    row = first_row(
        connection,
        "SELECT id FROM model WHERE name = $1 OR content_hash = $1 ORDER BY name = $1 DESC LIMIT 1",
        [name_or_hash],
    )
    return row[0] if row else None


def _has_taken(
    connection: duckdb.DuckDBPyConnection, content_hash: str, versions: dict[str, int], settings_hash: str
) -> bool:
    row = first_row(connection, "SELECT id FROM model WHERE content_hash = ?", [content_hash])
    if row is None:
        return False
    taken = connection.execute(
        "SELECT measure, version FROM model_measure WHERE model = ? AND settings_hash = ?", [row[0], settings_hash]
    ).fetchall()
    return versions.items() <= dict(taken).items()


def _put_model(connection: duckdb.DuckDBPyConnection, model: ModelRecord) -> int:
    """Insert or update the model's own row; returns its key."""
    facts = {
        "uri": model.uri,
        "format": model.format,
        "family": model.family,
        "config": json.dumps(model.config),
        "metadata": json.dumps(model.metadata),
        "num_tensors": len(model.tensors),
        "num_parameters": sum(record.info.num_elements for record in model.tensors),
        "num_bytes": sum(record.info.num_bytes for record in model.tensors),
        "measured_at": datetime.now(UTC).replace(tzinfo=None),
        "elapsed_s": model.elapsed_s,
    }
    row = first_row(connection, "SELECT id FROM model WHERE content_hash = ?", [model.content_hash])
    if row is not None:
        changes = ", ".join(f"{name} = ?" for name in facts)
        connection.execute(f"UPDATE model SET {changes} WHERE id = ?", [*facts.values(), row[0]])  # noqa: S608
        return row[0]
    facts |= {"content_hash": model.content_hash, "name": _free_name(connection, model)}
    marks = ", ".join("?" for _ in facts)
    statement = f"INSERT INTO model ({', '.join(facts)}) VALUES ({marks}) RETURNING id"  # noqa: S608
    return first_row(connection, statement, list(facts.values()))[0]


def _free_name(connection: duckdb.DuckDBPyConnection, model: ModelRecord) -> str:
    """The model's name, with `@` and digits of its hash if another content has it."""
    for name in (model.name, f"{model.name}@{model.content_hash[:8]}"):
        if first_row(connection, "SELECT 1 FROM model WHERE name = ?", [name]) is None:
            return name
    return f"{model.name}@{model.content_hash}"


def _forget_readings(connection: duckdb.DuckDBPyConnection, key: int) -> None:
    for table in MODEL_TABLES:
        connection.execute(f"DELETE FROM {table} WHERE model = ?", [key])  # noqa: S608 — a name of ours


def _summary(row: tuple) -> ModelSummary:
    return ModelSummary(*row[:-1], measured_at=row[-1].replace(tzinfo=UTC))
