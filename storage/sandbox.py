"""Runs one SQL statement on a snapshot, in a process of its own that may do nothing else.

Started by `storage.query` as `python -P sandbox.py`: the request comes as JSON on standard input; the answer is one
line of JSON on standard output, followed by an Arrow stream if the statement gave rows. A process, because a statement
can also waste memory and time where DuckDB does not count or interrupt it (`repeat('x', 4000000000)`).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

BATCH_ROWS = 1024
BASE_BYTES = 2 << 30
"""Address space (not memory) that Python, DuckDB and Arrow reserve beside the query's own, with room to spare."""


def main() -> None:
    request = json.load(sys.stdin)
    _limit_memory(request["memory_bytes"])
    try:
        header, body = _answer(request)
    except MemoryError:
        header, body = {"kind": "memory", "error": "out of memory"}, b""
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()
    os._exit(0)  # an interrupted query may still be running in DuckDB's threads: nothing is worth waiting for


def _answer(request: dict) -> tuple[dict, bytes]:
    import duckdb

    started = time.perf_counter()
    connection = duckdb.connect(request["database"], read_only=True, config=_settings(request))
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET lock_configuration = true")
    expired = threading.Event()

    def interrupt() -> None:
        expired.set()
        connection.interrupt()

    timer = threading.Timer(request["timeout_s"], interrupt)
    timer.daemon = True
    timer.start()
    try:
        refusal = _refusal(duckdb, connection, request["sql"])
        if refusal:
            return {"kind": "refused", "error": refusal}, b""
        is_truncated, body = _fetched(connection, request)
    except duckdb.OutOfMemoryException as error:
        return {"kind": "memory", "error": str(error)}, b""
    except duckdb.Error as error:
        return {"kind": "timeout" if expired.is_set() else "sql", "error": str(error)}, b""
    finally:
        timer.cancel()
    return {"kind": "rows", "truncated": is_truncated, "elapsed_s": time.perf_counter() - started}, body


def _settings(request: dict) -> dict:
    """No files but the snapshot, no network, no extensions, little memory; none of it can be changed by the query."""
    return {
        "enable_external_access": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,
        "memory_limit": f"{request['memory_bytes']}B",
        "temp_directory": request["temporary"],
        "max_temp_directory_size": f"{request['memory_bytes']}B",
        "threads": request["threads"],
    }


def _refusal(duckdb, connection, sql: str) -> str:
    """Why the text is not run: it must be one statement that reads. Empty if it is."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        return (
            "expected one statement, got none" if not statements else f"expected one statement, got {len(statements)}"
        )
    kind = statements[0].type
    if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        return f"expected a statement that reads, got {kind.name}"
    return ""


def _fetched(connection, request: dict) -> tuple[bool, bytes]:
    """Rows up to the limits on rows and bytes, as (whether there were more, Arrow stream)."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    reader = connection.sql(request["sql"]).to_arrow_reader(BATCH_ROWS)
    room, is_truncated = request["max_rows"], False
    with pa.ipc.new_stream(sink, reader.schema) as writer:
        for batch in reader:
            if batch.num_rows == 0:
                continue
            if room <= 0 or sink.tell() + batch.nbytes > request["max_bytes"]:
                is_truncated = True
                break
            writer.write_batch(batch.slice(0, room))
            is_truncated = batch.num_rows > room
            room -= batch.num_rows
    return is_truncated, sink.getvalue().to_pybytes()


def _limit_memory(memory_bytes: int) -> None:
    """A hard bound on address space, where the system has one."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    limit = BASE_BYTES + 2 * memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
