"""Saved views: where a person was, under a name, with a note."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from engine.errors import StorageError
from storage.connection import first_row
from storage.database import Database

_COLUMNS = "name, note, page, parameters, models, saved_at"


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model as a saved view remembers it: by its content where that was measured, and by its name."""

    name: str
    content_hash: str | None = None


@dataclass(frozen=True)
class SavedView:
    """A place in the app that a person wants to come back to.

    Attributes:
        name: unique here. page: its title ("Heatmap"). note: the person's own words, "" for none.
        parameters: what was set on the page, as in its URL: key -> its texts, usually one.
        models: of those parameters, the ones that name a model -> which model that was.
        saved_at: UTC; None before it was stored.
    """

    name: str
    page: str
    parameters: Mapping[str, tuple[str, ...]]
    models: Mapping[str, ModelReference] = field(default_factory=dict)
    note: str = ""
    saved_at: datetime | None = None


class Sessions:
    """The part of the store that keeps saved views. Deleting a model leaves them: they are the person's notes."""

    _database: Database

    def save_views(self, views: Sequence[SavedView], *, replace: bool = False) -> None:
        """Store views in one transaction.

        Args: replace: take the place of one with the same name; else that is an error, and nothing was written.
        Raises: StorageError for a name that is taken.
        """
        with self._database.writing() as connection:
            for view in views:
                if first_row(connection, "SELECT 1 FROM saved_view WHERE name = ?", [view.name]) is None:
                    connection.execute("INSERT INTO saved_view VALUES (?, ?, ?, ?, ?, ?)", [view.name, *_row(view)])
                    continue
                if not replace:
                    raise _taken(view.name)
                connection.execute(
                    "UPDATE saved_view SET note = ?, page = ?, parameters = ?, models = ?, saved_at = ? WHERE name = ?",
                    [*_row(view), view.name],
                )

    def saved_views(self) -> list[SavedView]:
        """Every saved view, the latest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM saved_view ORDER BY saved_at DESC, lower(name), name"  # noqa: S608
            ).fetchall()
        return [_view(row) for row in rows]

    def saved_view(self, name: str) -> SavedView | None:
        """The view of that name; None if there is none."""
        with self._database.reading() as connection:
            row = first_row(connection, f"SELECT {_COLUMNS} FROM saved_view WHERE name = ?", [name])  # noqa: S608
        return None if row is None else _view(row)

    def change_view(self, name: str, *, new_name: str, note: str) -> None:
        """Give a view another name and note. Raises StorageError if it is gone, or the new name is taken."""
        with self._database.writing() as connection:
            if first_row(connection, "SELECT 1 FROM saved_view WHERE name = ?", [name]) is None:
                raise StorageError(f"There is no saved view “{name}” any more.", "Reload the page.")
            is_other = new_name != name
            if is_other and first_row(connection, "SELECT 1 FROM saved_view WHERE name = ?", [new_name]) is not None:
                raise _taken(new_name)
            connection.execute("UPDATE saved_view SET name = ?, note = ? WHERE name = ?", [new_name, note, name])

    def delete_view(self, name: str) -> bool:
        """Forget a view. Returns: whether there was one."""
        with self._database.writing() as connection:
            found = connection.execute("DELETE FROM saved_view WHERE name = ? RETURNING 1", [name]).fetchall()
        return bool(found)


def _taken(name: str) -> StorageError:
    return StorageError(f"There is a saved view “{name}” already.", "Choose another name, or delete the old one first.")


def _row(view: SavedView) -> list[object]:
    models = {
        key: {"name": model.name, "content_hash": model.content_hash} for key, model in sorted(view.models.items())
    }
    parameters = {key: list(texts) for key, texts in sorted(view.parameters.items())}
    saved_at = (view.saved_at or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
    return [view.note, view.page, json.dumps(parameters), json.dumps(models), saved_at]


def _view(row: tuple) -> SavedView:
    name, note, page, parameters, models, saved_at = row
    return SavedView(
        name=name,
        page=page,
        parameters={key: tuple(texts) for key, texts in json.loads(parameters).items()},
        models={key: ModelReference(**model) for key, model in json.loads(models).items()},
        note=note,
        saved_at=saved_at.replace(tzinfo=UTC),
    )
