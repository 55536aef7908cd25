"""Findings on the health of models, and the evidence for them that is stored already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from engine.errors import StorageError
from engine.health.findings import Finding
from storage.connection import first_row
from storage.database import Database
from storage.models import model_key
from storage.rows import nullable

_COLUMNS = "rule, severity, tensor, words, value, threshold, axis, lines, num_lines, weight_row, weight_column"


class Health:
    """The part of the store that keeps findings. Every `model` is a name or a content hash."""

    _database: Database

    def save_findings(self, model: str, findings: Sequence[Finding], rules: str, *, has_spectra: bool) -> None:
        """Store what the rules found, in place of what they had found before, in one transaction.

        Args: rules: `engine.health.registry.rules_version()`. has_spectra: whether the spectral rules could work.
        Raises: StorageError if the model is not in the database; then nothing was written.
        """
        rows = _rows(findings)
        with self._database.writing() as connection:
            key = model_key(connection, model)
            if key is None:
                raise StorageError(f"The model {model} is not in the database.", "Measure it first.")
            connection.execute("DELETE FROM finding WHERE model = ?", [key])
            connection.execute("DELETE FROM health_check WHERE model = ?", [key])
            now = datetime.now(UTC).replace(tzinfo=None)
            connection.execute("INSERT INTO health_check VALUES (?, ?, ?, ?)", [key, rules, has_spectra, now])
            connection.register("incoming", rows)
            connection.execute(
                f"INSERT INTO finding (model, position, {_COLUMNS}) SELECT ?, position, {_COLUMNS} FROM incoming",  # noqa: S608
                [key],
            )
            connection.unregister("incoming")

    def health_check(self, model: str) -> tuple[str, bool] | None:
        """(rules and versions, whether spectra took part) of the stored findings; None if there are none."""
        with self._database.reading() as connection:
            key = model_key(connection, model)
            return first_row(connection, "SELECT rules, has_spectra FROM health_check WHERE model = ?", [key])

    def findings(self, model: str) -> list[Finding]:
        """What was found, errors first; [] if nothing was, or if nobody looked (see `health_check`)."""
        with self._database.reading() as connection:
            key = model_key(connection, model)
            found = connection.execute(
                f"SELECT {_COLUMNS} FROM finding WHERE model = ? ORDER BY position",  # noqa: S608
                [key],
            ).fetchall()
        return [_finding(row) for row in found]


def _rows(findings: Sequence[Finding]) -> pa.Table:
    weights = [finding.weight or (None, None) for finding in findings]
    texts = {name: [getattr(f, name) for f in findings] for name in ("rule", "severity", "tensor", "words", "axis")}
    return pa.table(
        {
            "position": pa.array(range(len(findings)), pa.int32()),
            **{name: pa.array(each, pa.string()) for name, each in texts.items()},
            "value": nullable([f.value for f in findings]),
            "threshold": nullable([f.threshold for f in findings]),
            "lines": pa.array([list(f.lines) for f in findings], pa.list_(pa.int64())),
            "num_lines": pa.array([f.num_lines for f in findings], pa.int64()),
            "weight_row": pa.array([row for row, _ in weights], pa.int64()),
            "weight_column": pa.array([column for _, column in weights], pa.int64()),
        }
    )


def _finding(row: tuple) -> Finding:
    rule, severity, tensor, words, value, threshold, axis, lines, num_lines, weight_row, weight_column = row
    return Finding(
        rule=rule,
        severity=severity,
        tensor=tensor,
        words=words,
        value=math.nan if value is None else value,
        threshold=math.nan if threshold is None else threshold,
        axis=axis,
        lines=tuple(lines),
        num_lines=num_lines,
        weight=None if weight_row is None else (weight_row, weight_column),
    )
