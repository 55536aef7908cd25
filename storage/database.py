"""The database as its tables' code sees it: a connection to read or to write, schema and views in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from storage.connection import Connection
from storage.measures import Measures
from storage.schema import Migration, create_database, is_current, load_migrations, upgrade_database


class Database:
    """One database file, made or upgraded when it is first used.

    Args:
        path: the file. patience_s: how long to wait for another process, in seconds.
        measures: the measures that readings carry; None for the engine's registry.
        migrations: the schema; None for this package's.
    """

    def __init__(
        self,
        path: Path,
        patience_s: float,
        measures: Measures | None = None,
        migrations: tuple[Migration, ...] | None = None,
    ) -> None:
        self.path = path
        self.file = Connection(path, patience_s)
        self._measures = measures
        self.migrations = load_migrations() if migrations is None else migrations

    @property
    def measures(self) -> Measures:
        if self._measures is None:
            from engine.measures.registry import MEASURES

            self._measures = MEASURES
        return self._measures

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection; what it reads is one consistent state."""
        with self._current(read_only=True) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection inside one transaction: committed whole at the end, or not at all."""
        with self._current(read_only=False) as connection:
            connection.execute("BEGIN")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise

    def ensure(self) -> None:
        """Make or upgrade the database where needed."""
        with self._current(read_only=True):
            pass

    @contextmanager
    def _current(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        if not self.path.exists():
            create_database(self.file, self.migrations, self.measures)
        with self.file.open(read_only=read_only) as connection:
            if is_current(connection, self.path, self.migrations):
                yield connection
                return
        upgrade_database(self.file, self.migrations, self.measures)
        with self.file.open(read_only=read_only) as connection:
            yield connection


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        connection.execute("ROLLBACK")
    except duckdb.TransactionException:  # the failed statement, or a failed COMMIT, has already ended it
        return
