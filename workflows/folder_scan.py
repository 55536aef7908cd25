"""Finding the checkpoints below a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import engine.sources
from engine.errors import SourceError, SourceNotFoundError
from engine.sources.formats import FORMATS
from storage.records import Location
from storage.store import Store
from workflows.deployment import check_allowed
from workflows.locations import describe, locations

MAX_DEPTH = 6
"""Folders below the first that are looked into; chosen by us: a hub cache needs four."""
MAX_CHECKPOINTS = 500
MAX_FOLDERS = 20_000

_LEFT_OUT = {"__pycache__", "node_modules", "site-packages", ".git"}
_SCANNED = tuple(file_format for file_format in FORMATS if file_format.is_scanned)
_PARTS = tuple(
    suffix for file_format in _SCANNED if not file_format.is_self_contained for suffix in file_format.suffixes
)
_MODELS = tuple(suffix for file_format in _SCANNED if file_format.is_self_contained for suffix in file_format.suffixes)
"""Suffixes of files that make a checkpoint together, and of files that are one each."""

_SHARD = re.compile(r"-(\d{5,6})-of-\d{5,6}\.")
_OTHERS = frozenset(name for file_format in FORMATS for name in file_format.others)


@dataclass(frozen=True)
class FolderScan:
    """What a scan found.

    Attributes:
        added: checkpoints that are known from now on. known: those that were known before.
        skipped: (path, reason) of what looked like a checkpoint and is none, and of limits that were reached.
    """

    added: tuple[Location, ...]
    known: tuple[Location, ...]
    skipped: tuple[tuple[Path, str], ...]


def scan_folder(store: Store, folder: str | Path) -> FolderScan:
    """Make every checkpoint in and below a folder known.

    A folder whose weights belong together (one model, or its shards) is one checkpoint; else each of its files is one,
    as are files of formats that hold a whole model each, such as GGUF and ONNX.
    Links to folders are followed, but no folder is looked into twice.

    Raises: SourceNotFoundError if there is no such folder; NotAllowedError in a public deployment.
    """
    check_allowed("server paths")
    top = Path(folder).expanduser().absolute()
    if not top.is_dir():
        raise SourceNotFoundError(f"There is no folder {top}.", "Check the spelling.")
    by_uri = {location.uri: location for location in locations(store)}
    added: list[Location] = []
    known: list[Location] = []
    skipped: list[tuple[Path, str]] = []
    for candidate in _candidates(top, skipped):
        if len(added) + len(known) == MAX_CHECKPOINTS:
            skipped.append((candidate, f"The scan ended here, with {MAX_CHECKPOINTS} checkpoints. Scan a subfolder."))
            break
        try:
            with engine.sources.open(candidate) as source:
                if source.uri in by_uri:
                    known.append(by_uri[source.uri])
                else:
                    added.append(store.add_location(describe(source, "scanned")))
        except SourceError as error:
            skipped.append((candidate, str(error)))
    return FolderScan(tuple(added), tuple(known), tuple(skipped))


def _candidates(top: Path, skipped: list[tuple[Path, str]]) -> Iterator[Path]:
    """Files and folders that may be checkpoints, in order of their paths."""
    waiting, seen = [(top, 0)], set()
    while waiting:
        folder, depth = waiting.pop()
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            skipped.append((folder, f"It cannot be read: {error.strerror or error}."))
            continue
        if (status.st_dev, status.st_ino) in seen:  # a link back up, or a second link to one folder
            continue
        if len(seen) == MAX_FOLDERS:
            skipped.append((folder, f"The scan ended here: it looked into {MAX_FOLDERS} folders. Scan a subfolder."))
            return
        seen.add((status.st_dev, status.st_ino))
        names = {entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()}
        yield from _in_folder(folder, names)
        below = [folder / e.name for e in entries if e.is_dir() and e.name not in _LEFT_OUT and e.name[0] != "."]
        if below and depth == MAX_DEPTH:
            skipped.append((folder, f"Its {len(below)} folders lie deeper than {MAX_DEPTH} below the first."))
        else:
            waiting += [(path, depth + 1) for path in reversed(below)]


def _in_folder(folder: Path, names: set[str]) -> list[Path]:
    """The folder itself if its weights belong together, else each weight file; and each file that is a model."""
    weights = sorted(name for name in names if name.lower().endswith(_PARTS) and name not in _OTHERS)
    models = [folder / name for name in sorted(names) if name.lower().endswith(_MODELS) and _begins_model(name)]
    is_whole = any(name in file_format.whole for file_format in _SCANNED for name in weights)
    has_index = any(name.endswith(".index.json") for name in names)
    is_sharded = bool(weights) and all(_SHARD.search(name) for name in weights)
    if weights and (is_whole or has_index or is_sharded or "config.json" in names):
        return [folder, *models]
    return [*(folder / name for name in weights), *models]


def _begins_model(name: str) -> bool:
    """Whether a file is a model by itself or the first of its shards, which opens them all."""
    shard = _SHARD.search(name)
    return shard is None or int(shard[1]) == 1
