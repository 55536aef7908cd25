"""The members of a zip archive, checked before anything is unpacked, and unpacked without ever growing."""

from __future__ import annotations

import itertools
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import (
    MalformedHeaderError,
    SourceError,
    TensorLayoutError,
    TruncatedFileError,
    UnsupportedFormatError,
)
from engine.sources.mapped_file import MappedFile
from engine.sources.safetensors_header import MAX_TENSORS, REDOWNLOAD

MAX_UNPACKED_BYTES = 1 << 30
MAX_RATIO = 100
"""An archive may unfold to 1 GiB, or to 100 times its size if that is more; weights shrink to a half at best."""

MAX_DIRECTORY_BYTES = 32 << 20
"""Longest table of contents, which is read into memory whole; 250,000 members have some 30 MB."""

_PIECE_BYTES = 1 << 20
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_BYTES = 20
_MOST_COMMENT = 65_535
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True, slots=True)
class ZipMember:
    """One member.

    Attributes:
        name: as in the archive. start, stop: its stored bytes. num_bytes: how many they are unpacked.
        is_compressed: whether they are packed (deflate) or lie there as they are. checksum: CRC-32 of the content.
    """

    name: str
    start: int
    stop: int
    num_bytes: int
    is_compressed: bool
    checksum: int


def zip_members(path: Path, data: MappedFile, file: str) -> list[ZipMember]:
    """All members in the order of their bytes, none of which overlap or leave the file.

    Args: path: the archive. data: the same, mapped. file: its name in messages.
    Raises: MalformedHeaderError, TruncatedFileError, TensorLayoutError; UnsupportedFormatError for encrypted members
        and packings other than deflate.
    """
    _check_end(data, file)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:
        raise MalformedHeaderError(f"{file} is no valid zip archive: {str(error)[:200]}.", REDOWNLOAD) from error
    entries = [entry for entry in entries if not entry.filename.endswith("/")]
    if len({entry.filename for entry in entries}) < len(entries) or len(entries) > MAX_TENSORS:
        raise MalformedHeaderError(
            f"{file}: two members of the archive have the same name, or it holds more than {MAX_TENSORS}.", REDOWNLOAD
        )
    members = sorted((_member(entry, data, file) for entry in entries), key=lambda member: member.start)
    for before, after in itertools.pairwise(members):
        if before.stop > after.start:
            raise TensorLayoutError(
                f"{file}: the members {before.name[:80]!a} and {after.name[:80]!a} overlap.", REDOWNLOAD
            )
    unpacked, limit = sum(m.num_bytes for m in members if m.is_compressed), MAX_RATIO * data.size
    if unpacked > max(MAX_UNPACKED_BYTES, limit):
        raise TensorLayoutError(
            f"{file} has {data.size} bytes and would unfold to {unpacked}, more than {MAX_RATIO} times as many.",
            "Weights never shrink that much: use it only from whom you trust, and save it uncompressed.",
        )
    return members


class Unpacker:
    """Reads one packed member from front to back, once. Not for several threads at a time."""

    def __init__(self, data: MappedFile, member: ZipMember, file: str) -> None:
        self._member, self._file = member, file
        self._packed = data.array(np.dtype(np.uint8), member.stop - member.start, member.start)
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._taken = self._checksum = self.position = 0

    def read(self, start: int, stop: int) -> np.ndarray:
        """Bytes start … stop − 1 of the content: uint8; `position` ≤ start. Raises: SourceError if damaged or short."""
        found = np.empty(stop - start, np.uint8)  # takes no memory before it is written
        while self.position < stop:
            piece = self._next(min(_PIECE_BYTES, stop - self.position))
            wanted = np.frombuffer(piece, np.uint8)[max(0, start - self.position) :]
            end = self.position + len(piece) - start
            found[max(0, end - len(wanted)) : max(0, end)] = wanted
            self.position += len(piece)
        if self.position == self._member.num_bytes and self._checksum != self._member.checksum:
            raise SourceError(f"{self._file}: {self._member.name[:80]!a} is damaged: its checksum differs.", REDOWNLOAD)
        return found

    def _next(self, most: int) -> bytes:
        """The next bytes of the content, at least one and at most `most`."""
        name = f"{self._file}: {self._member.name[:80]!a}"
        while True:
            packed = self._inflate.unconsumed_tail or self._more()
            try:
                piece = self._inflate.decompress(packed, most)
            except zlib.error as error:
                raise SourceError(f"{name} is damaged: {error}.", REDOWNLOAD) from error
            if piece:
                self._checksum = zlib.crc32(piece, self._checksum)
                return piece
            if not packed:
                raise TruncatedFileError(
                    f"{name} ends after {self.position} bytes, expected {self._member.num_bytes}.", REDOWNLOAD
                )

    def _more(self) -> bytes:
        packed = self._packed[self._taken : self._taken + _PIECE_BYTES].tobytes()
        self._taken += len(packed)
        return packed


def _check_end(data: MappedFile, file: str) -> None:
    """The table of contents must be of bearable size, for the library reads it whole."""
    tail_bytes = min(data.size, _END.size + _MOST_COMMENT + _LOCATOR_BYTES + _END_64.size)
    tail = data.array(np.dtype(np.uint8), tail_bytes, data.size - tail_bytes).tobytes()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise TruncatedFileError(
            f"{file}: the archive has no table of contents at its end.",
            "The download or copy was cut short: fetch the file again.",
        )
    num_bytes = _END.unpack_from(tail, at)[5]
    at_64 = at - _LOCATOR_BYTES - _END_64.size
    if at_64 >= 0 and tail[at - _LOCATOR_BYTES :].startswith(b"PK\x06\x07"):
        num_bytes = _END_64.unpack_from(tail, at_64)[8]
    if num_bytes > MAX_DIRECTORY_BYTES:
        raise MalformedHeaderError(
            f"{file}: the archive's table of contents claims {num_bytes} bytes, expected at most "
            f"{MAX_DIRECTORY_BYTES}.",
            REDOWNLOAD,
        )


def _member(entry: zipfile.ZipInfo, data: MappedFile, file: str) -> ZipMember:
    is_compressed = entry.compress_type == zipfile.ZIP_DEFLATED
    if entry.flag_bits & 0x1 or not (is_compressed or entry.compress_type == zipfile.ZIP_STORED):
        raise UnsupportedFormatError(
            f"{file}: the member {entry.filename[:80]!a} is encrypted, or packed in a way numpy never uses.",
            "Unpack the archive and save the arrays again.",
        )
    start = entry.header_offset
    if 0 <= start <= data.size - _LOCAL_HEADER_BYTES:
        header = data.array(np.dtype(np.uint8), _LOCAL_HEADER_BYTES, start).tobytes()
        if header[:4] != b"PK\x03\x04":
            raise MalformedHeaderError(f"{file}: no member begins at byte {start}, where one should.", REDOWNLOAD)
        start += _LOCAL_HEADER_BYTES + sum(struct.unpack_from("<2H", header, 26))
    stop = start + entry.compress_size
    if not 0 <= start <= stop <= data.size:
        raise TruncatedFileError(
            f"{file}: the member {entry.filename[:80]!a} reaches up to byte {stop}, but the file has only {data.size}.",
            "The download or copy was cut short: fetch the file again.",
        )
    if not is_compressed and entry.compress_size != entry.file_size:
        raise TensorLayoutError(
            f"{file}: the member {entry.filename[:80]!a} is {entry.file_size} bytes stored in {entry.compress_size}.",
            REDOWNLOAD,
        )
    return ZipMember(entry.filename, start, stop, entry.file_size, is_compressed, entry.CRC)
