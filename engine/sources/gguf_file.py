"""GGUF, the format of llama.cpp: a checked header, then the data, mapped; quantised blocks come decoded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from engine.dtypes import ELEMENT_TYPES
from engine.errors import UnsupportedFormatError
from engine.sources.base import TensorInfo, WeightFile
from engine.sources.gguf_config import config_of
from engine.sources.gguf_header import MAGIC, Items, Value, read_gguf_header
from engine.sources.mapped_file import MappedFile

PIECE_ELEMENTS = 1 << 18
"""Elements decoded at a time: the fastest of 2¹⁵ … 2²⁰ for most types, and little memory beside the result."""

MAX_TEXT_LENGTH = 65_536
"""Longest text kept among the metadata; chat templates have up to some 10,000 characters."""

_SHOWN_ITEMS = 8


class GgufFile(WeightFile):
    """One GGUF file. Plain types are mapped as they are; of block-quantised types (Q4_0, Q6_K, IQ2_XS, …) `read` and
    `read_rows` give float32, decoded by the `gguf` package, of the wanted blocks only. `TensorInfo.dtype` is GGML's
    name of the type and `num_bytes` what is stored, so that 8 · num_bytes / num_elements are the bits per weight.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._data = MappedFile(path)
        with path.open("rb") as file:
            self._header = read_gguf_header(file, self._data.size, name)

    @staticmethod
    def recognises(head: bytes) -> bool:
        """Whether these first bytes are GGUF's magic."""
        return head.startswith(MAGIC)

    def infos(self) -> tuple[TensorInfo, ...]:
        return self._header.infos

    @property
    def metadata(self) -> dict[str, str]:
        """Every key with its value as text; of long arrays, such as the vocabulary, the beginning and the length."""
        return {key: _text(value) for key, value in self._header.values.items()}

    @property
    def config(self) -> dict:
        """What the metadata says of the architecture, under the names of `config.json`."""
        return config_of(self._header.values)

    def read(self, info: TensorInfo) -> np.ndarray:
        return self._elements(info, 0, info.num_elements).reshape(info.shape)

    def read_rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        width = info.num_elements // info.shape[0] if info.shape[0] else 0
        return self._elements(info, start * width, stop * width).reshape((stop - start, *info.shape[1:]))

    def close(self) -> None:
        self._data.close()

    def _elements(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        if info.dtype in ELEMENT_TYPES:
            return self._data.elements(info, start, stop)
        return _decoded(self._data.array(np.dtype(np.uint8), info.num_bytes, info.start), info, start, stop)


def _decoded(stored: np.ndarray, info: TensorInfo, start: int, stop: int) -> np.ndarray:
    """Elements start … stop − 1 of a block-quantised tensor: (stop − start,) float32, read-only.

    Args: stored: (num_bytes,) uint8, the tensor's blocks; only those of the wanted elements are touched.
    Raises: UnsupportedFormatError for a type that the `gguf` package lists but cannot decode.
    """
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    kind = GGMLQuantizationType[info.dtype]
    size, num_bytes = GGML_QUANT_SIZES[kind]
    first, last = start // size, -(-stop // size)
    values = np.empty((last - first) * size, np.float32)
    step = PIECE_ELEMENTS // size
    try:
        for block in range(first, last, step):
            end = min(last, block + step)
            piece = stored[block * num_bytes : end * num_bytes].reshape(1, -1)
            with np.errstate(all="ignore"):  # a scale may be Inf or NaN, and its block is then what it is
                values[(block - first) * size : (end - first) * size] = dequantize(piece, kind)[0]
    except NotImplementedError as error:
        raise UnsupportedFormatError(
            f"{info.file}: {info.name!r} is stored as {info.dtype}, which the gguf package cannot decode.",
            "Its size and shape are known, its values are not; a newer gguf package may read them.",
        ) from error
    values = values[start - first * size : stop - first * size]
    values.flags.writeable = False
    return values


def _text(value: Value) -> str:
    if isinstance(value, Items):
        shown = ", ".join(json.dumps(_cut(item), ensure_ascii=False) for item in value.head[:_SHOWN_ITEMS])
        more = ", …" if value.count > _SHOWN_ITEMS or not value.head else ""
        return f"[{shown}{more}] ({value.count} items)" if value.count > _SHOWN_ITEMS or more else f"[{shown}]"
    return _cut(value, MAX_TEXT_LENGTH) if isinstance(value, str) else json.dumps(value)


def _cut(item: Value, length: int = 40) -> Value:
    return f"{item[:length]}…" if isinstance(item, str) and len(item) > length else item
