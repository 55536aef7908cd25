"""The identity of a checkpoint's bytes, and the cheap identity of its files."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from engine.errors import SourceError
from engine.sources.base import ByteCallback

_CHUNK_BYTES = 4 << 20
_BLOB_NAME = re.compile(r"[0-9a-f]{64}")

_known: dict[tuple[str, int, int], str] = {}
_known_lock = threading.Lock()


def content_hash(files: Iterable[tuple[str, Path]], on_bytes: ByteCallback | None = None) -> str:
    """SHA-256 (hex) of a checkpoint's weight files.

    One file: the file's own hash. Several: the hash of the lines `HASH  NAME`, sorted by name, so that
    `sha256sum *.safetensors | sha256sum` in the checkpoint's folder gives the same.

    Args:
        files: (name relative to the checkpoint, path) of each file.
        on_bytes: told of every byte done, also of those that needed no reading because their hash was known.
    Raises: SourceError if a file cannot be read or changes meanwhile; whatever `on_bytes` raises.
    """
    return combined_hash({name: _file_hash(path, on_bytes) for name, path in files})


def combined_hash(hashes: Mapping[str, str]) -> str:
    """The hash of a checkpoint from those of its files (name -> SHA-256, hex), as `content_hash` says."""
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def fingerprint(files: Iterable[Path]) -> str:
    """SHA-256 (hex) over path, size and modification time of the files; reads no data. Raises: SourceError."""
    lines = "".join(f"{path}\t{size}\t{time}\n" for path, size, time in map(_stamp, files))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _file_hash(path: Path, on_bytes: ByteCallback | None) -> str:
    stamp = _stamp(path)
    with _known_lock:
        found = _known.get(stamp)
    if found is None:
        found = _blob_hash(path)
    if found is not None:
        if on_bytes is not None:
            on_bytes(stamp[1])
        return found
    found = _read_and_hash(path, on_bytes)
    if _stamp(path) != stamp:
        raise SourceError(f"{path} changed while it was read.", "Wait until it is complete and open it again.")
    with _known_lock:
        _known[stamp] = found
    return found


def _blob_hash(path: Path) -> str | None:
    """The hash that a hub cache has already put into the name of a large file's blob."""
    target = path.resolve()
    is_blob = target.parent.name == "blobs" and target.parent.parent.name.startswith("models--")
    return target.name if is_blob and _BLOB_NAME.fullmatch(target.name) else None


def _read_and_hash(path: Path, on_bytes: ByteCallback | None) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK_BYTES)
    view = memoryview(buffer)
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                digest.update(view[:count])
                if on_bytes is not None:
                    on_bytes(count)
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {error.strerror or error}.", "Check the disk and the rights."
        ) from error
    return digest.hexdigest()


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}.", "Was it moved or deleted?") from error
    return str(path), status.st_size, status.st_mtime_ns
