"""Sums and norms of every row and every column of a tensor: what stands along the edges of its heatmap."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from engine.dtypes import memory_bits
from engine.folding import matrix_shape
from engine.heatmaps import READ_BYTES, row_blocks
from engine.measures.spans import in_order, num_threads
from engine.sources.base import Source, TensorInfo

_COMPILATION = threading.Lock()


@dataclass(frozen=True, eq=False)
class Margins:
    """One number per row and per column of a tensor seen as a matrix, over its finite entries, in float64.

    Attributes:
        row_sums, column_sums: Σx. row_norms, column_norms: √Σx². 0 for a line without a finite entry.
    """

    row_sums: np.ndarray
    column_sums: np.ndarray
    row_norms: np.ndarray
    column_norms: np.ndarray

    @property
    def norm(self) -> float:
        """The L2 norm of the whole tensor."""
        return float(np.linalg.norm(self.column_norms))


def margins(source: Source, info: TensorInfo, *, threads: int | None = None) -> Margins:
    """Read a tensor once, in pieces of at most about `READ_BYTES` a thread.

    Args:
        source, info: the tensor; any shape, also empty. threads: how many to use, at most; None for all cores, and one
            over the network. The numbers do not depend on it.
    Returns: float64 sums, each within n·2⁻⁵³ of Σ|x| (n: the entries of the line).
    """
    with _COMPILATION:
        from engine.margin_kernels import compile_kernels  # here, because numba takes half a second to import

        compile_kernels()
    num_rows, num_columns = matrix_shape(info.shape)
    columns = np.zeros((2, num_columns))
    if num_rows == 0 or num_columns == 0:
        return Margins(np.zeros(num_rows), columns[0], np.zeros(num_rows), columns[1])
    if len(info.shape) < 2:
        return _margins_of_vector(source, info, columns)

    def add_rows(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        return _sums(source.read_rows(info.name, start, stop).reshape(stop - start, num_columns))

    in_memory = max(info.num_bytes, info.num_elements * memory_bits(info.dtype) // 8)
    step = max(1, READ_BYTES // max(1, in_memory // num_rows))
    cuts = [(start, min(num_rows, start + step)) for start in range(0, num_rows, step)]
    rows = []
    for _, (of_rows, of_columns) in in_order(add_rows, cuts, 1 if source.is_remote else num_threads(threads)):
        rows.append(of_rows)
        columns += of_columns
    sums, squares = np.concatenate(rows, axis=1)
    return Margins(sums, columns[0], np.sqrt(squares), np.sqrt(columns[1]))


def _margins_of_vector(source: Source, info: TensorInfo, columns: np.ndarray) -> Margins:
    total = np.zeros((2, 1))
    for _, start, block in row_blocks(source, info, (0, 1), (0, columns.shape[1])):
        of_rows, of_columns = _sums(block)
        columns[:, start : start + block.shape[1]] = of_columns
        total += of_rows
    return Margins(total[0], columns[0], np.sqrt(total[1]), np.sqrt(columns[1]))


def _sums(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σx and Σx² of the rows, (2, n), and of the columns, (2, m), of a block."""
    from engine.margin_kernels import STRIP, add_bfloat16, add_numbers

    rows, columns = np.zeros((2, block.shape[0])), np.zeros((2, block.shape[1]))
    if block.dtype == ml_dtypes.bfloat16:
        scratch = np.empty(STRIP, np.float32)
        patterns = _frozen(block.view(np.uint16))
        add_bfloat16(patterns, (scratch, scratch.view(np.uint32)), tuple(rows), tuple(columns))
    else:
        add_numbers(_frozen(_as_floats(block)), tuple(rows), tuple(columns))
    return rows, columns


def _as_floats(block: np.ndarray) -> np.ndarray:
    """As float32 where that loses nothing, else as float64; complex numbers by their magnitude."""
    if block.dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        return block
    if block.dtype.kind == "c":
        block = np.abs(block)
    return block.astype(np.float32 if block.dtype.itemsize <= 2 else np.float64)


def _frozen(block: np.ndarray) -> np.ndarray:
    """Contiguous, aligned and read-only: the one kind of array that the kernels are compiled for."""
    frozen = np.require(block, requirements=["C", "A"]).view()
    frozen.flags.writeable = False
    return frozen
