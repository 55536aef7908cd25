"""The tensors of an ONNX file: what each is, and how its elements are read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.dtypes import KNOWN_TYPES
from engine.errors import MalformedHeaderError, TensorLayoutError, TruncatedFileError, UnsupportedFormatError
from engine.sources.base import TensorInfo
from engine.sources.inner_path import inner_path
from engine.sources.mapped_file import MappedFile
from engine.sources.onnx_wire import DATA_FIELDS, FoundTensor
from engine.sources.safetensors_header import MAX_DIMENSIONS, MAX_ELEMENTS, REDOWNLOAD, check_name

if TYPE_CHECKING:
    import onnx

MIN_CONSTANT_ELEMENTS = 64
"""Fewest elements for which the tensor of a Constant node counts as a weight; chosen by us: shapes, axes and scalars,
of which graphs are full, are smaller."""

MAX_TYPED_BYTES = 256 << 20
"""Most bytes of numbers that are stored one by one and not as they lie in memory; no known exporter does that."""

_NAMES = {
    **{1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16", 11: "F64"},
    **{12: "U32", 13: "U64", 14: "C64", 15: "C128", 16: "BF16", 17: "F8_E4M3", 18: "F8_E4M3FNUZ", 19: "F8_E5M2"},
    **{20: "F8_E5M2FNUZ", 21: "U4", 22: "I4", 23: "F4", 24: "F8_E8M0", 25: "U2", 26: "I2", 27: "F6_E2M3"},
    28: "F6_E3M2",
}
"""TensorProto.DataType -> the spelling of safetensors."""

_TEXT = 8
_FIELD_OF = {"F32": 4, "C64": 4, "F64": 10, "C128": 10, "I64": 7, "U32": 11, "U64": 11}
"""Which field holds the elements of a type where raw_data does not; of all other types int32_data."""

_INT32_DATA, _RAW_DATA = 5, 9
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class OnnxTensor:
    """A tensor and its place: `data` maps the file that holds its elements flat, or `message` spans its TensorProto."""

    info: TensorInfo
    data: MappedFile | None = None
    message: tuple[int, int] | None = None


class OnnxTensors:
    """Turns the messages of one file into tensors, and keeps the files of external data that they name.

    Args: path: the ONNX file. data: the same, mapped. file: its name in messages.
    """

    def __init__(self, path: Path, data: MappedFile, file: str) -> None:
        self._path, self._data, self._file = path, data, file
        self.companions: dict[str, MappedFile] = {}

    def tensor(self, found: FoundTensor) -> OnnxTensor | None:
        """The tensor of a message; None for texts and small constants, which are no weights.

        Raises: MalformedHeaderError, TensorLayoutError, TruncatedFileError, UnsupportedFormatError; UnsafePathError and
            SourceNotFoundError for its external data.
        """
        proto = self._parsed(found)
        name = found.scope + (found.constant or onnx_text(proto.name, self._file))
        if not name.removeprefix(found.scope):
            raise MalformedHeaderError(f"{self._file}: an initializer has no name.", REDOWNLOAD)
        check_name(name, self._file)
        shape = tuple(proto.dims)
        num_elements = math.prod(shape)
        if len(shape) > MAX_DIMENSIONS or any(n < 0 for n in shape) or math.prod(n for n in shape if n) > MAX_ELEMENTS:
            raise TensorLayoutError(f"{self._file}: {name!r} has the impossible shape {str(shape)[:80]}.", REDOWNLOAD)
        if proto.data_type == _TEXT or (found.constant is not None and num_elements < MIN_CONSTANT_ELEMENTS):
            return None
        dtype = _NAMES.get(proto.data_type)
        if dtype is None or proto.HasField("segment"):
            raise UnsupportedFormatError(
                f"{self._file}: {name!r} has the element type {proto.data_type}, or is stored in segments.",
                "Update Weightscope, or export the model again.",
            )
        bits = KNOWN_TYPES[dtype].bits if dtype in KNOWN_TYPES else 128
        num_bytes = -(-num_elements * bits // 8)
        info = TensorInfo(name, shape, dtype, num_bytes, self._file)
        return self._external(proto, info) if proto.data_location == 1 else self._internal(found, info)

    def _parsed(self, found: FoundTensor) -> onnx.TensorProto:
        import onnx
        from google.protobuf.message import DecodeError

        try:
            return onnx.TensorProto.FromString(found.header)
        except (DecodeError, ValueError) as error:
            raise MalformedHeaderError(
                f"{self._file} is no valid ONNX file: the tensor near byte {found.start} cannot be parsed ({error}).",
                REDOWNLOAD,
            ) from error

    def _external(self, proto: onnx.TensorProto, info: TensorInfo) -> OnnxTensor:
        said = {onnx_text(entry.key, self._file): onnx_text(entry.value, self._file) for entry in proto.external_data}
        numbers = {key: said.get(key) or "0" for key in ("offset", "length")}
        wrong = next((text for text in numbers.values() if not _WHOLE.fullmatch(text)), None)
        if wrong is not None:
            raise MalformedHeaderError(
                f"{self._file}: {info.name!r} has external data at {wrong[:40]!a}, expected a whole number.", REDOWNLOAD
            )
        location = said.get("location", "").removeprefix("./")
        if location not in self.companions:
            self.companions[location] = MappedFile(inner_path(self._path, location, "file of external data"))
        start, length = int(numbers["offset"]), int(numbers["length"])
        if said.get("length") and length != info.num_bytes:
            raise self._wrong_size(info, length)
        if start + info.num_bytes > self.companions[location].size:
            raise TruncatedFileError(
                f"{self._file}: {info.name!r} reaches up to byte {start + info.num_bytes} of {location}, "
                f"which has only {self.companions[location].size}.",
                "The download or copy was cut short: fetch the file again.",
            )
        place = TensorInfo(info.name, info.shape, info.dtype, info.num_bytes, location, start, start + info.num_bytes)
        return OnnxTensor(place, self.companions[location])

    def _internal(self, found: FoundTensor, info: TensorInfo) -> OnnxTensor:
        """Elements in the file itself: as they lie in memory where it says so, else numbers one by one."""
        raw = [field for field in found.data if field.number == _RAW_DATA]
        flat = raw[-1:]
        if not raw and info.dtype in ("F32", "F64"):
            fields = [field for field in found.data if field.number == _FIELD_OF[info.dtype]]
            flat = fields if len(fields) == 1 and fields[0].wire_type == 2 else []
        if flat:
            start, stop = flat[0].start, flat[0].stop
            if stop - start != info.num_bytes:
                raise self._wrong_size(info, stop - start)
            place = TensorInfo(info.name, info.shape, info.dtype, info.num_bytes, info.file, start, stop)
            return OnnxTensor(place, self._data)
        self._check_typed(found, info)
        num_bytes = sum(field.stop - field.start for field in found.data)
        place = TensorInfo(info.name, info.shape, info.dtype, num_bytes, info.file)
        return OnnxTensor(place, message=(found.start, found.stop))

    def _check_typed(self, found: FoundTensor, info: TensorInfo) -> None:
        """There must be as many numbers as the shape wants, and not too many to take them one by one."""
        number = _FIELD_OF.get(info.dtype, _INT32_DATA)
        fields = [field for field in found.data if field.number == number]
        if sum(field.stop - field.start for field in fields) > MAX_TYPED_BYTES:
            raise UnsupportedFormatError(
                f"{self._file}: {info.name!r} stores more than {MAX_TYPED_BYTES} bytes of numbers one by one.",
                "Load it with the onnx package and save it again with raw_data.",
            )
        count = sum(self._count(field.wire_type, field.start, field.stop, info.dtype) for field in fields)
        per_entry = {"I4": 2, "U4": 2, "F4": 2, "I2": 4, "U2": 4}.get(info.dtype, 1)
        expected = -(-info.num_elements // per_entry) * (2 if info.dtype in ("C64", "C128") else 1)
        if count != expected:
            raise TensorLayoutError(
                f"{self._file}: {info.name!r}, {info.dtype} of shape {info.shape}, needs {expected} numbers in "
                f"{DATA_FIELDS[number]}, but has {count}.",
                REDOWNLOAD,
            )

    def _count(self, wire_type: int, start: int, stop: int, dtype: str) -> int:
        """Numbers in one field: each ends with a byte below 128, but floats all have one size."""
        if wire_type != 2:
            return 1
        width = {"F32": 4, "C64": 4, "F64": 8, "C128": 8}.get(dtype)
        if width is not None:
            return (stop - start) // width
        return int(np.count_nonzero(self._data.array(np.dtype(np.uint8), stop - start, start) < 0x80))

    def _wrong_size(self, info: TensorInfo, num_bytes: int) -> TensorLayoutError:
        return TensorLayoutError(
            f"{self._file}: {info.name!r}, {info.dtype} of shape {info.shape}, needs {info.num_bytes} bytes, "
            f"but has {num_bytes}.",
            REDOWNLOAD,
        )


def onnx_text(value: str | bytes, file: str) -> str:
    """A text of a message, which protobuf gives as bytes where it is not UTF-8. Raises: MalformedHeaderError."""
    if isinstance(value, str):
        return value
    raise MalformedHeaderError(f"{file} is no valid ONNX file: the text {value[:40]!r} is not valid UTF-8.", REDOWNLOAD)
