"""Where a fetched tensor lies: in memory, or in a nameless temporary file if it is large."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile

import numpy as np

from engine.errors import SourceError

LARGE_BYTES = 256 << 20
"""From here on a file; chosen by us, so that a machine with 1 GB measures a token embedding of 2 GB."""

SPARE_BYTES = 1 << 30
"""Left free on the disk of temporary files; with less than that, tensors stay in memory."""


def room(num_bytes: int) -> np.ndarray:
    """Writable bytes to be filled: (num_bytes,) uint8; what held them is gone when the array is.

    Raises: SourceError if there is neither disk nor memory for so many.
    """
    try:
        if num_bytes >= LARGE_BYTES and shutil.disk_usage(tempfile.gettempdir()).free >= num_bytes + SPARE_BYTES:
            return _on_disk(num_bytes)
    except OSError:  # a full disk, a quota, or a file system that cannot do it: then memory has to do
        return _in_memory(num_bytes)
    return _in_memory(num_bytes)


def _in_memory(num_bytes: int) -> np.ndarray:
    try:
        return np.empty(num_bytes, np.uint8)
    except MemoryError as error:
        raise SourceError(
            f"There is no room for a tensor of {num_bytes} bytes.",
            "Close other programs, or free some space where temporary files lie (TMPDIR).",
        ) from error


def _on_disk(num_bytes: int) -> np.ndarray:
    with tempfile.TemporaryFile(prefix="weightscope-") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, num_bytes)  # a full disk is an error now, and no crash later
        else:
            file.truncate(num_bytes)
        return np.frombuffer(mmap.mmap(file.fileno(), num_bytes), np.uint8)
