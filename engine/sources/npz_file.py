"""Arrays that numpy saved, one (`.npy`) or several (`.npz`): mapped where they lie as they are, never unpickled."""

from __future__ import annotations

import threading
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.dtypes import ELEMENT_TYPES
from engine.errors import TensorLayoutError, TruncatedFileError, UnsupportedFormatError
from engine.sources.base import TensorInfo, WeightFile
from engine.sources.mapped_file import MappedFile
from engine.sources.npy_header import MAGIC, MAX_HEADER_BYTES, NpyHeader, read_npy_header
from engine.sources.safetensors_header import REDOWNLOAD, check_name
from engine.sources.zip_members import Unpacker, ZipMember, zip_members


@dataclass(frozen=True, slots=True)
class _Array:
    """Where an array is: its header, and the archive's member that packs it; None where it lies unpacked."""

    info: TensorInfo
    header: NpyHeader
    packed: ZipMember | None = None


class _ArrayFile(WeightFile):
    """What `.npy` and `.npz` share: reading arrays whose place is known."""

    def __init__(self, path: Path, name: str) -> None:
        self._data = MappedFile(path)
        self._lock = threading.Lock()
        self._unpacker: tuple[str, Unpacker] | None = None
        self._arrays = {array.info.name: array for array in self._found(path, name)}

    @abstractmethod
    def _found(self, path: Path, name: str) -> list[_Array]:
        """The file's arrays, from their checked headers."""

    def infos(self) -> tuple[TensorInfo, ...]:
        return tuple(array.info for array in self._arrays.values())

    def read(self, info: TensorInfo) -> np.ndarray:
        array = self._arrays[info.name]
        order = "F" if array.header.is_fortran else "C"
        return _finished(self._elements(array, 0, info.num_elements).reshape(info.shape, order=order))

    def read_rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        array = self._arrays[info.name]
        if array.header.is_fortran:  # a row lies scattered over the whole array
            return _finished(self._elements(array, 0, info.num_elements).reshape(info.shape, order="F")[start:stop])
        width = info.num_elements // info.shape[0] if info.shape[0] else 0
        rows = self._elements(array, start * width, stop * width)
        return _finished(rows.reshape((stop - start, *info.shape[1:])))

    def close(self) -> None:
        with self._lock:
            self._unpacker = None
        self._data.close()

    def _elements(self, array: _Array, start: int, stop: int) -> np.ndarray:
        info, dtype = array.info, array.header.dtype
        if info.dtype not in ELEMENT_TYPES:
            raise UnsupportedFormatError(
                f"{info.file}: {info.name!r} is an array of type {info.dtype}, which Weightscope cannot measure.",
                "Convert it to an ordinary array of numbers in numpy and save it again. "
                "(numpy does not write the names of bfloat16 and float8: use safetensors for them.)",
            )
        if array.packed is None:
            return self._data.array(dtype, stop - start, info.start + start * dtype.itemsize)
        skipped = array.header.length
        data = self._unpacked(array.packed, skipped + start * dtype.itemsize, skipped + stop * dtype.itemsize)
        return data.view(dtype)

    def _unpacked(self, member: ZipMember, start: int, stop: int) -> np.ndarray:
        """Bytes of a packed member; one that is read front to back is unpacked only once."""
        with self._lock:
            name, unpacker = self._unpacker or ("", None)
            if unpacker is None or name != member.name or unpacker.position > start:
                unpacker = Unpacker(self._data, member, self._data.path.name)
            self._unpacker = None  # one that fails is not asked again
            found = unpacker.read(start, stop)
            self._unpacker = (member.name, unpacker)
            return found


class NpyFile(_ArrayFile):
    """One array; its name is the file's without the suffix."""

    @staticmethod
    def recognises(head: bytes) -> bool:
        """Whether these first bytes are numpy's magic."""
        return head.startswith(MAGIC)

    def _found(self, path: Path, name: str) -> list[_Array]:
        head = self._data.array(np.dtype(np.uint8), min(self._data.size, MAX_HEADER_BYTES), 0).tobytes()
        header = read_npy_header(head, name)
        check_name(path.stem, name)
        _check_size(header, self._data.size, name)
        info = TensorInfo(
            path.stem, header.shape, header.type_name, header.num_bytes, name, header.length, self._data.size
        )
        return [_Array(info, header)]


class NpzFile(_ArrayFile):
    """Arrays in a zip archive. Members that are no arrays are left out; `num_bytes` counts packed arrays unpacked."""

    @staticmethod
    def recognises(head: bytes) -> bool:
        """Whether these first bytes are those of an archive whose first member is an array."""
        return head.startswith(b"PK\x03\x04") and b".npy" in head

    def _found(self, path: Path, name: str) -> list[_Array]:
        members = [m for m in zip_members(path, self._data, name) if m.name.endswith(".npy")]
        if not members:
            raise UnsupportedFormatError(f"{name} holds no arrays.", "Open the file that holds the model's weights.")
        return [self._array(member, name) for member in members]

    def _array(self, member: ZipMember, file: str) -> _Array:
        name = member.name.removesuffix(".npy")
        check_name(name, file)
        length = min(member.num_bytes, MAX_HEADER_BYTES)
        if member.is_compressed:
            head = Unpacker(self._data, member, file).read(0, length).tobytes()
        else:
            head = self._data.array(np.dtype(np.uint8), length, member.start).tobytes()
        header = read_npy_header(head, f"{file}: {name[:200]!r}")
        _check_size(header, member.num_bytes, f"{file}: {name[:200]!r}")
        if member.is_compressed:
            return _Array(TensorInfo(name, header.shape, header.type_name, header.num_bytes, file), header, member)
        start = member.start + header.length
        return _Array(
            TensorInfo(name, header.shape, header.type_name, header.num_bytes, file, start, member.stop), header
        )


def _check_size(header: NpyHeader, size: int, what: str) -> None:
    """Header and data must fill the file, or the member, exactly."""
    expected = header.length + header.num_bytes
    if size < expected:
        raise TruncatedFileError(
            f"{what}, {header.type_name} of shape {header.shape}, needs {expected} bytes, but has only {size}.",
            "The download or copy was cut short: fetch the file again.",
        )
    if size > expected:
        raise TensorLayoutError(f"{what}: {size - expected} bytes at the end belong to no array.", REDOWNLOAD)


def _finished(array: np.ndarray) -> np.ndarray:
    """In C order and this machine's byte order; a copy only where it is not."""
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    array.flags.writeable = False
    return array
