"""The header of one numpy array in a file: its shape, type and order."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.lib import format as npy

from engine.dtypes import ELEMENT_TYPES
from engine.errors import MalformedHeaderError, TensorLayoutError, UnsafePickleError, UnsupportedFormatError
from engine.sources.safetensors_header import MAX_DIMENSIONS, MAX_ELEMENTS, REDOWNLOAD

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 16_384
"""Bytes looked at for a header; numpy itself refuses those longer than 10,000."""

_NAMES = {kind.dtype: name for name, kind in ELEMENT_TYPES.items() if kind.dtype.isbuiltin == 1}


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What the header of an array says.

    Attributes:
        shape: its dimensions. dtype: of its elements, in the file's byte order. is_fortran: whether the first dimension
            is the contiguous one. length: bytes of the header, after which the data begins.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    is_fortran: bool
    length: int

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def type_name(self) -> str:
        """The element type as safetensors spells it; numpy's spelling ("<U5", "<c16") of what cannot be measured."""
        return _NAMES.get(self.dtype.newbyteorder("="), self.dtype.str)


def read_npy_header(head: bytes, what: str) -> NpyHeader:
    """The header at the beginning of an array's bytes, checked.

    Args: head: its first `MAX_HEADER_BYTES` bytes, or all. what: file and array, for messages.
    Raises: UnsafePickleError for an array of objects, which is a pickle; MalformedHeaderError, TensorLayoutError;
        UnsupportedFormatError for format version 3, which only records with foreign names have.
    """
    if not head.startswith(MAGIC):
        raise MalformedHeaderError(f"{what} begins with {head[:6]!r}, expected {MAGIC!r}; it is no array.", REDOWNLOAD)
    file = io.BytesIO(head[:MAX_HEADER_BYTES])
    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise UnsupportedFormatError(
                f"{what} is an array of format version {version[0]}.{version[1]}, expected 1.0 or 2.0.",
                "Load it in numpy and save it as a plain array of numbers.",
            )
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # files of Python 2 read well, only a little slower
            shape, is_fortran, dtype = read(file)
    except UnsupportedFormatError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise MalformedHeaderError(f"{what} has no valid array header: {reason}.", REDOWNLOAD) from error
    if dtype.hasobject:
        raise UnsafePickleError(
            f"{what} is an array of Python objects: opening it would run code, which Weightscope never does.",
            "Where you trust it, load it in numpy and save its arrays of numbers alone.",
        )
    if len(shape) > MAX_DIMENSIONS or any(n < 0 for n in shape) or math.prod(n for n in shape if n) > MAX_ELEMENTS:
        raise TensorLayoutError(
            f"{what} has the shape {str(shape)[:80]}, expected at most {MAX_DIMENSIONS} dimensions and 2**48 elements.",
            REDOWNLOAD,
        )
    return NpyHeader(tuple(int(n) for n in shape), dtype, bool(is_fortran), file.tell())
