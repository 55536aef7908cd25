"""Safetensors: a checked JSON header, then the data, read through a memory map."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import MalformedHeaderError, TruncatedFileError
from engine.sources.base import TensorInfo, WeightFile
from engine.sources.mapped_file import MappedFile
from engine.sources.safetensors_header import MAX_HEADER_BYTES, REDOWNLOAD, Header, parse_header


class SafetensorsFile(WeightFile):
    """One safetensors file: the header is read on opening, the map is made at the first read of data."""

    def __init__(self, path: Path, name: str) -> None:
        self._data = MappedFile(path)
        with path.open("rb") as file:
            self._header = read_header(file, self._data.size, name)

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
        return self._data.elements(info, 0, info.num_elements).reshape(info.shape)

    def read_rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        width = info.num_elements // info.shape[0] if info.shape[0] else 0
        return self._data.elements(info, start * width, stop * width).reshape((stop - start, *info.shape[1:]))

    def close(self) -> None:
        self._data.close()


def read_header(file, file_size: int, name: str) -> Header:
    """Reads and checks the length, then the header; never more than MAX_HEADER_BYTES.

    Args:
        file: anything with `read(n)`. file_size: of the whole file, in bytes. name: how it is called in messages.
    Raises: as `parse_header`.
    """
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
