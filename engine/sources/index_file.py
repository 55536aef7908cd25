"""The index of a sharded checkpoint: which tensor lies in which file."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import MalformedHeaderError, SourceNotFoundError, UnsafePathError
from engine.sources.hub_cache import blobs_folder
from engine.sources.json_file import read_json_object
from engine.sources.safetensors_header import check_name

_UNSAFE = re.compile(r'[\\:\x00-\x1f<>"|?*]')
"""Separators, drive letters and what Windows forbids in a file name."""


def read_index(path: Path) -> dict[str, str]:
    """Tensor name -> file name, from a `*.index.json`; every file exists and lies inside the index's folder.

    Raises: MalformedHeaderError, UnsafePathError, SourceNotFoundError (naming the missing shard).
    """
    weight_map = read_json_object(path, reject_duplicates=True).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise MalformedHeaderError(
            f"{path} has no weight_map of tensor names and file names.",
            "Restore it from where the checkpoint came from.",
        )
    for name, file in weight_map.items():
        if not isinstance(file, str):
            raise MalformedHeaderError(f"{path}: the file of {name[:200]!r} is no text.", "Restore the index file.")
        check_name(name, path.name)
    for file in sorted(set(weight_map.values())):
        _check_shard(path, file)
    return weight_map


def _check_shard(index: Path, file: str) -> None:
    """A shard's name must be plain, and the file must be there, inside the folder."""
    hint = "Use checkpoints only from whom you trust; an index names files beside itself."
    parts = file.split("/")
    if _UNSAFE.search(file) or any(part in ("", ".", "..") or part != part.strip() for part in parts):
        raise UnsafePathError(
            f"{index.name} names the file {file[:200]!r}, which is no plain name in its folder.", hint
        )
    shard = index.parent / file
    try:
        is_there, target = shard.is_file(), shard.resolve()
    except (OSError, RuntimeError) as error:  # names too long for the system; loops of links
        raise UnsafePathError(
            f"{index.name} names the file {file[:200]!r}, which cannot be looked up.", hint
        ) from error
    allowed = [folder.resolve() for folder in (index.parent, blobs_folder(index.parent)) if folder is not None]
    if not any(target.is_relative_to(folder) for folder in allowed):
        raise UnsafePathError(f"{index.name} names the file {file!r}, a link that leads out of its folder.", hint)
    if not is_there:
        raise SourceNotFoundError(
            f"{index.name} names the shard {file!r}, which is not in {index.parent}.",
            "Fetch the missing shard, or download the checkpoint again.",
        )
