"""One tensor of a source with its rows and columns in another order, as a source of its own."""

from __future__ import annotations

import hashlib

import numpy as np

from engine.errors import TensorNotFoundError
from engine.folding import matrix_shape
from engine.sources.base import ByteCallback, Source, TensorInfo


class Reordered(Source):
    """A matrix whose rows and columns were sorted. Nothing is copied until rows are read, and then only those.

    Where the source maps files, its tensor is only looked at; where it decodes or downloads, it is held in memory.

    Args:
        source, info: the tensor; any shape, seen as a matrix (`engine.folding.matrix_shape`).
        rows, columns: the number, in the file, of the line at each place; permutations. None: as in the file.
    """

    def __init__(
        self, source: Source, info: TensorInfo, rows: np.ndarray | None = None, columns: np.ndarray | None = None
    ) -> None:
        shape = matrix_shape(info.shape)
        self._source, self._rows, self._columns = source, rows, columns
        self._matrix = source.read(info.name).reshape(shape)
        self._info = TensorInfo(info.name, shape, info.dtype, info.num_bytes, info.file)
        self.uri, self.name, self.format, self.files = source.uri, source.name, source.format, source.files
        digest = hashlib.sha256(source.fingerprint.encode())
        for order in (rows, columns):
            digest.update(b"-" if order is None else np.asarray(order, "<i8").tobytes())
        self._fingerprint = digest.hexdigest()

    def infos(self) -> tuple[TensorInfo, ...]:
        return (self._info,)

    def info(self, name: str) -> TensorInfo:
        if name != self._info.name:
            raise TensorNotFoundError(f"Only {self._info.name!r} was reordered, not {name[:200]!r}.")
        return self._info

    def read(self, name: str) -> np.ndarray:
        return self.read_rows(name, 0, self.info(name).shape[0])

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        self.info(name)
        # Types that numpy does not know are gathered one by one; their bits are gathered as fast as any number.
        bits = self._matrix.view(f"u{self._matrix.itemsize}") if self._matrix.itemsize in (1, 2, 4, 8) else self._matrix
        block = bits[start:stop] if self._rows is None else np.take(bits, self._rows[start:stop], axis=0)
        block = block if self._columns is None else np.take(block, self._columns, axis=1)
        block = block.view(self._matrix.dtype)
        block.flags.writeable = False
        return block

    def content_hash(self, on_bytes: ByteCallback | None = None) -> str:
        return self._source.content_hash(on_bytes)

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def metadata(self) -> dict[str, str]:
        return self._source.metadata

    @property
    def config(self) -> dict:
        return self._source.config

    def close(self) -> None:
        """Let go of the tensor; the source stays open, it belongs to others."""
        self._matrix = np.zeros(self._info.shape, np.uint8)
