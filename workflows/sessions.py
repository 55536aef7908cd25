"""Saved views: made from a page's URL, written to a file, read from one, and opened again with the models here.

A file is JSON: {"format": "weightscope-views", "version": 1, "views": [{"name", "note", "page", "saved_at",
"parameters": {key: [text, …]}, "models": {key: {"name", "content_hash"}}}, …]}. It comes from outside: every part is
checked before anything is kept.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from engine.errors import WeightscopeError
from storage.records import Location
from storage.sessions import ModelReference, SavedView
from storage.store import Store
from workflows.deployment import is_public
from workflows.folders import PROJECT
from workflows.library import locations, status

FORMAT, VERSION = "weightscope-views", 1
MODEL_KEYS = ("model", "other")
"""Of the URL's keys, those that name a model."""

MOST_FILE_BYTES = 1 << 20
MOST_VIEWS, MOST_KEYS, MOST_TEXTS = 500, 64, 64
LONGEST_NAME, LONGEST_NOTE, LONGEST_TEXT = 120, 10_000, 20_000
"""Bounds of what is kept; ours: far more than a person writes, far less than harms."""

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_HASH = re.compile(r"[0-9A-Za-z:_-]{8,128}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
"""Control characters but tab and newline, and halves of characters, which nothing can write."""

_HINT = "Choose a file that “Save this view” or “Download all” made."


@functools.cache
def page_files() -> dict[str, str]:
    """The app's pages: title, as in the sidebar -> file, as links take it."""
    files = sorted((PROJECT / "pages").glob("*.py"), key=lambda file: int(file.stem.partition("_")[0]))
    return {file.stem.partition("_")[2].replace("_", " "): f"pages/{file.name}" for file in files}


def new_view(store: Store, name: str, page: str, parameters: Mapping[str, Sequence[str]], note: str = "") -> SavedView:
    """The view that a page's URL shows.

    Args: page: its title. parameters: of the URL; those of an embedding site are left out.
    Raises: WeightscopeError for a name, note or parameter beyond the bounds.
    """
    kept = {key: tuple(texts) for key, texts in parameters.items() if not key.startswith("embed") and any(texts)}
    known = {location.name: location for location in locations(store)}
    models = {}
    for key in MODEL_KEYS:
        if key in kept:
            location = known.get(kept[key][0])
            content_hash = location.content_hash if location and status(location) == "measured" else None
            models[key] = ModelReference(kept[key][0], content_hash)
    return _checked(SavedView(name.strip(), page, kept, models, note.strip(), datetime.now(UTC)))


def save_view(store: Store, view: SavedView) -> None:
    """Keep a view in the database. Raises: StorageError for a taken name; WeightscopeError in a public deployment."""
    _check_may_keep(store, 1)
    store.save_views([view])


def keep_views(store: Store, views: Iterable[SavedView]) -> list[str]:
    """Keep views from a file; one whose name is taken gets a number, one that is here already is left as it is.

    Returns: the names of the new ones.
    """
    here = {view.name: view for view in store.saved_views()}
    fresh: list[SavedView] = []
    for view in views:
        if view in here.values():
            continue
        name, number = view.name, 2
        while name in here:
            ending = f" ({number})"
            name, number = view.name[: LONGEST_NAME - len(ending)] + ending, number + 1
        here[name] = replace(view, name=name)
        fresh.append(here[name])
    _check_may_keep(store, len(fresh))
    store.save_views(fresh)
    return [view.name for view in fresh]


def change_view(store: Store, name: str, *, new_name: str, note: str) -> None:
    """Give a view another name and note. Raises: StorageError or WeightscopeError as `save_view`."""
    _check_may_keep(store, 0)
    _check_text("name", new_name.strip(), LONGEST_NAME)
    _check_text("note", note, LONGEST_NOTE)
    store.change_view(name, new_name=new_name.strip(), note=note.strip())


def delete_view(store: Store, name: str) -> None:
    """Forget a view. Raises: WeightscopeError in a public deployment."""
    _check_may_keep(store, 0)
    store.delete_view(name)


def views_file(views: Sequence[SavedView]) -> bytes:
    """The views as a file for another machine; the same views give the same bytes."""
    listed = [
        {
            "name": view.name,
            "note": view.note,
            "page": view.page,
            "saved_at": view.saved_at.isoformat() if view.saved_at else None,
            "parameters": {key: list(texts) for key, texts in sorted(view.parameters.items())},
            "models": {
                key: {"name": model.name, "content_hash": model.content_hash}
                for key, model in sorted(view.models.items())
            },
        }
        for view in views
    ]
    file = {"format": FORMAT, "version": VERSION, "views": listed}
    return (json.dumps(file, ensure_ascii=False, indent=1) + "\n").encode()


def read_views(data: bytes) -> list[SavedView]:
    """The views in a file. Raises: WeightscopeError if it is none, too large, or holds anything beyond the bounds."""
    if len(data) > MOST_FILE_BYTES:
        raise WeightscopeError(f"The file has {len(data):,} bytes, expected at most {MOST_FILE_BYTES:,}.", _HINT)
    try:
        file = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # not UTF-8, no JSON, or nested without end
        raise WeightscopeError("The file holds no saved views: it is no JSON.", _HINT) from error
    if not isinstance(file, dict) or file.get("format") != FORMAT:
        raise WeightscopeError(f"The file holds no saved views: its format is not {FORMAT}.", _HINT)
    if file.get("version") != VERSION:
        raise WeightscopeError(
            f"The file has version {str(file.get('version'))[:20]}, expected {VERSION}.", "Update Weightscope."
        )
    views = file.get("views")
    if not isinstance(views, list) or len(views) > MOST_VIEWS:
        raise WeightscopeError(f"The file holds no list of at most {MOST_VIEWS} views.", _HINT)
    return [_read_view(view) for view in views]


@dataclass(frozen=True)
class Reopening:
    """How a view opens here.

    Attributes:
        parameters: for the page's URL, models under the names they have here.
        file: the page. warnings: what may differ from what was saved. problem, hint: why it cannot open, and what to
            do; both "" if it can.
    """

    parameters: dict[str, list[str]]
    file: str
    warnings: tuple[str, ...] = ()
    problem: str = ""
    hint: str = ""


def reopened(view: SavedView, known: Sequence[Location]) -> Reopening:
    """Find the models of a view among those here: by content first, then by name, with a warning.

    Args: known: `library.locations`.
    """
    parameters = {key: list(texts) for key, texts in view.parameters.items()}
    file = page_files().get(view.page)
    if file is None:
        return Reopening(
            parameters, "", (), f"There is no page “{view.page}” in this version.", "Update Weightscope to open it."
        )
    warnings = []
    for key, wanted in view.models.items():
        found, warning = _location(wanted, known)
        if found is None:
            identity = f" (content {wanted.content_hash[:12]})" if wanted.content_hash else ""
            return Reopening(
                parameters,
                file,
                (),
                f"The model “{wanted.name}”{identity} is not here.",
                "Add it in the Zoo and measure it: its content is then recognised, whatever its name or place.",
            )
        parameters[key] = [found.name]
        if warning:
            warnings.append(warning)
    return Reopening(parameters, file, tuple(warnings))


def _location(wanted: ModelReference, known: Sequence[Location]) -> tuple[Location | None, str]:
    """The model here, and what to say about it."""
    same = [location for location in known if wanted.content_hash and location.content_hash == wanted.content_hash]
    same.sort(key=lambda location: location.name != wanted.name)
    if same:
        return same[0], ""
    named = next((location for location in known if location.name == wanted.name), None)
    if named is None:
        return None, ""
    if wanted.content_hash is None:
        return named, f"“{wanted.name}” was not measured when this was saved, so it is known by its name only."
    if named.content_hash is None:
        return named, f"“{wanted.name}” is not measured here: its content may differ. Measure it to be sure."
    return named, f"“{wanted.name}” has another content here than when this was saved."


def _check_may_keep(store: Store, count: int) -> None:
    if is_public():
        raise WeightscopeError(
            "Nothing is kept here: this Weightscope is public.", "Download the view as a file, and open it from there."
        )
    if count and len(store.saved_views()) + count > MOST_VIEWS:
        raise WeightscopeError(f"There are {MOST_VIEWS} saved views already.", "Delete some, or download them first.")


def _read_view(value: object) -> SavedView:
    if not isinstance(value, dict):
        raise _wrong("views", "objects")
    name, note, page = (value.get(key, "" if key == "note" else None) for key in ("name", "note", "page"))
    parameters, models = value.get("parameters"), value.get("models", {})
    if not isinstance(parameters, dict) or not isinstance(models, dict):
        raise _wrong("parameters and models", "objects")
    if not all(
        isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in parameters.values()
    ):
        raise _wrong("parameters", "lists of texts")
    for model in models.values():
        if not isinstance(model, dict) or not isinstance(model.get("content_hash"), str | None):
            raise _wrong("models", "objects with a name and a content_hash")
    references = {key: ModelReference(model.get("name"), model.get("content_hash")) for key, model in models.items()}
    texts = {key: tuple(texts) for key, texts in parameters.items()}
    return _checked(SavedView(name, page, texts, references, note, _time(value.get("saved_at"))))


def _checked(view: SavedView) -> SavedView:
    _check_text("name", view.name, LONGEST_NAME)
    _check_text("note", view.note, LONGEST_NOTE)
    _check_text("page", view.page, LONGEST_NAME)
    if len(view.parameters) > MOST_KEYS:
        raise WeightscopeError(f"A view has {len(view.parameters)} parameters, expected at most {MOST_KEYS}.", _HINT)
    for key, texts in view.parameters.items():
        if not _KEY.fullmatch(key) or len(texts) > MOST_TEXTS:
            raise _wrong("parameters", f"plain keys with at most {MOST_TEXTS} texts")
        for text in texts:
            _check_text(f"parameter {key}", text, LONGEST_TEXT)
    for key, model in view.models.items():
        if key not in MODEL_KEYS or key not in view.parameters:
            raise _wrong("models", f"among {', '.join(MODEL_KEYS)}, and parameters as well")
        _check_text("model", model.name, LONGEST_TEXT)
        if model.content_hash is not None and not _HASH.fullmatch(model.content_hash):
            raise _wrong("content_hash", "letters and digits")
    return view


def _check_text(what: str, text: object, longest: int) -> None:
    is_needed = what in ("name", "page", "model")
    if not isinstance(text, str) or (is_needed and not text.strip()):
        raise WeightscopeError(f"The {what} of the view is empty.", "Give it a name." if what == "name" else _HINT)
    if len(text) > longest:
        raise WeightscopeError(f"The {what} of the view has {len(text):,} letters, expected at most {longest:,}.")
    if _CONTROL.search(text) or (is_needed and re.search(r"[\t\n]", text)):
        raise WeightscopeError(f"The {what} of the view holds control characters.", "Remove them.")


def _time(text: object) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong("saved_at", "a time such as 2026-01-31T12:00:00+00:00") from error


def _wrong(what: str, expected: str) -> WeightscopeError:
    return WeightscopeError(f"The file holds no saved views: {what} should be {expected}.", _HINT)
