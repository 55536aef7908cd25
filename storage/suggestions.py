"""Suggestions for compressing models, each with what it rests on, tensor by tensor."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from engine.discovery.suggestions import Suggestion, TensorGain
from engine.errors import StorageError
from storage.connection import first_row
from storage.database import Database
from storage.models import model_key
from storage.rows import nullable

_TABLES = ("suggestion", "suggestion_tensor", "suggestion_check")
_COLUMNS = "idea, state, words, baseline, confidence, limits, evidence, recipe"


@dataclass(frozen=True)
class StoredSuggestions:
    """What was suggested for a model, in reading order; `version` and `looked_at` as in `suggestion_check`."""

    suggestions: tuple[Suggestion, ...]
    version: str
    looked_at: dict[str, bool]


class SuggestionStore:
    """The part of the store that keeps suggestions. Every `model` is a name or a content hash."""

    _database: Database

    def save_suggestions(
        self, model: str, told: Sequence[Suggestion], version: str, looked_at: dict[str, bool], elapsed_s: float = 0.0
    ) -> None:
        """Store what was suggested in one transaction, in place of what was suggested before.

        Args: version: `engine.discovery.suggestions.ideas_version()`. looked_at: which other findings took part.
        Raises: StorageError if the model is not in the database; then nothing was written.
        """
        try:
            tables = {"suggestion": _rows(told), "suggestion_tensor": _tensor_rows(told)}
        except (pa.ArrowException, UnicodeError) as error:
            raise StorageError(f"The suggestions for {model} cannot be stored: {error}.") from error
        with self._database.writing() as connection:
            key = model_key(connection, model)
            if key is None:
                raise StorageError(f"The model {model} is not in the database.", "Measure it first.")
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table} WHERE model = ?", [key])  # noqa: S608 — names of ours
            now = datetime.now(UTC).replace(tzinfo=None)
            check = [key, version, json.dumps(looked_at), now, elapsed_s]
            connection.execute("INSERT INTO suggestion_check VALUES (?, ?, ?, ?, ?)", check)
            for table, rows in tables.items():
                connection.register("incoming", rows)
                names = ", ".join(rows.column_names)
                connection.execute(f"INSERT INTO {table} (model, {names}) SELECT ?, {names} FROM incoming", [key])  # noqa: S608
                connection.unregister("incoming")

    def suggestions(self, model: str) -> StoredSuggestions | None:
        """What was suggested; None if nobody looked."""
        with self._database.reading() as connection:
            key = model_key(connection, model)
            check = first_row(connection, "SELECT version, looked_at FROM suggestion_check WHERE model = ?", [key])
            if check is None:
                return None
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM suggestion WHERE model = ? ORDER BY position",  # noqa: S608
                [key],
            ).fetchall()
            tensors = connection.execute(
                "SELECT idea, tensor, num_weights, gain_bits, evidence FROM suggestion_tensor WHERE model = ? "
                "ORDER BY idea, position",
                [key],
            ).fetchall()
        gains: dict[str, list[TensorGain]] = {}
        for idea, tensor, weights, bits, evidence in tensors:
            gains.setdefault(idea, []).append(TensorGain(tensor, weights, bits, _numbers(evidence)))
        told = tuple(
            Suggestion(
                idea,
                state,
                words,
                tuple(gains.get(idea, ())),
                baseline,
                confidence,
                limits,
                _numbers(evidence),
                json.loads(recipe),
            )
            for idea, state, words, baseline, confidence, limits, evidence, recipe in rows
        )
        return StoredSuggestions(told, check[0], json.loads(check[1]))


def _rows(told: Sequence[Suggestion]) -> pa.Table:
    texts = ("idea", "state", "words", "baseline", "confidence", "limits")
    is_found = [one.state == "found" for one in told]
    return pa.table(
        {
            "position": pa.array(range(len(told)), pa.int32()),
            **{name: pa.array([getattr(one, name) for one in told], pa.string()) for name in texts},
            "gain_bits": nullable(
                [one.gain_bits if found else math.nan for one, found in zip(told, is_found, strict=True)]
            ),
            "gain_bytes": nullable(
                [one.gain_bytes if found else math.nan for one, found in zip(told, is_found, strict=True)]
            ),
            "num_weights": pa.array([one.num_weights for one in told], pa.int64()),
            "evidence": pa.array([_json(one.evidence) for one in told], pa.string()),
            "recipe": pa.array([json.dumps(dict(one.recipe), ensure_ascii=False) for one in told], pa.string()),
        }
    )


def _tensor_rows(told: Sequence[Suggestion]) -> pa.Table:
    rows = [(one.idea, position, gain) for one in told for position, gain in enumerate(one.tensors)]
    return pa.table(
        {
            "idea": pa.array([idea for idea, _, _ in rows], pa.string()),
            "position": pa.array([position for _, position, _ in rows], pa.int32()),
            "tensor": pa.array([gain.tensor for _, _, gain in rows], pa.string()),
            "num_weights": pa.array([gain.num_weights for _, _, gain in rows], pa.int64()),
            "gain_bits": pa.array([gain.gain_bits for _, _, gain in rows], pa.float64()),
            "evidence": pa.array([_json(gain.evidence) for _, _, gain in rows], pa.string()),
        }
    )


def _json(numbers) -> str:
    """JSON knows no NaN."""
    return json.dumps({name: value if math.isfinite(value) else None for name, value in numbers.items()})


def _numbers(text: str) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in json.loads(text).items()}
