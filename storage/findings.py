"""Shared-pattern tests: what was asked of which models, and every number of the answer."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pandas as pd

from engine.errors import StorageError
from storage.connection import first_row
from storage.database import Database
from storage.finding_rows import PatternModel, PatternRecord, finding_rows, null
from storage.models import TEST_TABLES, model_key


@dataclass(frozen=True)
class PatternSummary:
    """A stored test as lists show it; `group_bits` and `power` are NaN where unknown."""

    test: int
    models: tuple[PatternModel, ...]
    verdict: str
    sentences: tuple[str, ...]
    limits: tuple[str, ...]
    null_name: str
    settings: dict
    settings_hash: str
    num_lineages: int
    group_bits: float
    power: float
    tested_at: datetime
    elapsed_s: float


class Findings:
    """The part of the store that keeps shared-pattern tests."""

    _database: Database

    def save_pattern_test(self, record: PatternRecord) -> int:
        """Store a test in one transaction, in place of an earlier one of the same models under the same settings.

        Returns: its number. Raises: StorageError if a model is not in the database; then nothing was written.
        """
        hashes = [model.content_hash for model in record.models]
        with self._database.writing() as connection:
            keys = _keys(connection, hashes)
            earlier = _find(connection, keys, record.settings_hash)
            if earlier is not None:
                _forget(connection, earlier)
            test = first_row(connection, _INSERT_TEST, _test_values(record))[0]
            for table, rows in finding_rows(record, keys).items():
                connection.register("incoming", rows)
                names = ", ".join(rows.column_names)
                connection.execute(f"INSERT INTO {table} (test, {names}) SELECT ?, {names} FROM incoming", [test])  # noqa: S608
                connection.unregister("incoming")
        return test

    def find_pattern_test(self, models: Sequence[str], settings_hash: str) -> PatternSummary | None:
        """The stored test of exactly these models (names or hashes, in any order) under these settings, if any."""
        with self._database.reading() as connection:
            keys = [model_key(connection, model) for model in models]
            test = None if None in keys else _find(connection, keys, settings_hash)
        return None if test is None else self.pattern_test(test)

    def pattern_tests(self, model: str | None = None) -> list[PatternSummary]:
        """The stored tests, all or those with one model in them, the latest first."""
        with self._database.reading() as connection:
            condition, values = "true", []
            if model is not None:
                condition = "test IN (SELECT test FROM pattern_model WHERE model = ?)"
                values = [model_key(connection, model)]
            rows = connection.execute(
                f"SELECT {_SUMMARY} FROM pattern_test WHERE {condition} ORDER BY tested_at DESC, test DESC",  # noqa: S608
                values,
            ).fetchall()
            members = connection.execute(
                "SELECT p.test, m.content_hash, p.lineage, p.labels, m.name FROM pattern_model p "
                "JOIN model m ON m.id = p.model ORDER BY p.test, p.position"
            ).fetchall()
        models: dict[int, list[PatternModel]] = {}
        for test, content_hash, lineage, labels, name in members:
            models.setdefault(test, []).append(PatternModel(content_hash, lineage, json.loads(labels), name))
        return [_summary(row, tuple(models.get(row[0], ()))) for row in rows]

    def pattern_test(self, test: int) -> PatternSummary | None:
        """The stored test of that number; None if there is none."""
        return next((found for found in self.pattern_tests() if found.test == test), None)

    def pattern_effects(self, test: int) -> pd.DataFrame:
        """Its effects, the most certain first: the columns of `pattern_effect`; NaN where undefined."""
        return self._frame("SELECT * EXCLUDE test FROM pattern_effect WHERE test = ? ORDER BY position", test)

    def pattern_variances(self, test: int) -> pd.DataFrame:
        """What the variance of its features is due to: the columns of `pattern_variance`."""
        return self._frame("SELECT * EXCLUDE test FROM pattern_variance WHERE test = ? ORDER BY position", test)

    def pattern_pairs(self, test: int) -> pd.DataFrame:
        """Its pairs, the largest dividend first: the columns of `pattern_pair` with the models' names."""
        return self._frame(
            "SELECT a.name AS model_a, b.name AS model_b, p.* EXCLUDE (test, model_a, model_b) FROM pattern_pair p "
            "JOIN model a ON a.id = p.model_a JOIN model b ON b.id = p.model_b WHERE p.test = ? "
            "ORDER BY p.net DESC NULLS LAST, a.name, b.name",
            test,
        )

    def pattern_subspace(self, test: int) -> pd.DataFrame:
        """What directions of others explain, by their number: the columns of `pattern_subspace`."""
        return self._frame("SELECT * EXCLUDE test FROM pattern_subspace WHERE test = ? ORDER BY num_directions", test)

    def delete_pattern_test(self, test: int) -> bool:
        """Forget a test. Returns: whether there was one."""
        with self._database.writing() as connection:
            return _forget(connection, test)

    def _frame(self, query: str, test: int) -> pd.DataFrame:
        with self._database.reading() as connection:
            return connection.sql(query, params=[test]).to_arrow_table().to_pandas()


_SUMMARY = (
    "test, verdict, sentences, limits, null_name, settings, settings_hash, num_lineages, group_bits, power, tested_at, "
    "elapsed_s"
)
_INSERT_TEST = (
    "INSERT INTO pattern_test (version, settings_hash, settings, null_name, verdict, sentences, limits, num_lineages, "
    "group_bits, power, tested_at, elapsed_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING test"
)


def _test_values(record: PatternRecord) -> list:
    return [
        record.version,
        record.settings_hash,
        json.dumps(record.settings, ensure_ascii=False),
        record.null_name,
        record.verdict.kind,
        list(record.verdict.sentences),
        list(record.verdict.limits),
        len({model.lineage for model in record.models}),
        null(record.group_bits),
        null(record.power),
        datetime.now(UTC).replace(tzinfo=None),
        record.elapsed_s,
    ]


def _keys(connection: duckdb.DuckDBPyConnection, models: Sequence[str]) -> list[int]:
    keys = [model_key(connection, model) for model in models]
    for key, model in zip(keys, models, strict=True):
        if key is None:
            raise StorageError(f"The model {model} is not in the database.", "Measure it first.")
    return keys


def _find(connection: duckdb.DuckDBPyConnection, keys: Sequence[int], settings_hash: str) -> int | None:
    row = first_row(
        connection,
        "SELECT test FROM pattern_test t WHERE settings_hash = ? AND "
        "(SELECT list_sort(list(model)) FROM pattern_model p WHERE p.test = t.test) = list_sort(?::INTEGER[]) "
        "ORDER BY test DESC LIMIT 1",
        [settings_hash, list(keys)],
    )
    return row[0] if row else None


def _forget(connection: duckdb.DuckDBPyConnection, test: int) -> bool:
    found = []
    for table in TEST_TABLES:
        found += connection.execute(f"DELETE FROM {table} WHERE test = ? RETURNING 1", [test]).fetchall()  # noqa: S608
    return bool(found)


def _summary(row: tuple, models: tuple[PatternModel, ...]) -> PatternSummary:
    test, verdict, sentences, limits, null_name, settings, settings_hash, lineages, group_bits, power, at, elapsed = row
    numbers = [math.nan if value is None else value for value in (group_bits, power)]
    told = tuple(sentences), tuple(limits)
    return PatternSummary(
        test, models, verdict, *told, null_name, json.loads(settings), settings_hash, lineages, *numbers,
        at.replace(tzinfo=UTC), elapsed,
    )  # fmt: skip
