"""The pattern library: findings that somebody chose to keep, and signatures that came from elsewhere."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from engine.discovery.signature import FEATURES, VERSION
from engine.errors import StorageError
from storage.database import Database
from storage.vectors import from_vectors, vectors

KINDS = ("health", "forensics", "suggestion", "shared", "anomaly")

SIGNATURES = f"library_signature_v{VERSION}"
SIGNATURE_PLACES = ("content_hash", "model_name", "family", "tensor", "layer", "role", "stack")

_COLUMNS = (
    "key, kind, name, title, words, tensor, value, numbers, settings, model_names, content_hashes, note, origin, "
    "kept_at"
)


@dataclass(frozen=True)
class Pattern:
    """A finding that is kept; attributes as the columns of the table `pattern`, `value` NaN where there is none."""

    key: str
    kind: str
    name: str
    title: str
    words: str
    tensor: str
    model_names: tuple[str, ...]
    content_hashes: tuple[str, ...]
    value: float = math.nan
    numbers: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    note: str = ""
    origin: str = "here"
    kept_at: datetime | None = None


class PatternLibrary:
    """The part of the store that keeps the library. It outlives the models that its patterns were found in."""

    _database: Database

    def keep_patterns(self, patterns: Sequence[Pattern], *, replace: bool = True) -> int:
        """Keep patterns, in one transaction.

        Args: replace: one that is kept already is written anew; False to leave it as it is.
        Returns: how many were not kept before. Raises: StorageError if one cannot be stored; then none is.
        """
        try:
            rows = [_row(pattern) for pattern in patterns]
            for row in rows:
                "".join(str(value) for value in row).encode()
        except (ValueError, TypeError) as error:
            raise StorageError(f"A pattern cannot be stored: {error}.") from error
        with self._database.writing() as connection:
            known = {key for (key,) in connection.execute("SELECT key FROM pattern").fetchall()}
            wanted = {row[0]: row for row in rows if replace or row[0] not in known}
            for row in wanted.values():
                connection.execute("DELETE FROM pattern WHERE key = ?", [row[0]])
                connection.execute(f"INSERT INTO pattern ({_COLUMNS}) VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
        return len(wanted.keys() - known)

    def patterns(self) -> list[Pattern]:
        """Everything that is kept, the latest first."""
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM pattern ORDER BY kept_at DESC, key").fetchall()  # noqa: S608
        return [_pattern(row) for row in rows]

    def note_pattern(self, key: str, note: str) -> None:
        """Write another note to a pattern."""
        with self._database.writing() as connection:
            connection.execute("UPDATE pattern SET note = ? WHERE key = ?", [note, key])

    def forget_pattern(self, key: str) -> bool:
        """Keep it no longer. Returns: whether it was kept."""
        with self._database.writing() as connection:
            return bool(connection.execute("DELETE FROM pattern WHERE key = ? RETURNING 1", [key]).fetchall())

    def add_library_signatures(self, places: pd.DataFrame, values: np.ndarray, origin: str) -> int:
        """Take in signatures of models that were measured elsewhere; those of a model that is known are left out.

        Args: places: one row each with SIGNATURE_PLACES. values: (rows, features) raw, NaN where undefined.
        Returns: how many were taken in.
        """
        with self._database.writing() as connection:
            query = f"SELECT content_hash FROM model UNION SELECT content_hash FROM {SIGNATURES}"  # noqa: S608
            known = {row[0] for row in connection.execute(query).fetchall()}
            is_new = ~places["content_hash"].isin(known).to_numpy()
            kept = places[is_new]
            columns = {name: pa.array(kept[name].tolist(), pa.string()) for name in SIGNATURE_PLACES if name != "layer"}
            layers = [None if pd.isna(layer) else int(layer) for layer in kept["layer"]]
            columns |= {"layer": pa.array(layers, pa.int32()), "features": vectors(values[is_new])}
            connection.register("incoming", pa.table(columns))
            names = ", ".join(columns)
            connection.execute(
                f"INSERT INTO {SIGNATURES} ({names}, origin) SELECT {names}, ? FROM incoming",  # noqa: S608
                [origin],
            )
            connection.unregister("incoming")
        return int(is_new.sum())

    def library_signatures(self) -> tuple[pd.DataFrame, np.ndarray]:
        """What was taken in: (places with their origin, (rows, features) raw values)."""
        with self._database.reading() as connection:
            found = connection.sql(
                f"SELECT * FROM {SIGNATURES} ORDER BY model_name, content_hash, tensor"  # noqa: S608
            ).to_arrow_table()
        places = found.drop_columns(["features"]).to_pandas()
        places["layer"] = places["layer"].astype("Int64")
        return places, from_vectors(found["features"], len(FEATURES)).astype(np.float64)

    def forget_library_signatures(self, origin: str) -> bool:
        """Forget the signatures that came with one file. Returns: whether there were any."""
        with self._database.writing() as connection:
            query = f"DELETE FROM {SIGNATURES} WHERE origin = ? RETURNING 1"  # noqa: S608
            return bool(connection.execute(query, [origin]).fetchall())


def _row(pattern: Pattern) -> list:
    if pattern.kind not in KINDS:
        raise ValueError(f"there is no kind {pattern.kind!r}")
    kept_at = (pattern.kept_at or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
    return [
        pattern.key,
        pattern.kind,
        pattern.name,
        pattern.title,
        pattern.words,
        pattern.tensor,
        pattern.value if math.isfinite(pattern.value) else None,
        json.dumps(_plain(pattern.numbers), ensure_ascii=False, allow_nan=False),
        json.dumps(_plain(pattern.settings), ensure_ascii=False, allow_nan=False),
        list(pattern.model_names),
        list(pattern.content_hashes),
        pattern.note,
        pattern.origin,
        kept_at,
    ]


def _plain(value):
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pattern(row: tuple) -> Pattern:
    key, kind, name, title, words, tensor, value, numbers, settings, models, hashes, note, origin, kept_at = row
    return Pattern(
        key=key,
        kind=kind,
        name=name,
        title=title,
        words=words,
        tensor=tensor,
        model_names=tuple(models),
        content_hashes=tuple(hashes),
        value=math.nan if value is None else value,
        numbers=json.loads(numbers),
        settings=json.loads(settings),
        note=note,
        origin=origin,
        kept_at=kept_at.replace(tzinfo=UTC),
    )
