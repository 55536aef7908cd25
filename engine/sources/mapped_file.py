"""A file seen as memory, without copying it."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

import numpy as np

from engine.dtypes import KNOWN_TYPES, unpack
from engine.errors import SourceError
from engine.sources.base import TensorInfo


class MappedFile:
    """A file whose bytes are mapped at the first read; it must stay as it was when this object was made.

    A map reads what lies on the disk at that moment: replace checkpoint files by renaming, never by writing into them.

    Attributes:
        path: the file. size: its bytes.
    Raises: OSError if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = _stamp(path.stat())
        self._lock = threading.Lock()
        self._map: mmap.mmap | None = None

    @property
    def size(self) -> int:
        return self._stamp[0]

    def array(self, dtype: np.dtype, count: int, offset: int) -> np.ndarray:
        """`count` elements that begin at byte `offset`: (count,), read-only.

        Raises: SourceError if the file was moved, deleted or changed.
        """
        array = np.frombuffer(self._mapped(), dtype, count, offset) if count else np.empty(0, dtype)
        array.flags.writeable = False
        return array

    def elements(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        """Elements start … stop − 1 of a tensor that lies flat at `info.start`: (stop − start,), read-only.

        Args: info: of a type in `KNOWN_TYPES`; packed types are unpacked.
        """
        kind = KNOWN_TYPES[info.dtype]
        if not kind.is_packed:
            return self.array(kind.dtype, stop - start, info.start + start * kind.dtype.itemsize)
        elements = unpack(self.array(np.dtype(np.uint8), info.num_bytes, info.start), kind, start, stop)
        elements.flags.writeable = False
        return elements

    def close(self) -> None:
        """Let go of the map; it closes itself when the last array over it is gone."""
        with self._lock:
            self._map = None

    def _mapped(self) -> mmap.mmap:
        with self._lock:
            if self._map is None:
                try:
                    self._map = self._new_map()
                except OSError as error:
                    raise SourceError(
                        f"{self.path} cannot be read any more: {error.strerror or error}.", "Was it moved or deleted?"
                    ) from error
            return self._map

    def _new_map(self) -> mmap.mmap:
        with self.path.open("rb") as file:
            if _stamp(os.fstat(file.fileno())) != self._stamp:
                raise SourceError(f"{self.path} changed after it was opened.", "Open the checkpoint again.")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
