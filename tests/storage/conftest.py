"""A store of its own for each test, and programs beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from storage.store import Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def _empty_database(tmp_path_factory) -> Path:
    made = Store(tmp_path_factory.mktemp("empty"))
    made.models()
    return made.path


@pytest.fixture
def store(tmp_path, _empty_database) -> Store:
    """A store with an empty database (copied, for making one takes a while)."""
    made = Store(tmp_path / "data")
    made.folder.mkdir()
    shutil.copyfile(_empty_database, made.path)
    return made


@pytest.fixture
def start_program(tmp_path):
    """Start another Python process in the project's root; whatever still runs at the end is killed."""
    running: list[subprocess.Popen] = []

    def start(*arguments: str) -> subprocess.Popen:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, text=True, **pipes)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def rows_of():
    """Every row of every table, straight from the file."""

    def rows(path: Path) -> dict[str, list[tuple]]:
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
            return {
                table: connection.execute(f'SELECT rowid, * FROM "{table}" ORDER BY rowid').fetchall()
                for table in tables
            }

    return rows
