"""Comparisons of two measured models, and what was found of their lineage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from engine.compare.comparison import TensorComparison
from engine.compare.matching import Matching
from engine.errors import StorageError
from engine.naming import Place, place
from storage.connection import first_row
from storage.database import Database
from storage.models import model_key
from storage.rows import nullable

_TABLES = ("comparison", "comparison_tensor", "comparison_value")
_PLACE = ("layer", "role", "part", "stack")
_TENSOR = (
    "position",
    "tensor_a",
    "tensor_b",
    "matched_by",
    "is_sure",
    *_PLACE,
    "max_row",
    "max_column",
    "note",
    "problem",
)


@dataclass(frozen=True, eq=False)
class ComparisonRecord:
    """One comparison as the job hands it to storage.

    Attributes:
        matching: which tensors belong together. tensors: the pairs' numbers, in the matching's order.
        sentences: what changed in words. tolerance, version, settings_hash: how it was compared.
        elapsed_s: how long it took.
    """

    matching: Matching
    tensors: tuple[TensorComparison, ...]
    sentences: tuple[str, ...]
    tolerance: float
    version: int
    settings_hash: str
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class ComparisonSummary:
    """A stored comparison as lists show it: the models' names and content hashes, and what changed in words."""

    name_a: str
    name_b: str
    hash_a: str
    hash_b: str
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    tolerance: float
    settings_hash: str
    compared_at: datetime


@dataclass(frozen=True)
class LineageRecord:
    """What was found of two models' lineage; NaN where undefined.

    Attributes:
        verdict, agreement, p_value, effect_size, words: as the table's comments say. evidence: as JSON can hold it.
    """

    verdict: str
    agreement: float
    p_value: float
    effect_size: float
    words: str
    evidence: dict
    version: int
    elapsed_s: float = 0.0
    judged_at: datetime | None = None


class Comparisons:
    """The part of the store that keeps comparisons. Every model is a name or a content hash; A comes before B."""

    _database: Database

    def save_comparison(
        self, model_a: str, model_b: str, record: ComparisonRecord, lineage: LineageRecord | None = None
    ) -> None:
        """Store a comparison in one transaction, in place of an earlier one of the same two models.

        Args: lineage: what was found of it, if somebody looked; without it, what was found before stays.
        Raises: StorageError if one of them is not in the database; then nothing was written.
        """
        tables = _rows(record)
        with self._database.writing() as connection:
            keys = _keys(connection, model_a, model_b)
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table} WHERE model_a = ? AND model_b = ?", keys)  # noqa: S608
            connection.execute(
                "INSERT INTO comparison VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    *keys,
                    record.version,
                    record.settings_hash,
                    record.tolerance,
                    list(record.sentences),
                    list(record.matching.notes),
                    datetime.now(UTC).replace(tzinfo=None),
                    record.elapsed_s,
                ],
            )
            for table, rows in tables.items():
                connection.register("incoming", rows)
                names = ", ".join(rows.column_names)
                connection.execute(
                    f"INSERT INTO {table} (model_a, model_b, {names}) SELECT ?, ?, {names} FROM incoming",  # noqa: S608
                    keys,
                )
                connection.unregister("incoming")
            if lineage is not None:
                _put_lineage(connection, keys, lineage)

    def comparisons(self, model: str | None = None) -> list[ComparisonSummary]:
        """The stored comparisons, of one model (on either side) or all, the latest first."""
        with self._database.reading() as connection:
            condition, values = "true", []
            if model is not None:
                condition, values = "(a.id = $1 OR b.id = $1)", [model_key(connection, model)]
            rows = connection.execute(
                "SELECT a.name, b.name, a.content_hash, b.content_hash, sentences, notes, tolerance, settings_hash, "  # noqa: S608
                "compared_at FROM comparison c JOIN model a ON a.id = c.model_a JOIN model b ON b.id = c.model_b "
                f"WHERE {condition} ORDER BY compared_at DESC, lower(a.name), lower(b.name)",
                values,
            ).fetchall()
        return [
            ComparisonSummary(*row[:4], tuple(row[4]), tuple(row[5]), *row[6:8], row[8].replace(tzinfo=UTC))
            for row in rows
        ]

    def comparison(self, model_a: str, model_b: str) -> ComparisonSummary | None:
        """The stored comparison of A with B; None if there is none."""
        with self._database.reading() as connection:
            hashes = [
                first_row(connection, "SELECT content_hash FROM model WHERE id = ?", [model_key(connection, model)])
                for model in (model_a, model_b)
            ]
        if None in hashes:
            return None
        wanted = tuple(row[0] for row in hashes)
        return next((one for one in self.comparisons(wanted[0]) if (one.hash_a, one.hash_b) == wanted), None)

    def comparison_stats(self, model_a: str, model_b: str) -> pd.DataFrame:
        """The view `comparison_stats` of A with B: a row per pair of tensors, and per tensor without a partner.

        `layer` is a nullable integer; numbers are NaN where undefined. No comparison gives no rows, but all columns.
        """
        with self._database.reading() as connection:
            keys = [model_key(connection, model) for model in (model_a, model_b)]
            rows = [first_row(connection, "SELECT name FROM model WHERE id = ?", [key]) for key in keys]
            names = [row[0] if row else None for row in rows]
            frame = connection.sql(
                "SELECT * FROM comparison_stats WHERE model_a = ? AND model_b = ? ORDER BY position", params=names
            )
            return frame.to_arrow_table().to_pandas().astype({"layer": "Int64"})

    def delete_comparison(self, model_a: str, model_b: str) -> bool:
        """Forget a comparison and what was found of the lineage. Returns: whether there was either."""
        with self._database.writing() as connection:
            keys = [model_key(connection, model_a), model_key(connection, model_b)]
            found = []
            for table in (*_TABLES, "lineage"):
                statement = f"DELETE FROM {table} WHERE model_a = ? AND model_b = ? RETURNING 1"  # noqa: S608
                found += connection.execute(statement, keys).fetchall()
        return bool(found)

    def save_lineage(self, model_a: str, model_b: str, record: LineageRecord) -> None:
        """Store what was found of the lineage of two models, in place of what was found before.

        Raises: StorageError if one of them is not in the database.
        """
        with self._database.writing() as connection:
            _put_lineage(connection, _keys(connection, model_a, model_b), record)

    def lineage(self, model_a: str, model_b: str) -> LineageRecord | None:
        """What was found of the lineage of A and B; None if nobody looked."""
        with self._database.reading() as connection:
            keys = [model_key(connection, model_a), model_key(connection, model_b)]
            row = first_row(
                connection,
                "SELECT verdict, agreement, p_value, effect_size, words, evidence, version, elapsed_s, judged_at "
                "FROM lineage WHERE model_a = ? AND model_b = ?",
                keys,
            )
        if row is None:
            return None
        numbers = [np.nan if value is None else value for value in row[1:4]]
        return LineageRecord(row[0], *numbers, row[4], json.loads(row[5]), *row[6:8], row[8].replace(tzinfo=UTC))


