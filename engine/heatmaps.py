"""A window of a tensor as a bounded grid of numbers: what every heatmap, thumbnail and surface is drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.dtypes import memory_bits
from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.pooling import Blocks, Pool, as_float32, pool
from engine.sources.base import Source, TensorInfo

__all__ = [
    "Grid",
    "Viewport",
    "entry_text",
    "exact_value",
    "full_view",
    "largest_entry",
    "pool",
    "read_grid",
    "row_blocks",
    "thumbnail",
]

READ_BYTES = 16 << 20
"""Bytes asked of a source at a time, as stored or as they are in memory, whichever are more; chosen by us, so that no
window, however large, fills the memory."""

WIDE_TYPES = frozenset({"F64", "I64", "U64", "I32", "U32"})
"""Types with more digits than the float32 that colours are made of."""


@dataclass(frozen=True, slots=True)
class Viewport:
    """A window of a tensor seen as a matrix (`engine.folding.matrix_shape`), and how many cells it may become.

    Attributes:
        row_start, row_stop, column_start, column_stop: half-open ranges; parts outside the matrix are cut off.
        max_rows, max_columns: the largest grid wanted, at least 1 each.
    """

    row_start: int
    row_stop: int
    column_start: int
    column_stop: int
    max_rows: int = 512
    max_columns: int = 1024

    def clipped(self, shape: tuple[int, int]) -> Viewport:
        """The part inside a matrix of that shape; at least one row and column where the matrix has any."""
        rows = _clip(self.row_start, self.row_stop, shape[0])
        columns = _clip(self.column_start, self.column_stop, shape[1])
        return Viewport(*rows, *columns, max(1, self.max_rows), max(1, self.max_columns))


@dataclass(frozen=True, eq=False)
class Grid:
    """A window of a tensor as at most a few hundred thousand numbers.

    Attributes:
        values: (h, w) float32; each the entry of largest magnitude of its cell; NaN or ±Inf where the cell holds one.
        row_start, row_stop, column_start, column_stop: the entries covered; of a pooled window, widened to whole cells.
        row_step, column_step: entries per cell; the cells at the lower and right border may cover fewer.
        stored: (h, w) in the stored type where that has more digits than float32 and the grid is exact; None otherwise.
    """

    values: np.ndarray
    row_start: int
    row_stop: int
    column_start: int
    column_stop: int
    row_step: int
    column_step: int
    stored: np.ndarray | None = None

    @property
    def is_exact(self) -> bool:
        """Whether every cell is one entry."""
        return self.row_step == self.column_step == 1

    @property
    def row_edges(self) -> np.ndarray:
        """(h + 1,) int64: cell i covers rows row_edges[i] … row_edges[i + 1] − 1."""
        return _edges(self.row_start, self.row_stop, self.row_step)

    @property
    def column_edges(self) -> np.ndarray:
        """(w + 1,) int64: cell j covers columns column_edges[j] … column_edges[j + 1] − 1."""
        return _edges(self.column_start, self.column_stop, self.column_step)

    @property
    def num_nan(self) -> int:
        """Cells that hold at least one NaN."""
        return int(np.isnan(self.values).sum())

    @property
    def num_inf(self) -> int:
        """Cells that hold an infinity and no NaN."""
        return int(np.isinf(self.values).sum())


def full_view(info: TensorInfo, max_rows: int = 512, max_columns: int = 1024) -> Viewport:
    """The whole tensor."""
    rows, columns = matrix_shape(info.shape)
    return Viewport(0, rows, 0, columns, max_rows, max_columns)


def read_grid(source: Source, info: TensorInfo, viewport: Viewport) -> Grid:
    """The window as a grid: every entry where it fits, else the signed extreme of equal cells (`engine.pooling`).

    Cells begin at multiples of their size, so that a window which is dragged shows the same cells, only shifted.
    Reads only the wanted rows, in pieces of at most `READ_BYTES`; of a vector, only the wanted entries.

    Args:
        source, info: the tensor. viewport: the window; it is clipped to the tensor.
    Returns: at most max_rows × max_columns cells; 0 × 0, 0 × n or n × 0 for a tensor without entries.
    """
    view = viewport.clipped(matrix_shape(info.shape))
    rows = _aligned(view.row_start, view.row_stop, view.max_rows, matrix_shape(info.shape)[0])
    columns = _aligned(view.column_start, view.column_stop, view.max_columns, matrix_shape(info.shape)[1])
    blocks = Blocks(rows[1] - rows[0], columns[1] - columns[0], rows[2], columns[2])
    stored = None
    if blocks.num_rows == 0 or blocks.num_columns == 0:
        values = np.zeros(blocks.shape, np.float32)
    elif blocks.row_step == blocks.column_step == 1:
        window = _window(source, info, rows[:2], columns[:2])
        values = as_float32(window)
        stored = np.array(window) if info.dtype in WIDE_TYPES else None
    else:
        values = _pooled(source, info, blocks, rows[0], columns[0])
    return Grid(values, rows[0], rows[1], columns[0], columns[1], blocks.row_step, blocks.column_step, stored)


def thumbnail(source: Source, info: TensorInfo, size: int = 32) -> np.ndarray:
    """The whole tensor in at most size × size cells of the signed extreme; float32.

    A tensor without entries gives an array with a zero dimension.
    """
    return read_grid(source, info, full_view(info, size, size)).values


def exact_value(source: Source, info: TensorInfo, row: int, column: int) -> np.generic:
    """The entry at (row, column) as stored: a numpy scalar of the stored type.

    Raises: MeasureError if the tensor, seen as a matrix, has no such entry.
    """
    rows, columns = matrix_shape(info.shape)
    if not (0 <= row < rows and 0 <= column < columns):
        raise MeasureError(
            f"Tensor {info.name!r} has no entry ({row}, {column}); it is {rows} × {columns}.",
            "Rows and columns count from 0.",
        )
    return _window(source, info, (row, row + 1), (column, column + 1))[0, 0]


def entry_text(value: np.generic) -> str:
    """The shortest text that reads back as exactly this entry; types below 32 bits are spelled as float32.

    "NaN", "+Inf" and "-Inf" for what is no number.
    """
    if value.dtype.kind in "iubc":
        return str(value)
    number = value if value.dtype.itemsize >= 4 else np.float32(value)
    if np.isfinite(number):
        return str(number)
    return "NaN" if np.isnan(number) else ("+Inf" if number > 0 else "-Inf")


def largest_entry(source: Source, info: TensorInfo, viewport: Viewport) -> tuple[int, int]:
    """Where the window's signed extreme lies: (row, column), the first in storage order; NaN before ±Inf before others.

    Raises: MeasureError if the window has no entries.
    """
    view = viewport.clipped(matrix_shape(info.shape))
    best, place = -1.0, None
    columns = (view.column_start, view.column_stop)
    for row, column, block in row_blocks(source, info, (view.row_start, view.row_stop), columns):
        rank = _rank(as_float32(block))
        index = int(np.argmax(rank)) if rank.size else -1
        if index >= 0 and rank.flat[index] > best:
            best, place = rank.flat[index], (row + index // rank.shape[1], column + index % rank.shape[1])
    if place is None:
        raise MeasureError(f"Tensor {info.name!r} has no entries in that window.", "Choose a window inside the tensor.")
    return place


def _rank(values: np.ndarray) -> np.ndarray:
    """Float64 ranks in the order of pooling: magnitude, + before − at a tie, Inf and NaN on top."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits << np.uint32(1)) | (bits >> np.uint32(31)) ^ np.uint32(1)).astype(np.float64)


