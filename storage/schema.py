"""The schema: append-only migrations, each run and recorded in one transaction, after a backup copy."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import duckdb

from engine.errors import StorageError
from storage.connection import Connection, connect, first_row
from storage.measures import Measures, learn_measures
from storage.views import create_views

COPY_TRIES = 20
"""Tries to copy the file between two writes of other processes; chosen by us."""

_RECORD_TABLE = """
CREATE TABLE schema_migration (version INTEGER PRIMARY KEY, name VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL);
COMMENT ON TABLE schema_migration IS 'Migrations of this database that were run; the largest version is its schema.';
COMMENT ON COLUMN schema_migration.version IS 'Number of the migration.';
COMMENT ON COLUMN schema_migration.name IS 'Name of its file.';
COMMENT ON COLUMN schema_migration.applied_at IS 'When it was run (UTC).';
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: the SQL of `NNNN_name.sql`."""

    version: int
    name: str
    sql: str


def load_migrations(folder: Path | None = None) -> tuple[Migration, ...]:
    """The migrations in order.

    Args: folder: where the `.sql` files lie; None for those of this package.
    Raises: StorageError if their numbers are not 1, 2, 3, …
    """
    root = resources.files("storage") / "migrations" if folder is None else folder
    files = sorted((entry for entry in root.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    steps = []
    for entry in files:
        number = re.match(r"(\d{4})_", entry.name)
        if number is None or int(number[1]) != len(steps) + 1:
            raise StorageError(f"The migration {entry.name} is out of order, expected number {len(steps) + 1:04d}.")
        steps.append(Migration(int(number[1]), entry.name, entry.read_text(encoding="utf-8")))
    return tuple(steps)


def schema_version(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """The version of the open database; 0 for an empty one. Raises StorageError for another program's database."""
    tables = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if "schema_migration" not in tables:
        if tables:
            raise StorageError(
                f"The database {path} belongs to another program: it has tables, but no schema_migration.",
                "Move it away, or set WEIGHTSCOPE_DATA to another folder.",
            )
        return 0
    return first_row(connection, "SELECT coalesce(max(version), 0) FROM schema_migration")[0]


def is_current(connection: duckdb.DuckDBPyConnection, path: Path, migrations: tuple[Migration, ...]) -> bool:
    """Whether the open database has the schema of this program; raises StorageError for a newer one."""
    found, known = schema_version(connection, path), len(migrations)
    if found > known:
        raise StorageError(
            f"The database {path} has schema version {found}, this Weightscope knows versions up to {known}.",
            "Update Weightscope, or set WEIGHTSCOPE_DATA to another folder.",
        )
    return found == known


def create_database(file: Connection, migrations: tuple[Migration, ...], measures: Measures) -> None:
    """Make the database beside its place and move it there whole, so that a kill leaves no half-made file.

    If another process was faster, its file stays and ours is dropped.
    """
    folder = file.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as temporary:
            made = Path(temporary) / file.path.name
            connection = connect(made, read_only=False)
            try:
                run_migrations(connection, migrations, measures)
            finally:
                connection.close()
            with file.exclusive():
                _move_if_free(made, file.path)
    except OSError as error:
        raise StorageError(
            f"No database can be made in {folder}: {error.strerror or error}.",
            "Check that the folder can be written, or set WEIGHTSCOPE_DATA to another one.",
        ) from error


def upgrade_database(file: Connection, migrations: tuple[Migration, ...], measures: Measures) -> None:
    """Bring an older database to this program's schema; a copy of the old one stays beside it.

    Two processes may do this at once: the second finds nothing left to do.
    """
    for _ in range(COPY_TRIES):
        with file.open(read_only=True) as connection:
            if is_current(connection, file.path, migrations):
                return
            version = schema_version(connection, file.path)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        backup = file.path.with_name(f"{file.path.stem}.schema-{version}.{stamp}.duckdb")
        copied = copy_database(file, backup)
        with file.open(read_only=False) as connection:
            if identity(file.path) == copied and not is_current(connection, file.path, migrations):
                _run_or_drop(backup, connection, version, migrations, measures)
                return
        backup.unlink()  # another process wrote between the copy and the lock: the copy would not be the old state
    raise StorageError(f"The database {file.path} changed all the time while it was to be upgraded.", "Try again.")


def _run_or_drop(
    backup: Path,
    connection: duckdb.DuckDBPyConnection,
    version: int,
    migrations: tuple[Migration, ...],
    measures: Measures,
) -> None:
    """Run what is new; the backup of a database that stayed as it was is dropped, or each try would leave one."""
    try:
        run_migrations(connection, migrations[version:], measures)
    except BaseException:
        if first_row(connection, "SELECT max(version) FROM schema_migration") == (version,):
            backup.unlink()
        raise


def run_migrations(
    connection: duckdb.DuckDBPyConnection, migrations: tuple[Migration, ...], measures: Measures
) -> None:
    """Run and record each migration in a transaction of its own, with the generated views made anew."""
    for step in migrations:
        connection.execute("BEGIN")
        try:
            if step.version == 1:
                connection.execute(_RECORD_TABLE)
            connection.execute(step.sql)
            now = datetime.now(UTC).replace(tzinfo=None)
            connection.execute("INSERT INTO schema_migration VALUES (?, ?, ?)", [step.version, step.name, now])
            if step is migrations[-1]:
                learn_measures(connection, measures)
                create_views(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def copy_database(file: Connection, target: Path) -> tuple[int, int]:
    """Copy the database file while no writer can touch it.

    A write-ahead log that a killed process left is first folded into the file.

    Returns: the identity of the file that was copied (see `identity`).
    Raises: StorageError if the file is held, or writers never leave a gap.
    """
    log = file.path.with_name(file.path.name + ".wal")
    for _ in range(COPY_TRIES):
        if log.exists():
            with file.open(read_only=False) as connection:
                connection.execute("CHECKPOINT")
        with file.open(read_only=True):
            if log.exists():  # a writer was killed since
                continue
            # On POSIX, closing any handle of the file gives up the lock; so the copy is the last thing done under it.
            found = identity(file.path)
            _copy_whole(file.path, target)
            return found
    raise StorageError(f"The database {file.path} changed all the time while it was to be copied.", "Try again.")


def _copy_whole(path: Path, target: Path) -> None:
    """Copy a file so that the target is there whole or not at all."""
    part = target.with_name(target.name + ".part")
    try:
        shutil.copyfile(path, part)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            f"The database {path} cannot be copied to {target}: {error.strerror or error}.", "Free some space there."
        ) from error


def identity(path: Path) -> tuple[int, int]:
    """(modification time in ns, size in bytes): changes with every write to the file."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _move_if_free(made: Path, place: Path) -> None:
    """Move a file to its place unless something is there already."""
    try:
        os.link(made, place)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not place.exists():
            made.rename(place)
