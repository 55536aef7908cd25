"""Checkpoints seen through others: B laid out as A, the difference of both, an adapter merged onto its base.

Each is a Source, so whatever reads weights (heatmaps, statistics, spectra) reads these; nothing is written anywhere.
"""

from __future__ import annotations

import difflib
import hashlib
from abc import abstractmethod
from collections.abc import Iterable

import numpy as np

from engine.compare.matching import Match, Matching, rope_rows
from engine.dtypes import KNOWN_TYPES
from engine.errors import SourceError, TensorNotFoundError
from engine.sources.base import ByteCallback, Source, TensorInfo

PIECE_BYTES = 16 << 20
"""Bytes read at a time where a tensor has to be decoded or copied, so that no tensor fills the memory."""


class SourceView(Source):
    """What is common to sources that are made of other sources.

    Args: parts: the sources behind it, which stay open and belong to the caller. name: of the view.
    """

    def __init__(self, name: str, parts: tuple[Source, ...], infos: Iterable[TensorInfo]) -> None:
        self.name, self._parts = name, parts
        self.uri = " | ".join(part.uri for part in parts)
        self.format = parts[0].format
        self.files = tuple(file for part in parts for file in part.files)
        self.is_remote = any(part.is_remote for part in parts)
        self._infos = {info.name: info for info in infos}

    def infos(self) -> tuple[TensorInfo, ...]:
        return tuple(self._infos.values())

    def info(self, name: str) -> TensorInfo:
        if name in self._infos:
            return self._infos[name]
        near = difflib.get_close_matches(name[:200], list(self._infos)[:10_000], n=3, cutoff=0.5)
        hint = f"Did you mean {', '.join(near)}?" if near else "List the tensors to see their names."
        raise TensorNotFoundError(f"{self.name} has no tensor {name[:200]!r}.", hint)

    def read(self, name: str) -> np.ndarray:
        info = self.info(name)
        if not info.shape:
            return self._rows(info, 0, 1).reshape(())
        return self._rows(info, 0, info.shape[0])

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        info = self.info(name)
        if not info.shape:
            raise SourceError(f"{self.name}: {name!r} is a scalar and has no rows.", "Read it whole.")
        if not 0 <= start <= stop <= info.shape[0]:
            raise SourceError(
                f"{self.name}: rows {start} … {stop} of {name!r} were asked for, but it has {info.shape[0]}.",
                "Ask for a range inside the tensor.",
            )
        return self._rows(info, start, stop)

    @abstractmethod
    def _rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1 of a range that was checked; of a scalar, the one entry in any shape."""

    def content_hash(self, on_bytes: ByteCallback | None = None) -> str:
        whole = hashlib.sha256(type(self).__name__.encode())
        for part in self._parts:
            whole.update(part.content_hash(on_bytes).encode())
        return whole.hexdigest()

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("|".join(part.fingerprint for part in self._parts).encode()).hexdigest()

    @property
    def metadata(self) -> dict[str, str]:
        return self._parts[0].metadata

    @property
    def config(self) -> dict:
        return self._parts[0].config

    def close(self) -> None:
        for part in self._parts:
            part.close()


class MatchedSource(SourceView):
    """B seen in A's names, shapes and order of rows: entry (i, j) of a tensor is the partner of A's entry (i, j).

    Only the tensors that can be compared entry by entry; of a resized vocabulary, the rows that both have.
    """

    def __init__(self, source_b: Source, matching: Matching) -> None:
        self._matches = _comparable(matching)
        infos = []
        for match in self._matches.values():
            info = source_b.info(match.name_b)
            infos.append(TensorInfo(match.name_a, match.compared_shape, info.dtype, info.num_bytes, info.file))
        super().__init__(source_b.name, (source_b,), infos)

    def _rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        return rows_of_b(self._parts[0], self._matches[info.name], start, stop)


class DeltaSource(SourceView):
    """Δ = B − A of every tensor that can be compared entry by entry, under A's names, in float32."""

    def __init__(self, source_a: Source, source_b: Source, matching: Matching) -> None:
        self._matches = _comparable(matching)
        infos = [
            TensorInfo(m.name_a, m.compared_shape, "F32", 4 * m.num_compared, source_b.info(m.name_b).file)
            for m in self._matches.values()
        ]
        super().__init__(f"{source_b.name} − {source_a.name}", (source_a, source_b), infos)

    def _rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        match = self._matches[info.name]
        a = rows_of_a(self._parts[0], match, start, stop)
        b = rows_of_b(self._parts[1], match, start, stop)
        wide = np.float64 if max(a.itemsize, b.itemsize) > 4 else np.float32
        with np.errstate(invalid="ignore", over="ignore"):
            return (b.astype(wide) - a.astype(wide)).astype(np.float32)


def _comparable(matching: Matching) -> dict[str, Match]:
    """By A's name; of an embedding that also stands in for B's head, the match with B's embedding."""
    found = [match for match in matching.matches if match.is_comparable]
    return {match.name_a: match for match in sorted(found, key=lambda match: match.matched_by != "tied")}


def rows_of_a(source: Source, match: Match, start: int, stop: int) -> np.ndarray:
    """Rows start … stop − 1 of what is compared of A's tensor; a scalar is given whole."""
    shape = match.compared_shape
    if not match.shape_a:
        return source.read(match.name_a).reshape(shape)
    if start == 0 and stop == match.shape_a[0]:
        return source.read(match.name_a)
    return source.read_rows(match.name_a, start, stop)


def rows_of_b(source: Source, match: Match, start: int, stop: int) -> np.ndarray:
    """The partners of A's rows start … stop − 1, in A's shape."""
    shape = match.compared_shape
    wanted = (stop - start, *shape[1:]) if shape else ()
    if match.is_transposed:
        return source.read(match.name_b)[: shape[1], start:stop].T
    if match.rope_heads:
        rows = rope_rows(match.shape_a[0], match.rope_heads, match.is_rope_in_a)[start:stop]
        if not rows.size:
            return source.read_rows(match.name_b, 0, 0).reshape(wanted)
        first = int(rows.min())
        block = source.read_rows(match.name_b, first, int(rows.max()) + 1)
        return block[rows - first].reshape(wanted)
    if shape and match.shape_b[1:] == match.shape_a[1:] and len(match.shape_b) == len(match.shape_a):
        if (start, stop) == (0, match.shape_b[0]):
            return source.read(match.name_b)
        return source.read_rows(match.name_b, start, stop)
    whole = source.read(match.name_b).reshape(shape)  # the same entries under another shape
    return whole[start:stop] if shape else whole


def piece_rows(match: Match, info_a: TensorInfo, info_b: TensorInfo, is_mapped: bool) -> int:
    """How many rows to read at a time: all of a mapped tensor, which costs no memory, else about PIECE_BYTES."""
    shape = match.compared_shape
    if not shape or shape[0] == 0:
        return 1
    if is_mapped and not match.is_transposed and not match.rope_heads and _is_flat(info_a) and _is_flat(info_b):
        return shape[0]
    width = max(match.num_compared // shape[0], 1) * 8
    rows = max(PIECE_BYTES // width, 1)
    head = match.shape_a[0] // match.rope_heads if match.rope_heads else 1
    return max(rows // head, 1) * head


def _is_flat(info: TensorInfo) -> bool:
    """Whether the tensor lies in its file as it lies in memory."""
    return info.start is not None and info.dtype in KNOWN_TYPES and not KNOWN_TYPES[info.dtype].is_packed
