"""What the database holds, described by itself: tables, views, columns and their comments."""

from __future__ import annotations

from dataclasses import dataclass

from storage.database import Database


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type in SQL, and what it holds."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table or view; `comment` says what it holds."""

    name: str
    is_view: bool
    comment: str
    columns: tuple[Column, ...]


class Tables:
    """The part of the store that says what can be queried."""

    _database: Database

    def tables(self) -> list[Table]:
        """Every view, then every table, by name, with their columns in order."""
        with self._database.reading() as connection:
            heads = connection.execute(
                "SELECT view_name, true, comment FROM duckdb_views() WHERE NOT internal UNION ALL "
                "SELECT table_name, false, comment FROM duckdb_tables() WHERE NOT internal ORDER BY 2 DESC, 1"
            ).fetchall()
            rows = connection.execute(
                "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal "
                "ORDER BY table_name, column_index"
            ).fetchall()
        columns: dict[str, list[Column]] = {}
        for table, name, data_type, comment in rows:
            columns.setdefault(table, []).append(Column(name, data_type, comment or ""))
        return [Table(name, is_view, comment or "", tuple(columns.get(name, ()))) for name, is_view, comment in heads]
