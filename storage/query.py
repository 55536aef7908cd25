"""Any SQL a person types, answered from a snapshot by a process that can reach nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import StorageError
from storage.database import Database
from storage.snapshot import snapshot_of

MAX_ROWS, TIMEOUT_S, MEMORY_LIMIT = 10_000, 10.0, "512MB"
"""Limits of one query; chosen by us: more rows than a person scrolls, half the memory of a small host."""

MAX_BYTES = 64 << 20
"""Size of one answer; chosen by us: rows of long lists would otherwise fill the memory of the app."""

GRACE_S = 10.0
"""What starting the process may take before it counts as hung."""

THREADS = 2

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_HINTS = {
    "refused": "The query box only reads: give one SELECT, FROM, WITH, SUMMARIZE, DESCRIBE, SHOW or EXPLAIN.",
    "timeout": "Ask for less: fewer models, fewer joins, a LIMIT.",
    "memory": "Ask for less, or open a copy of the file in the duckdb command line.",
    "sql": "",
}


@dataclass(frozen=True, eq=False)
class QueryResult:
    """What a query gave.

    Attributes:
        columns: their names. table: the rows. truncated: whether there were more rows than fit the limits.
        elapsed_s: how long the query ran, in seconds.
    """

    columns: list[str]
    table: pa.Table
    truncated: bool
    elapsed_s: float

    @property
    def num_rows(self) -> int:
        return self.table.num_rows

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a data frame: names made unique, types that pandas lacks as the nearest it has."""
        names: list[str] = []
        for name in self.columns:
            number, free = 2, name
            while free in names:
                number, free = number + 1, f"{name}_{number}"
            names.append(free)
        return pd.DataFrame(
            {name: _series(name, column) for name, column in zip(names, self.table.columns, strict=True)}
        )


class Queries:
    """The part of the store that answers any SQL."""

    _database: Database

    def query(
        self,
        sql: str,
        *,
        max_rows: int = MAX_ROWS,
        timeout_s: float = TIMEOUT_S,
        memory_limit: str = MEMORY_LIMIT,
    ) -> QueryResult:
        """Run one reading statement on a snapshot of the database.

        It runs in a process of its own: read-only, no other files, no network, no extensions, bounded in time and
        memory; the database itself is locked only while it is copied, and only after it changed.

        Args:
            sql: one statement. max_rows: how many rows to give at most. timeout_s: in seconds.
            memory_limit: as DuckDB spells it, "512MB".
        Raises: StorageError with DuckDB's own words if it fails, is no reading statement, or exceeds a limit.
        """
        snapshot = snapshot_of(self._database)
        request = {
            "database": str(snapshot.path),
            "temporary": str(snapshot.spill),
            "sql": sql,
            "max_rows": max_rows,
            "max_bytes": MAX_BYTES,
            "timeout_s": timeout_s,
            "memory_bytes": _num_bytes(memory_limit),
            "threads": THREADS,
        }
        header, body = _asked(request)
        if header["kind"] != "rows":
            raise _failure(header, request)
        table = pa.ipc.open_stream(body).read_all()
        return QueryResult(table.column_names, table, header["truncated"], header["elapsed_s"])


def _asked(request: dict) -> tuple[dict, bytes]:
    """Start the process, ask it, and end it if it hangs."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("sandbox.py"))]
    try:
        done = subprocess.run(  # noqa: S603 — our own file, run by our own Python
            command,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=request["timeout_s"] + GRACE_S,
            cwd=request["temporary"],
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"kind": "timeout"}, b""
    line, _, body = done.stdout.partition(b"\n")
    if done.returncode == 0 and line:
        return json.loads(line), body
    # Out of memory can end the process itself; it leaves at most a few words.
    words = done.stderr.decode(errors="replace").strip().splitlines()
    return {"kind": "memory", "error": words[-1] if words else f"ended by signal {-done.returncode}"}, b""


def _failure(header: dict, request: dict) -> StorageError:
    kind = header["kind"]
    said = header.get("error", "").strip()
    messages = {
        "refused": f"The query was not run: {said}.",
        "timeout": f"The query was stopped after {request['timeout_s']:g} s.",
        "memory": f"The query needs more than {request['memory_bytes'] / 10**6:,.0f} MB of memory.",
        "sql": said,
    }
    return StorageError(messages[kind], _HINTS[kind])


def _num_bytes(text: str) -> int:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].upper() not in _UNITS:
        raise StorageError(f"The memory limit {text!r} is no size, expected one like 512MB.")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _series(name: str, column: pa.ChunkedArray) -> pd.Series:
    """A column for pandas: 128-bit integers (DuckDB's sums) as int64 where they fit, what pandas lacks as text."""
    kind = column.type
    if pa.types.is_decimal(kind) and kind.scale == 0 and _fits(column):
        column = column.cast(pa.int64())
    try:
        if pa.types.is_union(kind):
            return pd.Series([None if value is None else str(value) for value in column.to_pylist()], dtype="str")
        if pa.types.is_temporal(kind):  # as text where pandas has no such year
            return _temporal(column)
        return column.to_pandas()
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise StorageError(
            f"The column {name} of type {kind} cannot be shown: {error}.", f'Write "{name}"::VARCHAR in the query.'
        ) from error


def _temporal(column: pa.ChunkedArray) -> pd.Series:
    try:
        return column.to_pandas()
    except (pa.ArrowException, ValueError, OverflowError):
        return column.cast(pa.string()).to_pandas()


def _fits(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column).as_py()
    return ends["min"] is None or (ends["min"] >= -(2**63) and ends["max"] < 2**63)
