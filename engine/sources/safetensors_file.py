"""Safetensors: a checked JSON header, then the data, read through a memory map."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

import numpy as np

from engine.dtypes import ELEMENT_TYPES, unpack
from engine.errors import MalformedHeaderError, SourceError, TruncatedFileError
from engine.sources.base import TensorInfo, WeightFile
from engine.sources.safetensors_header import MAX_HEADER_BYTES, REDOWNLOAD, Header, parse_header


class SafetensorsFile(WeightFile):
    """One safetensors file: the header is read on opening, the map is made at the first read of data.

    A map reads what lies on the disk at that moment: replace checkpoint files by renaming, never by writing into them.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._map: mmap.mmap | None = None
        with path.open("rb") as file:
            self._stamp = _stamp(file.fileno())
            self._header = _read_header(file, self._stamp[0], name)

    @staticmethod
    def recognises(head: bytes) -> bool:
        """Whether these first bytes are a plausible header length and an opening brace."""
        return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= MAX_HEADER_BYTES

    def infos(self) -> tuple[TensorInfo, ...]:
        return self._header.infos

    @property
    def metadata(self) -> dict[str, str]:
        return self._header.metadata

    def read(self, info: TensorInfo) -> np.ndarray:
        return self._elements(info, 0, info.num_elements).reshape(info.shape)

    def read_rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        width = info.num_elements // info.shape[0] if info.shape[0] else 0
        return self._elements(info, start * width, stop * width).reshape((stop - start, *info.shape[1:]))

    def close(self) -> None:
        # The map itself closes when the last array over it is gone.
        with self._lock:
            self._map = None

    def _elements(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        kind = ELEMENT_TYPES[info.dtype]
        if start == stop:
            elements = np.empty(0, kind.dtype)
        elif kind.is_packed:
            packed = np.frombuffer(self._mapped(), np.uint8, info.num_bytes, info.start)
            elements = unpack(packed, kind, start, stop)
        else:
            offset = info.start + start * kind.dtype.itemsize
            elements = np.frombuffer(self._mapped(), kind.dtype, stop - start, offset)
        elements.flags.writeable = False
        return elements

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
            if _stamp(file.fileno()) != self._stamp:
                raise SourceError(f"{self.path} changed after it was opened.", "Open the checkpoint again.")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _stamp(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns


def _read_header(file, file_size: int, name: str) -> Header:
    """Reads and checks the length, then the header; never more than MAX_HEADER_BYTES."""
    prefix = file.read(8)
    if len(prefix) < 8:
        raise TruncatedFileError(
            f"{name}: {len(prefix)} bytes are too few for a safetensors file, expected at least 10.", REDOWNLOAD
        )
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER_BYTES:
        raise MalformedHeaderError(
            f"{name}: the header claims {length} bytes, expected at most {MAX_HEADER_BYTES}; "
            "this is probably no safetensors file.",
            REDOWNLOAD,
        )
    if length > file_size - 8:
        raise TruncatedFileError(
            f"{name}: the header claims {length} bytes, but only {file_size - 8} follow.",
            "The download or copy was cut short: fetch the file again.",
        )
    header = file.read(length)
    if len(header) < length:
        raise TruncatedFileError(f"{name}: the file became shorter while it was read.", "Open it again.")
    if not header.startswith(b"{"):
        raise MalformedHeaderError(
            f"{name}: the header begins with {header[:1]!r}, expected b'{{'; this is no safetensors file.", REDOWNLOAD
        )
    return parse_header(header, 8 + length, file_size, name)