def _pooled(source: Source, info: TensorInfo, blocks: Blocks, row_start: int, column_start: int) -> np.ndarray:
    pooled = None
    rows, columns = (row_start, row_start + blocks.num_rows), (column_start, column_start + blocks.num_columns)
    for row, column, block in row_blocks(source, info, rows, columns):
        pooled = pooled or Pool(blocks, block.dtype)
        pooled.add(block, row - row_start, column - column_start)
    return pooled.values()


def _window(source: Source, info: TensorInfo, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """All entries of a (small) window, in the stored type; it may be a part of the mapped file."""
    blocks = [block for _, _, block in row_blocks(source, info, rows, columns)]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1 if len(info.shape) == 1 else 0)


def row_blocks(
    source: Source, info: TensorInfo, rows: tuple[int, int], columns: tuple[int, int]
) -> Iterator[tuple[int, int, np.ndarray]]:
    """(first row, first column, 2-D block) over a window, each read no larger than `READ_BYTES` where rows allow it."""
    if len(info.shape) == 0:
        yield 0, 0, np.asarray(source.read(info.name)).reshape(1, 1)
        return
    along = columns if len(info.shape) == 1 else rows
    in_memory = info.num_elements * memory_bits(info.dtype) // 8
    num_bytes = max(info.num_bytes, in_memory) // max(1, info.shape[0])
    step = max(1, READ_BYTES // max(1, num_bytes))
    for start in range(along[0], along[1], step):
        block = source.read_rows(info.name, start, min(along[1], start + step))
        if len(info.shape) == 1:
            yield 0, start, block.reshape(1, -1)
        else:
            yield start, columns[0], block.reshape(block.shape[0], -1)[:, columns[0] : columns[1]]


def _aligned(start: int, stop: int, most: int, length: int) -> tuple[int, int, int]:
    """(start, stop, step) of at most `most` cells that begin at multiples of the step and cover start … stop."""
    step = max(1, -(-(stop - start) // most))
    while -(-stop // step) - start // step > most:
        step += 1
    return start // step * step, min(length, -(-stop // step) * step), step


def _edges(start: int, stop: int, step: int) -> np.ndarray:
    return np.append(np.arange(start, stop, step, dtype=np.int64), np.int64(stop))


def _clip(start: int, stop: int, length: int) -> tuple[int, int]:
    if length == 0:
        return 0, 0
    start = min(max(0, start), length - 1)
    return start, min(max(start + 1, stop), length)