def _keys(connection: duckdb.DuckDBPyConnection, model_a: str, model_b: str) -> list[int]:
    keys = [model_key(connection, model) for model in (model_a, model_b)]
    for key, model in zip(keys, (model_a, model_b), strict=True):
        if key is None:
            raise StorageError(f"The model {model} is not in the database.", "Measure it first.")
    return keys


def _put_lineage(connection: duckdb.DuckDBPyConnection, keys: list[int], record: LineageRecord) -> None:
    connection.execute("DELETE FROM lineage WHERE model_a = ? AND model_b = ?", keys)
    connection.execute(
        "INSERT INTO lineage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            *keys,
            record.version,
            record.verdict,
            *(_plain(value) for value in (record.agreement, record.p_value, record.effect_size)),
            record.words,
            json.dumps(_plain(record.evidence), allow_nan=False),
            datetime.now(UTC).replace(tzinfo=None),
            record.elapsed_s,
        ],
    )


def _rows(record: ComparisonRecord) -> dict[str, pa.Table]:
    """The rows of one comparison by table; the columns of the models are added when they are inserted."""
    columns: dict[str, list] = {name: [] for name in _TENSOR}
    alone = [(name, None) for name in record.matching.only_a] + [(None, name) for name in record.matching.only_b]
    for position, row in enumerate(record.tensors):
        match, found = row.match, row.difference
        facts = (position, match.name_a, match.name_b, match.matched_by, match.is_sure, *_place(match.place))
        largest = (None, None) if found is None else (found.row, found.column)
        for name, value in zip(columns, (*facts, *largest, match.note, row.error), strict=True):
            columns[name].append(value)
    for position, (name_a, name_b) in enumerate(alone, len(record.tensors)):
        facts = (position, name_a, name_b, None, None, *_place(place(name_a or name_b)), None, None, "", None)
        for name, value in zip(columns, facts, strict=True):
            columns[name].append(value)
    kinds = {"position": pa.int32(), "is_sure": pa.bool_(), "layer": pa.int32()}
    kinds |= {"max_row": pa.int64(), "max_column": pa.int64()}
    numbers = [(position, *item) for position, row in enumerate(record.tensors) for item in row.values().items()]
    values = {
        "position": pa.array([position for position, _, _ in numbers], pa.int32()),
        "measure": pa.array([measure for _, measure, _ in numbers], pa.string()),
        "value": nullable([value for _, _, value in numbers]),
    }
    try:
        tensors = {name: pa.array(column, kinds.get(name, pa.string())) for name, column in columns.items()}
    except (pa.ArrowException, UnicodeError) as error:
        raise StorageError(f"The comparison cannot be stored: {error}.") from error
    return {"comparison_tensor": pa.table(tensors), "comparison_value": pa.table(values)}


def _place(where: Place) -> Sequence[object]:
    return where.layer, where.role, where.part, where.stack


def _plain(value):
    """What JSON can hold: NaN and infinities become null."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
