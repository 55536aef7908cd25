"""The locations of checkpoints: bundled with the product, or kept in the database."""

from __future__ import annotations

import functools
from pathlib import Path

from storage.store import Store

import engine.sources
from engine.errors import SourceNotFoundError
from engine.sources.base import Source
from storage.records import Location
from workflows.folders import BUNDLED

_GENERIC_NAMES = {
    "model",
    "models",
    "pytorch_model",
    "diffusion_pytorch_model",
    "checkpoint",
    "weights",
    "consolidated",
}


def locations(store: Store) -> list[Location]:
    """Every checkpoint known here: the bundled ones first, then those of the database, in the order they were added."""
    stored = store.locations()
    taken = {location.name for location in stored}
    known = {location.uri for location in stored}
    fresh = []
    for path in sorted(BUNDLED.iterdir()) if BUNDLED.is_dir() else ():
        if path.is_dir() and str(path) not in known:
            fresh.append(_bundled(path, _unique(path.name, taken), _stamp(path)))
            taken.add(fresh[-1].name)
    bundled = [location for location in stored if location.origin == "bundled"]
    others = [location for location in stored if location.origin != "bundled"]
    return sorted(fresh + bundled, key=lambda location: location.name) + others


def location(store: Store, name: str) -> Location:
    """The location of that name. Raises SourceNotFoundError if there is none."""
    known = locations(store)
    for candidate in known:
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in known) or "none yet"
    raise SourceNotFoundError(f"No checkpoint is known as {name!r}.", f"Known are: {names}. A path works as well.")


def resolve(store: Store, name_or_path: str) -> Location:
    """What a person meant: a known name, a known path, or a path that nobody has added yet (nothing is stored).

    Raises: SourceNotFoundError if it is neither a name nor a path; SourceError if the file is no checkpoint.
    """
    known = locations(store)
    for candidate in known:
        if name_or_path in (candidate.name, candidate.uri):
            return candidate
    if not Path(name_or_path).expanduser().exists() and "/" not in name_or_path:
        return location(store, name_or_path)
    with engine.sources.open(name_or_path) as source:
        for candidate in known:
            if candidate.uri == source.uri:
                return candidate
        return describe(source, "added", {candidate.name for candidate in known})


def describe(source: Source, origin: str, taken: set[str] = frozenset(), name: str = "") -> Location:
    """The location of an opened source, from its headers, under a name that is not taken yet."""
    return Location(
        name=_unique(name or _short_name(source), taken),
        uri=source.uri,
        origin=origin,
        fingerprint=source.fingerprint,
        format=source.format,
        num_tensors=len(source.infos()),
        num_parameters=source.num_parameters,
        num_bytes=source.num_bytes,
    )


def add_path(store: Store, path: str | Path, *, origin: str = "added", name: str = "") -> Location:
    """Make a checkpoint file or folder known; one that is known already is returned as it is.

    Args: origin: as in `Location`. name: the short name wanted; else the file's or folder's.
    Raises: SourceError if it cannot be opened.
    """
    known = locations(store)
    with engine.sources.open(str(path)) as source:
        for candidate in known:
            if candidate.uri == source.uri:
                return candidate
        added = describe(source, origin, {candidate.name for candidate in known}, name)
    store.add_location(added)
    return added


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


def _unique(name: str, taken: set[str]) -> str:
    candidates = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)
