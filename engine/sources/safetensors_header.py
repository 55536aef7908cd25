"""The header of a safetensors file, read without trusting a byte of it.

The grammar is small: `{name: {dtype, shape, data_offsets}, …, "__metadata__": {text: text}}`. It is read entry by
entry with patterns that cannot recurse and look at a bounded window, so that a hostile header costs no more memory
than its own bytes and the entries accepted so far. We are stricter than the safetensors library in a few points that
no known writer touches: unknown keys, more than 32 dimensions, control characters in names, names over 4096 characters,
more than 250,000 tensors, sizes beyond any disk.

Source: https://github.com/huggingface/safetensors, README "Format" and `Metadata::validate` in tensor.rs (0.8).
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from dataclasses import dataclass

from engine.dtypes import ELEMENT_TYPES
from engine.errors import MalformedHeaderError, TensorLayoutError, TruncatedFileError
from engine.sources.base import TensorInfo

MAX_HEADER_BYTES = 100_000_000
"""Longest header; the safetensors library has the same limit."""

MAX_TENSORS = 250_000
"""Most tensors in one file; the largest mixture-of-experts models have some 200,000 over all their shards."""

MAX_NAME_LENGTH = 4096
MAX_DIMENSIONS = 32
MAX_ELEMENTS = 1 << 48
"""Largest product of a shape's non-zero dimensions, so that no size computed from it overflows 63 bits."""

REDOWNLOAD = "Download or copy the file again; if it still fails, the program that wrote it is at fault."

_SPACE = rb"[ \t\n\r]*+"
_STRING = rb'("(?:[^"\\\x00-\x1f]++|\\.)*+")'
_STRING_TOKEN = re.compile(_STRING, re.DOTALL)
_KEY = re.compile(_SPACE + _STRING + _SPACE + rb":" + _SPACE, re.DOTALL)
_ENTRY = re.compile(rb"\{(?:[^{}\[\]]++|\[[^{}\[\]]*+\])*+\}")
_NEXT = re.compile(_SPACE + rb"([,}])" + _SPACE)
_OPEN = re.compile(rb"\{" + _SPACE)
_WINDOW = 65_536


@dataclass(frozen=True, slots=True)
class Header:
    """What a safetensors header says: tensors in file order, and the file's own metadata."""

    infos: tuple[TensorInfo, ...]
    metadata: dict[str, str]


def parse_header(header: bytes, data_start: int, file_size: int, file: str) -> Header:
    """The checked contents of a header.

    Args:
        header: the JSON bytes alone.
        data_start: where the data begins in the file; the header's offsets count from there.
        file_size: size of the whole file in bytes.
        file: the file's name, for messages and for `TensorInfo.file`.
    Returns: tensors sorted by their place in the file, byte ranges absolute.
    Raises: MalformedHeaderError, TensorLayoutError, TruncatedFileError.
    """
    infos, metadata = _Reader(header, file).read()
    infos.sort(key=lambda info: (info.start, info.stop))
    _check_layout(infos, file_size - data_start, file)
    placed = tuple(
        TensorInfo(i.name, i.shape, i.dtype, i.num_bytes, file, i.start + data_start, i.stop + data_start)
        for i in infos
    )
    return Header(placed, metadata)


def check_name(name: str, file: str) -> None:
    """Raises MalformedHeaderError for a tensor name that could not be shown, stored or typed."""
    if len(name) > MAX_NAME_LENGTH:
        raise MalformedHeaderError(
            f"{file}: a tensor name has {len(name)} characters, expected at most {MAX_NAME_LENGTH}.", REDOWNLOAD
        )
    if not name.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise MalformedHeaderError(
            f"{file}: the tensor name {ascii(name)[:80]} holds control characters or half of a character.", REDOWNLOAD
        )


