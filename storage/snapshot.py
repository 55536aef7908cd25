"""Copies of the database for queries that nobody checked: however long one runs, no writer waits for it."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from pathlib import Path

from storage.database import Database
from storage.schema import copy_database, identity

MOST_KEPT = 4
"""Snapshots kept per process, one for each database; chosen by us: an app has one, a test run many."""

_KEPT: dict[Path, Snapshot] = {}
_GUARD = threading.Lock()


class Snapshot:
    """One copied state of a database; its files go when nobody refers to it any more, at the latest at exit.

    Attributes:
        path: the copy. spill: a folder for what does not fit into memory. state: `identity` of the file copied.
    """

    def __init__(self, database: Database) -> None:
        folder = Path(tempfile.mkdtemp(prefix="weightscope-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.spill = folder / "spill"
        self.spill.mkdir()
        self.path = folder / database.path.name  # the same name: views know their database by it
        self.state = copy_database(database.file, self.path)


def snapshot_of(database: Database) -> Snapshot:
    """A snapshot of the newest committed state; copied only if the file changed since the last one.

    Raises: StorageError if the database is held by another process, or cannot be copied.
    """
    database.ensure()
    with _GUARD:
        kept = _KEPT.get(database.path)
        log = database.path.with_name(database.path.name + ".wal")
        if kept is None or log.exists() or identity(database.path) != kept.state:
            kept = Snapshot(database)
            _KEPT.pop(database.path, None)
            _KEPT[database.path] = kept
            while len(_KEPT) > MOST_KEPT:
                del _KEPT[next(iter(_KEPT))]
        return kept
