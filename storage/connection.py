"""Short connections to one DuckDB file that other programs also want to open.

DuckDB locks its file between processes, also against readers. So nobody here holds it open: a connection lives for
one call, behind one lock per file and process, and a file that another process holds is tried again for a while.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from engine.errors import StorageError

COMPATIBILITY = "v1.5.0"
"""Storage format written: readable by every DuckDB from 1.5 on, so that today's stand-alone CLI opens the file."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.005, 0.1
"""Pauses between two tries of a held file double from the first to the longest; chosen by us: a reader that loops
leaves gaps of some milliseconds, and a person notices more than a tenth of a second."""

_LOCKS: dict[str, threading.Lock] = {}
_LOCKS_GUARD = threading.Lock()


class Connection:
    """Opens one database file for one call at a time.

    Args:
        path: the database file.
        patience_s: how long to try again while another process holds the file, in seconds.
    """

    def __init__(self, path: Path, patience_s: float) -> None:
        self.path = path
        self.patience_s = patience_s

    @contextmanager
    def open(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of this thread alone, closed at the end, so that no other program waits for longer than that.

        Raises: StorageError if the file stays held, is no database, or any statement fails.
        """
        lock = _process_lock(self.path)
        connection = self._open_when_free(lock, read_only)
        try:
            yield connection
        except duckdb.Error as error:
            raise StorageError(f"The database {self.path} failed: {first_line(error)}", damage_hint(error)) from error
        finally:
            try:
                connection.close()
            finally:
                lock.release()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keeps this process's other threads away while the file itself is copied, moved or made."""
        with _process_lock(self.path):
            yield

    def _open_when_free(self, lock: threading.Lock, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Returns an open connection with the process lock held; between two tries the lock is free for others."""
        deadline = time.monotonic() + self.patience_s
        pause_s = FIRST_PAUSE_S
        while True:
            lock.acquire()
            try:
                return connect(self.path, read_only=read_only)
            except duckdb.Error as error:
                lock.release()
                if not is_held(error):
                    raise unreadable(self.path, error) from error
                if time.monotonic() >= deadline:
                    raise held_elsewhere(self.path, error, self.patience_s) from error
            except BaseException:
                lock.release()
                raise
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 — jitter between processes, not a secret
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """A plain connection with the house's settings; the caller holds the process lock."""
    config: dict[str, str | bool] = {"storage_compatibility_version": COMPATIBILITY}
    # Nothing here needs an extension that is not built in, and nothing may be fetched from the network.
    config |= {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    config |= {"python_enable_replacements": False}
    connection = duckdb.connect(str(path), read_only=read_only, config=config)
    connection.execute("SET enable_progress_bar = false")
    return connection


def is_held(error: duckdb.Error) -> bool:
    """Whether opening failed because another process, or other code of this one, has the file open."""
    text = str(error)
    return (
        "Could not set lock" in text
        or "being used by another process" in text
        or "different configuration" in text
        or "Unique file handle conflict" in text
    )


def held_elsewhere(path: Path, error: duckdb.Error, patience_s: float) -> StorageError:
    """The error that names who holds the file, as far as the system says."""
    found = re.search(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)", str(error))
    if found is None:
        holder = "this process itself" if "different configuration" in str(error) else "another process"
    else:
        pid = int(found["pid"])
        holder = f"process {pid} ({_program_name(pid) or Path(found['program']).name})"
    return StorageError(
        f"The database {path} is held open by {holder}; waited {patience_s:g} s for it.",
        "Close it there (a duckdb shell, a notebook), then try again.",
    )


def unreadable(path: Path, error: duckdb.Error) -> StorageError:
    """The error for a file that DuckDB cannot open at all."""
    if path.is_dir():
        return StorageError(f"The database {path} is a folder, expected a file.", "Move it away, then try again.")
    size = f"{path.stat().st_size:,} bytes" if path.exists() else "missing"
    return StorageError(f"The database {path} ({size}) cannot be opened: {first_line(error)}", damage_hint(error))


def damage_hint(error: duckdb.Error) -> str:
    """What to do about a database that DuckDB cannot read; empty where the error is of another kind."""
    text = str(error)
    if any(sign in text for sign in ("not a valid DuckDB", "orrupt", "checksum", "deserialize", "INTERNAL")):
        return "The file is damaged. Move it away or restore a backup beside it; a missing file is made anew."
    if ("version" in text and "older" in text) or "newer version" in text:
        return "It was written by a newer DuckDB; update this one, or move the file away."
    return ""


def first_line(error: Exception) -> str:
    """DuckDB's own words, without the marks under the statement."""
    return str(error).strip().split("\n", 1)[0]


def _process_lock(path: Path) -> threading.Lock:
    key = os.path.realpath(path)
    with _LOCKS_GUARD:
        return _LOCKS.setdefault(key, threading.Lock())


def _program_name(pid: int) -> str:
    import psutil

    try:
        return psutil.Process(pid).name()
    except psutil.Error:  # gone meanwhile, or not ours to look at: DuckDB's own words have to do
        return ""


def first_row(connection: duckdb.DuckDBPyConnection, statement: str, values: Sequence[object] = ()) -> tuple | None:
    """The first row of a result that is read to its end, as DuckDB wants it before the next statement."""
    rows = connection.execute(statement, list(values)).fetchall()
    return rows[0] if rows else None
