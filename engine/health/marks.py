"""What only the bits tell: rows and columns that repeat another, tensors that repeat another, subnormal entries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from engine.dtypes import KNOWN_TYPES, memory_bits
from engine.folding import matrix_shape
from engine.sources.base import ByteCallback, Source, TensorInfo

READ_BYTES = 16 << 20
"""Bytes asked of a source at a time; chosen by us, as for pictures."""

LEAST_LENGTH = 8
"""Entries a line must have to count as a repetition; ours: shorter ones repeat by chance."""


@dataclass(frozen=True, eq=False)
class TensorMarks:
    """What one pass over a tensor's bits tells.

    Attributes:
        digest: of shape, type and content (128 bits, hex): equal for tensors that are the same, bit for bit.
        repeated_rows: (k, 2) int64: a row, and the first one that it repeats bit for bit; by row.
        repeated_columns: the same of columns. Both are empty below two dimensions and for lines shorter than eight.
        num_subnormal: entries so small that the type keeps fewer digits of them, without zeros.
        num_largest: entries of the largest finite magnitude that the type can hold.
    """

    digest: str
    repeated_rows: np.ndarray
    repeated_columns: np.ndarray
    num_subnormal: int
    num_largest: int


def tensor_marks(source: Source, info: TensorInfo, on_bytes: ByteCallback | None = None) -> TensorMarks:
    """Read a tensor once, and those lines a second time whose hashes are equal, so that no chance makes a repetition.

    Args: source, info: the tensor, of any type. on_bytes: called with stored bytes done; may stop the work.
    Raises: what the source raises when it cannot be read.
    """
    from engine.health.mark_kernel import mark

    rows, columns = matrix_shape(info.shape)
    row_weights, column_weights = _weights(rows, 1), _weights(columns, 2)
    row_hashes, column_hashes = np.zeros(rows, np.uint64), np.zeros(columns, np.uint64)
    counts = np.zeros(5, np.uint64)
    for start, block, is_first in _blocks(source, info):
        if is_first:
            counts[:3] = _patterns(info)
        mark(_bits(block), start, row_weights, column_weights, row_hashes, column_hashes, counts)
        if on_bytes is not None:
            on_bytes(info.num_bytes * block.shape[0] // max(1, rows))
    content = hashlib.sha256(f"{info.shape} {info.dtype}".encode())
    content.update(row_hashes.tobytes())
    content.update(column_hashes.tobytes())
    is_matrix = len(info.shape) >= 2
    row_pairs = _pairs(row_hashes) if is_matrix and columns >= LEAST_LENGTH else _NONE
    column_pairs = _pairs(column_hashes) if is_matrix and rows >= LEAST_LENGTH else _NONE
    return TensorMarks(
        content.hexdigest()[:32],
        _equal_rows(source, info, row_pairs),
        _equal_columns(source, info, column_pairs),
        int(counts[3]),
        int(counts[4]),
    )


_NONE = np.zeros((0, 2), np.int64)


def _weights(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64) | np.uint64(1)


def _blocks(source: Source, info: TensorInfo) -> Iterator[tuple[int, np.ndarray, bool]]:
    """(first row, 2-D block, whether it is the first), in pieces of at most `READ_BYTES` where rows allow it."""
    rows, columns = matrix_shape(info.shape)
    if rows == 0 or columns == 0:
        return
    if len(info.shape) <= 1:
        yield 0, np.asarray(source.read(info.name)).reshape(1, -1), True
        return
    in_memory = info.num_elements * memory_bits(info.dtype) // 8
    step = max(1, READ_BYTES // max(1, max(info.num_bytes, in_memory) // rows))
    for start in range(0, rows, step):
        block = source.read_rows(info.name, start, min(rows, start + step))
        yield start, block.reshape(block.shape[0], -1), start == 0


def _bits(block: np.ndarray) -> np.ndarray:
    bits = np.require(block, requirements=["C", "A"]).view(f"u{block.dtype.itemsize}")
    bits.flags.writeable = False  # one compiled signature for mapped and for ordinary arrays
    return bits


def _patterns(info: TensorInfo) -> tuple[int, int, int]:
    """(magnitude mask, smallest normal, largest finite) as patterns of a floating type; zeros for other types."""
    known = KNOWN_TYPES.get(info.dtype)
    if known is None or known.is_packed:
        return 0, 0, 0
    dtype = known.dtype
    if dtype.kind != "f" and not (dtype.type.__module__ == "ml_dtypes" and "float" in dtype.name):
        return 0, 0, 0
    limits, unsigned = ml_dtypes.finfo(dtype), f"u{dtype.itemsize}"
    normal, most = (
        int(np.asarray(x, dtype).reshape(1).view(unsigned)[0]) for x in (limits.smallest_normal, limits.max)
    )
    has_sign = bool(np.asarray(-1, dtype) < 0)
    mask = (1 << (8 * dtype.itemsize - 1)) - 1 if has_sign else (1 << 8 * dtype.itemsize) - 1
    return mask, normal & mask, most & mask


def _pairs(hashes: np.ndarray) -> np.ndarray:
    """(k, 2): lines whose hash an earlier line has, and the first such."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    leader = first[inverse]
    repeated = np.flatnonzero(leader != np.arange(hashes.size))
    return np.stack([repeated, leader[repeated]], axis=1).astype(np.int64)


def _equal_rows(source: Source, info: TensorInfo, pairs: np.ndarray) -> np.ndarray:
    leaders: dict[int, bytes] = {}
    keep = []
    for row, leader in pairs:
        if leader not in leaders:
            leaders = {leader: source.read_rows(info.name, int(leader), int(leader) + 1).tobytes()}
        keep.append(source.read_rows(info.name, int(row), int(row) + 1).tobytes() == leaders[leader])
    return pairs[np.array(keep, bool)] if len(pairs) else pairs


def _equal_columns(source: Source, info: TensorInfo, pairs: np.ndarray) -> np.ndarray:
    if not len(pairs):
        return pairs
    is_equal = np.ones(len(pairs), bool)
    for _, block, _ in _blocks(source, info):
        bits = _bits(block)
        is_equal &= (bits[:, pairs[:, 0]] == bits[:, pairs[:, 1]]).all(axis=0)
    return pairs[is_equal]
