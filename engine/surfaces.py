"""A window of a tensor as a landscape: a bounded grid of numbers, and how high each of them stands."""

from __future__ import annotations

import math

import numpy as np

from engine.colour_limits import value_limits
from engine.colour_scales import ColourScale, Kind, linear_scale, rank_scale, symmetric_log_scale
from engine.heatmaps import Grid, Viewport
from engine.pooling import Blocks, Pool

LONGEST_AXIS = 2048
"""Cells along one axis at most: what every WebGL2 device takes as a texture. Source: WebGL 2.0, MAX_TEXTURE_SIZE."""

INFINITE_HEIGHT = 1.12
"""Where ±Inf stands: above every finite number, whose height is at most 1; chosen by us."""

SLIMMEST = 0.3
SLIMMEST_LINE = 0.05
"""Least ratio of the ground's sides, of a matrix and of a single row or column, however long the tensor; ours."""


def surface_window(window: Viewport, shape: tuple[int, int], detail: int) -> Viewport:
    """How finely to read a window, so that it becomes at most detail² cells.

    An axis with fewer than `detail` entries leaves the rest of the cells to the other one.

    Args:
        window: what is to be seen; its own cell counts do not matter. shape: of the matrix. detail: at least 1.
    Returns: the window, clipped to the matrix, with at most `LONGEST_AXIS` cells an axis.
    """
    view = window.clipped(shape)
    rows, columns = view.row_stop - view.row_start, view.column_stop - view.column_start
    most_rows = detail * detail // max(1, min(columns, detail))
    most_columns = detail * detail // max(1, min(rows, detail))
    most_rows, most_columns = min(most_rows, LONGEST_AXIS), min(most_columns, LONGEST_AXIS)
    return Viewport(view.row_start, view.row_stop, view.column_start, view.column_stop, most_rows, most_columns)


def height_scale(values: np.ndarray, kind: Kind) -> ColourScale:
    """How numbers become heights: over the full range of what is shown, so that the largest outlier stands highest.

    Colour limits cut the tails off; heights must not. Ranks are those among the cells themselves.

    Args:
        values: the cells, any shape; NaN and ±Inf are passed over. kind: one of `engine.colour_scales.SCALES`.
    Returns: a scale whose ends are the full range: symmetric about zero with any negative cell, from zero otherwise, or
        from the smallest cell where all lie far from zero; [−1, 1] where there is no finite cell or only zeros.
    """
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if kind == "rank":
        return rank_scale(finite)
    limits = value_limits(finite, percent=None)
    return linear_scale(limits) if kind == "linear" else symmetric_log_scale(limits)


def heights(values: np.ndarray, scale: ColourScale) -> np.ndarray:
    """How high each number stands.

    Args:
        values: any shape. scale: from `height_scale`.
    Returns: float32 of that shape: −1 … 1 with zero at 0 on a signed scale, 0 … 1 otherwise; ±`INFINITE_HEIGHT` for
        ±Inf (0 … 1 for −Inf on an unsigned scale begins below: −`INFINITE_HEIGHT` all the same); NaN stays NaN.
    """
    numbers = np.asarray(values, np.float64)
    positions = scale.positions(numbers)
    found = 2.0 * positions - 1.0 if scale.limits.is_signed else positions
    return np.where(np.isinf(numbers), np.copysign(INFINITE_HEIGHT, numbers), found).astype(np.float32)


def ground(grid: Grid) -> tuple[float, float]:
    """Half the width and half the depth to draw a grid on: the longer one is 1, the other follows the entries covered.

    A long tensor would be a thread; so the shorter side has at least 0.3 of the longer, or 0.05 for a single line.
    """
    rows, columns = grid.row_stop - grid.row_start, grid.column_stop - grid.column_start
    if rows == 0 or columns == 0:
        return 1.0, 1.0
    slimmest = SLIMMEST_LINE if 1 in grid.values.shape and rows != columns else SLIMMEST
    if columns >= rows:
        return 1.0, max(slimmest, rows / columns)
    return max(slimmest, columns / rows), 1.0


def coarser(grid: Grid, most_cells: int) -> Grid:
    """The grid with at most `most_cells` cells (at least 1): whole numbers of cells become their signed extreme.

    The same rule as everywhere (`engine.pooling`): an outlier of the fine grid is one of the coarse grid.
    """
    rows, columns = grid.values.shape
    down, across = 1, 1
    while math.ceil(rows / down) * math.ceil(columns / across) > most_cells:
        if math.ceil(rows / down) >= math.ceil(columns / across):
            down *= 2
        else:
            across *= 2
    if down == across == 1:
        return grid
    pooled = Pool(Blocks(rows, columns, down, across), grid.values.dtype)
    pooled.add(grid.values, 0, 0)
    ranges = grid.row_start, grid.row_stop, grid.column_start, grid.column_stop
    return Grid(pooled.values(), *ranges, grid.row_step * down, grid.column_step * across)
