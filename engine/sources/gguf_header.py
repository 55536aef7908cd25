"""The header of a GGUF file, read without trusting a byte of it.

The `gguf` package's own reader believes every count and length; here each is checked against the bytes that are left
before anything is allocated. We are stricter than the format where no known writer goes: names and texts are UTF-8,
at most 10,000 keys, arrays of arrays at most 4 deep, offsets that overlap or break the alignment are errors.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from engine.errors import MalformedHeaderError, TensorLayoutError, TruncatedFileError, UnsupportedFormatError
from engine.sources.base import TensorInfo
from engine.sources.safetensors_header import MAX_DIMENSIONS, MAX_ELEMENTS, MAX_TENSORS, REDOWNLOAD, check_name

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_HEADER_BYTES = 256 << 20
"""Longest header; a vocabulary of 256,000 words with its merges takes some 20 MB."""
MAX_KEYS = 10_000
MAX_KEY_LENGTH = 1024
MAX_ARRAY_ITEMS = 8_000_000
"""Most texts and inner arrays, which are stepped over one by one; known vocabularies have under a million."""
KEPT_NUMBERS = 4096
KEPT_TEXTS = 8
KEPT_BYTES = 256
"""Array items that are kept, and bytes of each text among them; of longer arrays the number of items is."""

_READ_BYTES = 1 << 18
_MAX_DEPTH = 4
_COST_OF_ARRAY = 64
"""An inner array counts as so many items, for it takes as long to step over."""
_BOOL, _TEXT, _ARRAY = 7, 8, 9
_NUMBERS: dict[int, np.dtype] = {
    number: np.dtype(name)
    for number, name in {
        **{0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4"},
        **{6: "<f4", 7: "u1", 10: "<u8", 11: "<i8", 12: "<f8"},
    }.items()
}
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Items:
    """An array among the metadata: how long it is, and how it begins.

    Attributes:
        count: all its items. head: its first items, at most `KEPT_NUMBERS` numbers or `KEPT_TEXTS` texts; of an array
            of arrays none.
    """

    count: int
    head: tuple[bool | int | float | str, ...]


Value = bool | int | float | str | Items


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF header says: tensors in file order with absolute byte ranges, and the metadata by key."""

    infos: tuple[TensorInfo, ...]
    values: dict[str, Value]


