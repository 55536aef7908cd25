"""Exact statistics of a rectangle of a tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.heatmaps import Viewport, row_blocks
from engine.measures.distribution import distribution
from engine.measures.results import Distribution
from engine.sources.base import Source, TensorInfo


@dataclass(frozen=True, eq=False)
class Region:
    """What a rectangle of a tensor holds.

    Attributes:
        window: the rectangle, cut to the tensor.
        distribution: of its entries, exact.
        minimum_at, maximum_at: (row, column) of the first entry, in storage order, with the smallest and the largest
            finite value; None without a finite entry.
    """

    window: Viewport
    distribution: Distribution
    minimum_at: tuple[int, int] | None
    maximum_at: tuple[int, int] | None

    def share_of_energy(self, tensor_norm: float) -> float:
        """Σx² of the rectangle over that of the whole tensor: 0 … 1; NaN if the tensor's L2 norm is 0."""
        return (self.distribution.l2 / tensor_norm) ** 2 if tensor_norm > 0 else float("nan")


def region(source: Source, info: TensorInfo, window: Viewport, *, threads: int | None = None) -> Region:
    """Measure a rectangle: `engine.measures.distribution` over it, and where its extremes are.

    Only the rectangle's rows are read; of a memory-mapped tensor nothing is copied but small pieces.

    Args:
        source, info: the tensor, seen as a matrix. window: half open, cut to the tensor. threads: as in `distribution`.
    Raises: MeasureError if the tensor has no entries, or entries without an order (complex numbers).
    """
    rows, columns = matrix_shape(info.shape)
    if rows == 0 or columns == 0:
        raise MeasureError(f"Tensor {info.name!r} has no entries to select.", "Choose another tensor.")
    window = window.clipped((rows, columns))
    entries = _entries(source, info, window)
    found = distribution(entries, threads=threads)
    places = _first_places(source, info, window, (found.minimum, found.maximum)) if found.num_finite else (None, None)
    return Region(window, found, *places)


def _entries(source: Source, info: TensorInfo, window: Viewport) -> np.ndarray:
    """The rectangle as an array: a view where the source gives one."""
    if len(info.shape) == 0:
        return source.read(info.name).reshape(1, 1)
    if len(info.shape) == 1:
        return source.read_rows(info.name, window.column_start, window.column_stop).reshape(1, -1)
    block = source.read_rows(info.name, window.row_start, window.row_stop)
    return block.reshape(block.shape[0], -1)[:, window.column_start : window.column_stop]


def _first_places(
    source: Source, info: TensorInfo, window: Viewport, values: tuple[float, ...]
) -> tuple[tuple[int, int] | None, ...]:
    """Where each value first occurs among the rectangle's entries taken as float64."""
    places: list[tuple[int, int] | None] = [None] * len(values)
    rows, columns = (window.row_start, window.row_stop), (window.column_start, window.column_stop)
    for row, column, block in row_blocks(source, info, rows, columns):
        numbers = block.astype(np.float64)
        for k, value in enumerate(values):
            if places[k] is None and (hits := numbers == value).any():
                index = int(np.argmax(hits))
                places[k] = (row + index // block.shape[1], column + index % block.shape[1])
        if None not in places:
            break
    return tuple(places)
