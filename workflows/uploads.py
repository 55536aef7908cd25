"""Uploaded checkpoints: streamed to disk, checked, and kept under the hash of their bytes."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import engine.sources
from engine.errors import SourceError
from storage.records import Location
from storage.store import Store
from workflows.locations import add_path
from workflows.wording import bytes_text

_CHUNK_BYTES = 1 << 20
_STALE_S = 24 * 3600
_INCOMING = ".incoming-"


def add_upload(store: Store, name: str, stream: BinaryIO, *, limit_bytes: int) -> Location:
    """Keep an uploaded checkpoint file and make it known.

    It becomes `data/uploads/<sha256>/<name>` only once it is complete and opens as a checkpoint; until then, and if it
    does not, nothing of it stays. The same bytes uploaded twice are kept once.

    Args:
        name: the file's name as the browser says it; only its last part is used, without odd characters.
        stream: its bytes. limit_bytes: the most that is taken.
    Raises: SourceError if it is larger, empty, no checkpoint, or malformed.
    """
    with incoming_folder(store) as incoming:
        file = incoming / safe_file_name(name)
        digest = receive(stream, file, name, limit_bytes)
        with engine.sources.open(file):
            pass
        path = next(keep_once(store, incoming, digest).iterdir())
        return add_path(store, path, origin="uploaded", name=path.name.partition(".")[0])


def uploads_folder(store: Store) -> Path:
    """Where uploaded checkpoints lie; the only place where removing a location may delete weights."""
    return store.folder / "uploads"


@contextmanager
def incoming_folder(store: Store) -> Iterator[Path]:
    """A new folder beside the uploads for what is still coming in; at the end nothing of it stays."""
    uploads = uploads_folder(store)
    _sweep(uploads)
    incoming = uploads / f"{_INCOMING}{secrets.token_hex(8)}"
    incoming.mkdir(parents=True)
    try:
        yield incoming
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def keep_once(store: Store, checked: Path, digest: str) -> Path:
    """Move a checked folder to `data/uploads/<digest>`, unless the same bytes are kept already; returns that folder."""
    kept = uploads_folder(store) / digest
    if not kept.exists():
        _move(checked, kept)
    return kept


def safe_file_name(name: str) -> str:
    """A plain file name from what a browser sent: no folders, no control or odd characters, at most 120 long."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w.+-]+", "_", last).lstrip(".")
    stem, dot, suffix = plain.rpartition(".")
    plain = f"{stem[:100]}{dot}{suffix[:19]}" if dot else plain[:120]
    return plain if re.search(r"\w", plain) else "upload"


def receive(stream: BinaryIO, file: Path, name: str, limit_bytes: int) -> str:
    """Write the stream to the file; returns its SHA-256. Raises: SourceError if it is larger than the limit."""
    digest, size = hashlib.sha256(), 0
    with file.open("wb") as target:
        while chunk := stream.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > limit_bytes:
                raise SourceError(
                    f"{name} is larger than {bytes_text(limit_bytes)}, the most that can be uploaded.",
                    "Copy it to this machine and add it by its path.",
                )
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()


def _move(incoming: Path, kept: Path) -> None:
    try:
        incoming.rename(kept)
    except OSError:
        if not kept.is_dir():  # else another tab finished the same upload first
            raise


def _sweep(uploads: Path) -> None:
    """Delete what uploads left behind that were killed more than a day ago."""
    if uploads.is_dir():
        for folder in uploads.glob(f"{_INCOMING}*"):
            if time.time() - folder.stat().st_mtime > _STALE_S:
                shutil.rmtree(folder, ignore_errors=True)