def read_gguf_header(file: BinaryIO, file_size: int, name: str) -> GgufHeader:
    """The checked header of a GGUF file.

    Args: file: at its beginning. file_size: in bytes. name: as it is called in messages and in `TensorInfo.file`.
    Raises: MalformedHeaderError, TensorLayoutError, TruncatedFileError; UnsupportedFormatError for old versions, the
        other byte order and tensor types that the `gguf` package does not know.
    """
    reader = _Reader(file, file_size, name)
    reader.check_version()
    num_tensors, num_keys = reader.unsigned(8), reader.unsigned(8)
    if num_tensors > MAX_TENSORS or num_keys > MAX_KEYS:
        raise reader.error(f"{num_tensors} tensors and {num_keys} keys, expected at most {MAX_TENSORS} and {MAX_KEYS}")
    values: dict[str, Value] = {}
    for _ in range(num_keys):
        key = reader.key()
        if key in values:
            raise reader.error(f"the key {key!r} occurs twice")
        values[key] = reader.value(reader.unsigned(4))
    entries = [_entry(reader, name) for _ in range(num_tensors)]
    alignment = values.get("general.alignment", 32)
    if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
        raise reader.error(f"general.alignment is {str(alignment)[:40]}, expected a power of two")
    data_start = -(-reader.at // alignment) * alignment
    infos = [_placed(entry, data_start, alignment, name) for entry in entries]
    infos.sort(key=lambda info: (info.start, info.stop))
    _check_layout(infos, file_size, name)
    return GgufHeader(tuple(infos), values)


class _Reader:
    """Reads a header from front to back; `at` is the position of the next unread byte."""

    def __init__(self, file: BinaryIO, file_size: int, name: str) -> None:
        self.at = 0
        self._file, self._file_size, self._name = file, file_size, name
        self._bytes = bytearray()
        self._num_items = 0

    def error(self, problem: str) -> MalformedHeaderError:
        return MalformedHeaderError(f"{self._name}: bad GGUF header near byte {self.at}: {problem}.", REDOWNLOAD)

    def check_version(self) -> None:
        if (magic := self._take(4)) != MAGIC:
            raise self.error(f"it begins with {magic!r}, expected {MAGIC!r}; this is no GGUF file")
        version = self.unsigned(4)
        if version and version & 0xFFFF == 0:
            raise UnsupportedFormatError(
                f"{self._name} is a GGUF file of big-endian numbers.", "Convert it with gguf's gguf-convert-endian."
            )
        if version not in VERSIONS:
            raise UnsupportedFormatError(
                f"{self._name} is a GGUF file of version {version}, expected 2 or 3.",
                "Convert the original model again with a current llama.cpp.",
            )

    def unsigned(self, num_bytes: int) -> int:
        return int.from_bytes(self._take(num_bytes), "little")

    def text(self) -> str:
        data = self._take(self.unsigned(8))
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"a text is not valid UTF-8 ({error.reason})") from error

    def key(self) -> str:
        key = self.text()
        if not key or len(key) > MAX_KEY_LENGTH or not key.isprintable():
            raise self.error(f"the key {key[:80]!a} is empty, longer than {MAX_KEY_LENGTH} or not printable")
        return key

    def value(self, kind: int) -> Value:
        if kind == _TEXT:
            return self.text()
        if kind == _ARRAY:
            return self._items(depth=1)
        return self._numbers(kind, 1)[0]

    def _items(self, depth: int) -> Items:
        kind, count = self.unsigned(4), self.unsigned(8)
        if kind in _NUMBERS:
            head = self._numbers(kind, min(count, KEPT_NUMBERS))
            self._skip((count - len(head)) * _NUMBERS[kind].itemsize)
            return Items(count, head)
        smallest = {_TEXT: 8, _ARRAY: 12}.get(kind)
        if smallest is None:
            raise self.error(f"a value of the unknown type {kind}")
        self._num_items += count * (_COST_OF_ARRAY if kind == _ARRAY else 1)
        if count * smallest > self._file_size - self.at:
            raise self._cut(f"an array of {count} items")
        if self._num_items > MAX_ARRAY_ITEMS or depth > _MAX_DEPTH:
            raise self.error(f"arrays of more than {MAX_ARRAY_ITEMS} items in all, or more than {_MAX_DEPTH} deep")
        if kind == _ARRAY:
            for _ in range(count):
                self._items(depth + 1)
            return Items(count, ())
        head = tuple(
            self._take(self.unsigned(8))[:KEPT_BYTES].decode("utf-8", "replace") for _ in range(min(count, KEPT_TEXTS))
        )
        self._skip_texts(count - len(head))
        return Items(count, head)

    def _numbers(self, kind: int, count: int) -> tuple[bool | int | float, ...]:
        if kind not in _NUMBERS:
            raise self.error(f"a value of the unknown type {kind}")
        values = np.frombuffer(self._take(count * _NUMBERS[kind].itemsize), _NUMBERS[kind])
        if kind == _BOOL:
            if values.size and values.max() > 1:
                raise self.error(f"a truth value of {values.max()}, expected 0 or 1")
            return tuple(bool(value) for value in values)
        if values.dtype == np.float32:  # as a person would write it: 1e-05, not 9.999999747378752e-06
            return tuple(float(str(value)) for value in values)
        return tuple(values.tolist())

    def _skip_texts(self, count: int) -> None:
        """Step over texts; the loop of a vocabulary, so without calls."""
        data, at, length = self._bytes, self.at, _U64.unpack_from
        for _ in range(count):
            if at + 8 > len(data):
                self._fill(at + 8)
            at += 8 + length(data, at)[0]
        self._fill(at)
        self.at = at

    def _skip(self, num_bytes: int) -> None:
        self._fill(self.at + num_bytes)
        self.at += num_bytes

    def _take(self, num_bytes: int) -> bytes:
        self._fill(self.at + num_bytes)
        self.at += num_bytes
        return bytes(self._bytes[self.at - num_bytes : self.at])

    def _fill(self, end: int) -> None:
        """Have all bytes before `end` at hand."""
        if end <= len(self._bytes):
            return
        if end > self._file_size:
            raise self._cut(f"{end} bytes")
        if end > MAX_HEADER_BYTES:
            raise self.error(f"the header is longer than {MAX_HEADER_BYTES} bytes")
        while len(self._bytes) < end:
            chunk = self._file.read(max(end - len(self._bytes), _READ_BYTES))
            if not chunk:
                raise self._cut(f"{end} bytes")
            self._bytes += chunk

    def _cut(self, what: str) -> TruncatedFileError:
        return TruncatedFileError(
            f"{self._name}: near byte {self.at} the header promises {what}, but the file has only {self._file_size}.",
            "The download or copy was cut short: fetch the file again.",
        )


