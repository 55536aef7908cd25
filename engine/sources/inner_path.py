"""Files that a checkpoint names beside itself: shards of an index, external data of ONNX."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import SourceNotFoundError, UnsafePathError
from engine.sources.hub_cache import blobs_folder

_UNSAFE = re.compile(r'[\\:\x00-\x1f<>"|?*]')
"""Separators, drive letters and what Windows forbids in a file name."""


def inner_path(owner: Path, file: str, kind: str) -> Path:
    """Where the file is that `owner` names: there, and inside the owner's folder.

    Args: owner: the file that names it. file: the name, parts separated by slashes. kind: what it is, for messages.
    Raises: UnsafePathError for a name or a link that leads elsewhere; SourceNotFoundError if there is no such file.
    """
    hint = f"Use checkpoints only from whom you trust; {owner.name} may only name files beside itself."
    parts = file.split("/")
    if _UNSAFE.search(file) or any(part in ("", ".", "..") or part != part.strip() for part in parts):
        raise UnsafePathError(
            f"{owner.name} names the file {file[:200]!a}, which is no plain name in its folder.", hint
        )
    path = owner.parent / file
    try:
        is_there, target = path.is_file(), path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # names too long for the system; loops of links
        raise UnsafePathError(
            f"{owner.name} names the file {file[:200]!a}, which cannot be looked up.", hint
        ) from error
    allowed = [folder.resolve() for folder in (owner.parent, blobs_folder(owner.parent)) if folder is not None]
    if not any(target.is_relative_to(folder) for folder in allowed):
        raise UnsafePathError(f"{owner.name} names the file {file!r}, a link that leads out of its folder.", hint)
    if not is_there:
        raise SourceNotFoundError(
            f"{owner.name} names the {kind} {file!r}, which is not in {owner.parent}.",
            f"Fetch the missing {kind}, or download the checkpoint again.",
        )
    return path
