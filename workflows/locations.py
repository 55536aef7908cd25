"""The locations of checkpoints: bundled with the product, or kept in the database."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import engine.sources
from engine.errors import SourceNotFoundError
from engine.sources.base import Source
from engine.sources.hub_access import is_hub_uri
from storage.records import Location
from storage.store import Store
from workflows.deployment import check_location
from workflows.folders import BUNDLED

_GENERIC_NAMES = {"model", "models", "checkpoint", "weights"}


def locations(store: Store) -> list[Location]:
    """Every checkpoint known here: the bundled ones first, then the others, both by name."""
    stored = store.locations()
    taken = {location.name for location in stored}
    known = {location.uri for location in stored}
    bundled = [location for location in stored if location.origin == "bundled"]
    for folder in sorted(BUNDLED.iterdir()) if BUNDLED.is_dir() else ():
        if str(folder) not in known and any(folder.glob("*.safetensors")):
            bundled.append(_bundled(folder, _free(folder.name, taken), _stamp(folder)))
    others = [location for location in stored if location.origin != "bundled"]
    return sorted(bundled, key=lambda location: location.name) + others


def location(store: Store, name: str) -> Location:
    """The location of that name. Raises SourceNotFoundError if there is none."""
    known = locations(store)
    for candidate in known:
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in known[:20]) or "none yet"
    raise SourceNotFoundError(f"No checkpoint is known as {name!r}.", f"Known are: {names}. A path works as well.")


def resolve(store: Store, name_or_path: str) -> Location:
    """What a person meant: a known name, a known path, or a path that nobody has added yet, which is added.

    A model on the hub is `hf://owner/name[@revision]`; nothing of it but its headers is fetched.

    Raises: SourceNotFoundError if it is neither a name nor a path; SourceError if the file is no checkpoint.
    """
    for candidate in locations(store):
        if name_or_path in (candidate.name, candidate.uri):
            return candidate
    if is_hub_uri(name_or_path):
        return add_path(store, name_or_path)
    is_name = not Path(name_or_path).expanduser().exists() and not re.search(r"[/\\.]", name_or_path)
    return location(store, name_or_path) if is_name else add_path(store, name_or_path)


def describe(source: Source, origin: str, name: str = "") -> Location:
    """The location of an opened source, from its headers."""
    return Location(
        name=name or _short_name(source),
        uri=source.uri,
        origin=origin,
        fingerprint=source.fingerprint,
        format=source.format,
        num_tensors=len(source.infos()),
        num_parameters=source.num_parameters,
        num_bytes=source.num_bytes,
    )


def add_path(
    store: Store, path: str | Path, *, origin: str = "added", name: str = "", token: str | None = None
) -> Location:
    """Make a checkpoint file, a folder or a model on the hub known; one that is known already is returned as it is.

    Args:
        path: the file or folder, owner/name of the hub cache, or hf://owner/name[@revision] to leave it on the hub.
        origin: as in `Location`; of an `hf://` model always "hub".
        name: the short name wanted; else the file's, folder's or model's.
        token: for a gated or private model; it is not kept. None for HF_TOKEN.
    Raises: SourceError if it cannot be opened; NotAllowedError in a public deployment.
    """
    check_location(str(path), origin)
    with engine.sources.open(path, token) as source:
        for candidate in locations(store):
            if candidate.uri == source.uri:
                return candidate
        return store.add_location(describe(source, "hub" if source.is_remote else origin, name))


@functools.lru_cache(maxsize=64)
def _bundled(path: Path, name: str, _stamp: tuple) -> Location:
    with engine.sources.open(str(path)) as source:
        return describe(source, "bundled", name=name)


def _stamp(folder: Path) -> tuple:
    return tuple((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(folder.iterdir()) if f.is_file())


def _short_name(source: Source) -> str:
    """The source's own name; the nearest folder's that says more where it is only called "model" or the like."""
    if source.name.lower() not in _GENERIC_NAMES:
        return source.name
    folders = [folder.name for folder in Path(source.uri).parents if folder.name.lower() not in _GENERIC_NAMES]
    return next((name for name in folders if name), source.name)


def _free(name: str, taken: set[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
