"""Places where checkpoints were found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import duckdb

from engine.errors import StorageError
from storage.connection import first_row
from storage.database import Database
from storage.records import Location

_COLUMNS = "name, uri, origin, fingerprint, format, num_tensors, num_parameters, num_bytes, content_hash, added_at"


class Locations:
    """The part of the store that keeps what the Zoo lists."""

    _database: Database

    def add_location(self, location: Location) -> Location:
        """Keep a location. One of the same uri is updated and keeps its name and the time it was first seen.

        A name that another location has gets `-2`, `-3`, … A content hash that was known stays as long as the
        fingerprint does.

        Returns: the location as it is now stored.
        """
        with self._database.writing() as connection:
            old = _find(connection, "uri", location.uri)
            if old is None:
                name = _free_name(connection, location.name)
                added_at = (location.added_at or datetime.now(UTC)).astimezone(UTC)
                content_hash = location.content_hash
            else:
                name, added_at = old.name, old.added_at
                is_same = old.fingerprint == location.fingerprint
                content_hash = location.content_hash or (old.content_hash if is_same else None)
            kept = replace(location, name=name, added_at=added_at, content_hash=content_hash)
            _put(connection, kept)
        return kept

    def locations(self) -> list[Location]:
        """All locations, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM location ORDER BY lower(name), name").fetchall()  # noqa: S608
        return [_location(row) for row in rows]

    def location(self, name_or_uri: str) -> Location | None:
        """The location of that name, or else of that uri; None if there is none."""
        with self._database.reading() as connection:
            return _find(connection, "name", name_or_uri) or _find(connection, "uri", name_or_uri)

    def set_content_hash(self, uri: str, content_hash: str, fingerprint: str) -> None:
        """Record which measured content lies at a location, seen with this fingerprint.

        Raises: StorageError if there is no such location.
        """
        with self._database.writing() as connection:
            changed = connection.execute(
                "UPDATE location SET content_hash = ?, fingerprint = ? WHERE uri = ? RETURNING uri",
                [content_hash, fingerprint, uri],
            ).fetchall()
            if not changed:
                raise StorageError(f"No location {uri} is known.", "Add it first.")

    def remove_location(self, name: str) -> bool:
        """Forget a location; its files and readings stay. Returns whether there was one of that name."""
        with self._database.writing() as connection:
            gone = connection.execute("DELETE FROM location WHERE name = ? RETURNING uri", [name]).fetchall()
        return bool(gone)


def _find(connection: duckdb.DuckDBPyConnection, column: str, value: str) -> Location | None:
    row = first_row(connection, f"SELECT {_COLUMNS} FROM location WHERE {column} = ?", [value])  # noqa: S608
    return _location(row) if row else None


def _free_name(connection: duckdb.DuckDBPyConnection, wanted: str) -> str:
    taken = {row[0] for row in connection.execute("SELECT name FROM location").fetchall()}
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name


def _put(connection: duckdb.DuckDBPyConnection, location: Location) -> None:
    values = [getattr(location, column) for column in _COLUMNS.split(", ")]
    values[-1] = location.added_at.replace(tzinfo=None)
    marks = ", ".join("?" for _ in values)
    connection.execute("DELETE FROM location WHERE uri = ?", [location.uri])
    connection.execute(f"INSERT INTO location ({_COLUMNS}) VALUES ({marks})", values)  # noqa: S608


def _location(row: tuple) -> Location:
    return Location(*row[:-1], added_at=row[-1].replace(tzinfo=UTC))
