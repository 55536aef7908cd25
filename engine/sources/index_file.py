"""The index of a sharded checkpoint: which tensor lies in which file."""

from __future__ import annotations

from pathlib import Path, PurePath

from engine.errors import MalformedHeaderError
from engine.sources.inner_path import inner_path
from engine.sources.json_file import read_json_object
from engine.sources.safetensors_header import check_name


def read_index(path: Path) -> dict[str, str]:
    """Tensor name -> file name, from a `*.index.json`; every file exists and lies inside the index's folder.

    Raises: MalformedHeaderError, UnsafePathError, SourceNotFoundError (naming the missing shard).
    """
    weight_map = weight_map_of(read_json_object(path, reject_duplicates=True), str(path))
    for file in sorted(set(weight_map.values())):
        inner_path(path, file, "shard")
    return weight_map


def weight_map_of(index: dict, name: str) -> dict[str, str]:
    """Tensor name -> file name, as the object in an index says; where the files are is for the caller to check.

    Args: index: what the file holds. name: how it is called in messages.
    Raises: MalformedHeaderError.
    """
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise MalformedHeaderError(
            f"{name} has no weight_map of tensor names and file names.",
            "Restore it from where the checkpoint came from.",
        )
    for tensor, file in weight_map.items():
        if not isinstance(file, str):
            raise MalformedHeaderError(f"{name}: the file of {tensor[:200]!r} is no text.", "Restore the index file.")
        check_name(tensor, PurePath(name).name)
    return weight_map