class _Reader:
    """Walks over a header's entries; `self.at` is always the position of the next unread byte."""

    def __init__(self, header: bytes, file: str) -> None:
        self.header = header
        self.file = file
        self.at = 0

    def read(self) -> tuple[list[TensorInfo], dict[str, str]]:
        infos: list[TensorInfo] = []
        metadata: dict[str, str] | None = None
        seen: set[str] = set()
        self._expect(_OPEN, "an opening brace")
        while not self._closes(first=not seen):
            name = self._key()
            if name in seen:
                raise self._error(f"the name {name!r} occurs twice")
            seen.add(name)
            if name == "__metadata__":
                metadata = self._metadata()
                continue
            if len(infos) == MAX_TENSORS:
                raise self._error(f"more than {MAX_TENSORS} tensors in one file")
            check_name(name, self.file)
            infos.append(self._entry(name))
        if self.at != len(self.header):
            raise self._error(f"{len(self.header) - self.at} bytes after the closing brace")
        return infos, metadata or {}

    def _closes(self, first: bool) -> bool:
        """Whether the object ends here; steps over the comma before the next entry otherwise."""
        if first and self.header[self.at : self.at + 1] != b"}":
            return False
        return self._expect(_NEXT, "a comma or a closing brace").group(1) == b"}"

    def _key(self) -> str:
        # Six bytes at most for one character (\uXXXX), and some room for the spaces around.
        token = self._expect(_KEY, "a name in quotes and a colon", window=_WINDOW).group(1)
        return self._text(token)

    def _entry(self, name: str) -> TensorInfo:
        found = _ENTRY.match(self.header, self.at, self.at + _WINDOW)
        if found is None:
            raise self._error(f"the entry of {name!r} is no object of dtype, shape and data_offsets")
        self.at = found.end()
        try:
            fields = _DECODER.decode(found.group().decode("utf-8"))
        except ValueError as error:
            raise self._error(f"the entry of {name!r} is not valid ({error})") from error
        if set(fields) != {"dtype", "shape", "data_offsets"}:
            raise self._error(f"the entry of {name!r} has the keys {sorted(fields)}, not data_offsets, dtype, shape")
        return self._checked(name, fields["dtype"], fields["shape"], fields["data_offsets"])

    def _checked(self, name: str, dtype: object, shape: object, offsets: object) -> TensorInfo:
        kind = ELEMENT_TYPES.get(dtype) if isinstance(dtype, str) else None
        if kind is None:
            raise self._error(f"{name!r} has the type {dtype!r:.40}, which safetensors does not define")
        if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not all(type(n) is int for n in shape):
            raise self._error(f"{name!r} has no shape of at most {MAX_DIMENSIONS} whole numbers")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(n) is int for n in offsets):
            raise self._error(f"{name!r} has no data_offsets of two whole numbers")
        if math.prod(n for n in shape if n) > MAX_ELEMENTS:
            raise TensorLayoutError(f"{self.file}: {name!r} of shape {shape} has more than 2**48 elements.", REDOWNLOAD)
        start, stop = offsets
        bits = math.prod(shape) * kind.bits
        if stop < start or bits % 8 or stop - start != bits // 8:
            raise TensorLayoutError(
                f"{self.file}: {name!r}, {kind.name} of shape {shape}, needs {bits / 8:.16g} bytes, "
                f"but its byte range is {start} … {stop}.",
                REDOWNLOAD,
            )
        return TensorInfo(name, tuple(shape), kind.name, stop - start, self.file, start, stop)

    def _metadata(self) -> dict[str, str]:
        metadata: dict[str, str] = {}
        self._expect(_OPEN, "an opening brace after __metadata__")
        while not self._closes(first=not metadata):
            key = self._key()
            if key in metadata:
                raise self._error(f"the metadata key {key[:80]!r} occurs twice")
            metadata[key] = self._text(self._expect(_STRING_TOKEN, "a text as metadata value").group(1))
            if len(metadata) > MAX_TENSORS:
                raise self._error(f"more than {MAX_TENSORS} metadata entries")
        return metadata

    def _text(self, token: bytes) -> str:
        try:
            text = token[1:-1].decode("utf-8")
            if "\\" in text:
                text = json.loads(token.decode("utf-8"))
                text.encode("utf-8")  # half of a surrogate pair, written as an escape, is no text
        except ValueError as error:
            raise self._error(f"a name or text is not valid UTF-8 JSON ({error})") from error
        return text

    def _expect(self, pattern: re.Pattern[bytes], wanted: str, window: int | None = None) -> re.Match[bytes]:
        end = len(self.header) if window is None else self.at + window
        found = pattern.match(self.header, self.at, end)
        if found is None:
            raise self._error(f"expected {wanted}")
        self.at = found.end()
        return found

    def _error(self, problem: str) -> MalformedHeaderError:
        return MalformedHeaderError(f"{self.file}: bad header near byte {self.at + 8}: {problem}.", REDOWNLOAD)


def _natural(digits: str) -> int:
    if digits.startswith("-") or len(digits) > 19:
        raise ValueError(f"expected a whole number from 0 to 2**63, got {digits[:24]}")
    return int(digits)


def _no_fraction(number: str) -> int:
    raise ValueError(f"expected a whole number, got {number[:24]}")


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key occurs twice")
    return fields


_DECODER = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_int=_natural, parse_float=_no_fraction, parse_constant=_no_fraction
)


def _check_layout(infos: list[TensorInfo], data_size: int, file: str) -> None:
    """The byte ranges, in order, must fill the data without hole or overlap, as the format demands."""
    end = 0
    for info in infos:
        if info.start != end:
            what = "overlaps the tensor before it" if info.start < end else "leaves a hole before it"
            raise TensorLayoutError(
                f"{file}: {info.name!r} {what}: its data begins at {info.start}, expected {end}.", REDOWNLOAD
            )
        end = info.stop
    if end > data_size:
        raise TruncatedFileError(
            f"{file}: the header promises {end} bytes of data, but the file has only {data_size}.",
            "The download or copy was cut short: fetch the file again.",
        )
    if end < data_size:
        raise TensorLayoutError(f"{file}: {data_size - end} bytes at the end belong to no tensor.", REDOWNLOAD)
