"""The dictionary of measures inside the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import duckdb
import pyarrow as pa


class MeasureEntry(Protocol):
    """What storage keeps of a measure; `engine.measures.registry.Measure` is one."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...


Measures = Mapping[str, MeasureEntry]


def learn_measures(connection: duckdb.DuckDBPyConnection, measures: Measures, first_position: int = 0) -> bool:
    """Bring the table `measure` up to date; measures that no longer exist stay, for their numbers are still there.

    Args: first_position: of the first measure among the columns of the views; the others follow.
    Returns: whether anything changed, so that the generated views must be made anew.
    """
    known = {row[0]: row[1:] for row in connection.execute("SELECT * FROM measure").fetchall()}
    rows = [
        (entry.name, entry.unit, entry.version, entry.title, entry.description, position)
        for position, entry in enumerate(measures.values(), first_position)
    ]
    changed = [row for row in rows if known.get(row[0]) != row[1:]]
    if not changed:
        return False
    names = ("name", "unit", "version", "title", "description", "position")
    table = pa.table({name: [row[column] for row in changed] for column, name in enumerate(names)})
    connection.register("changed_measure", table)
    connection.execute("INSERT OR REPLACE INTO measure SELECT * FROM changed_measure")
    connection.unregister("changed_measure")
    return True