def _entry(reader: _Reader, file: str) -> tuple[str, tuple[int, ...], int, int]:
    """(name, shape, type number, offset) of one tensor; the shape in numpy's order, its last dimension contiguous."""
    name = reader.text()
    check_name(name, file)
    if not name:
        raise reader.error("a tensor without a name")
    num_dimensions = reader.unsigned(4)
    if num_dimensions > MAX_DIMENSIONS:
        raise reader.error(f"{name!r} has {num_dimensions} dimensions, expected at most {MAX_DIMENSIONS}")
    shape = tuple(reversed([reader.unsigned(8) for _ in range(num_dimensions)]))
    return name, shape, reader.unsigned(4), reader.unsigned(8)


def _placed(entry: tuple[str, tuple[int, ...], int, int], data_start: int, alignment: int, file: str) -> TensorInfo:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    name, shape, number, offset = entry
    try:
        kind = GGMLQuantizationType(number)
    except ValueError as error:
        raise UnsupportedFormatError(
            f"{file}: {name!r} has the tensor type {number}, which the gguf package does not know.",
            "Update the gguf package; a type that was removed from llama.cpp needs its original model.",
        ) from error
    block_size, block_bytes = GGML_QUANT_SIZES[kind]
    if math.prod(n for n in shape if n) > MAX_ELEMENTS:
        raise TensorLayoutError(f"{file}: {name!r} of shape {shape} has more than 2**48 elements.", REDOWNLOAD)
    if block_size > 1 and (not shape or shape[-1] % block_size):
        raise TensorLayoutError(
            f"{file}: the rows of {name!r}, {kind.name} of shape {shape}, are no whole blocks of {block_size}.",
            REDOWNLOAD,
        )
    if offset % alignment or offset > 1 << 62:
        raise TensorLayoutError(f"{file}: {name!r} begins at {offset}, expected a multiple of {alignment}.", REDOWNLOAD)
    num_bytes = math.prod(shape) // block_size * block_bytes
    start = data_start + offset
    return TensorInfo(name, shape, kind.name, num_bytes, file, start, start + num_bytes)


def _check_layout(infos: list[TensorInfo], file_size: int, file: str) -> None:
    """Names are distinct; byte ranges, in order, neither overlap nor leave the file."""
    if len({info.name for info in infos}) < len(infos):
        raise MalformedHeaderError(f"{file}: two tensors have the same name.", REDOWNLOAD)
    end = 0
    for info in infos:
        if info.start < end:
            raise TensorLayoutError(
                f"{file}: {info.name!r} begins at {info.start}, inside the tensor before it, which ends at {end}.",
                REDOWNLOAD,
            )
        end = max(end, info.stop)
    if end > file_size:
        raise TruncatedFileError(
            f"{file}: the header promises data up to byte {end}, but the file has only {file_size}.",
            "The download or copy was cut short: fetch the file again.",
        )
