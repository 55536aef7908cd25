"""Colours for many small pictures at once: one scale for all, one for each group, or one for each picture.

A tile is a pooled tensor (`engine.heatmaps.thumbnail`), or a single number as a grid of one cell.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from engine.colour_limits import ColourLimits, value_limits
from engine.colour_scales import ColourScale, Kind, linear_scale, rank_scale, signed_scale, symmetric_log_scale
from engine.pooling import pool

LIMIT_PERCENT = 98.0
"""Percentile of the cells' magnitudes that takes the end colour of a shared scale; chosen by us."""

NAN_NUMBER, POSINF_NUMBER, NEGINF_NUMBER = 256, 257, 258
"""Beyond the 256 colours of a map: what is no number."""

MOST_CELLS = 1 << 20
"""Cells of all tiles together that a browser is sent: 2 MiB; ours: well under the 5 MB that arrive swiftly."""

LEAST_SIDE = 4
"""Cells along the side of a tile that bounding leaves."""


def shared_limit(grids: Iterable[np.ndarray]) -> float:
    """One colour limit for several pictures: the 98th percentile of all finite magnitudes; 1 for only zeros."""
    magnitudes = np.abs(_finite(grids))
    if magnitudes.size == 0:
        return 1.0
    return float(np.percentile(magnitudes, LIMIT_PERCENT)) or float(magnitudes.max()) or 1.0


def picture_scale(grids: Iterable[np.ndarray], kind: Kind) -> ColourScale:
    """A signed scale for pictures of weights, zero in the middle, even where no weight is negative.

    So a norm whose weights all lie near one is evenly strong, beside matrices that have both signs.
    """
    grids = list(grids)
    if kind == "rank":
        cells = _finite(grids)
        return rank_scale(np.concatenate([cells, -cells]))
    limit = shared_limit(grids)
    return signed_scale(limit) if kind == "linear" else symmetric_log_scale(ColourLimits(-limit, limit, True))


def value_scale(values: Iterable[np.ndarray], kind: Kind) -> ColourScale:
    """A scale for single numbers: signed where one is negative, else from low to high.

    The upper end is the 98th percentile, so that one extreme tensor does not grey out the rest.
    """
    numbers = _finite(values)
    if kind == "rank":
        return rank_scale(numbers)
    limits = value_limits(numbers, LIMIT_PERCENT)
    return linear_scale(limits) if kind == "linear" else symmetric_log_scale(limits)


def group_scales(
    grids: Sequence[np.ndarray | None], groups: Sequence[Hashable], kind: Kind, *, are_values: bool
) -> list[ColourScale]:
    """The scale of each tile; tiles of one group share theirs (the same object).

    Args:
        grids: pooled tensors, or single numbers if `are_values`; None for a tile without a picture.
        groups: one for each tile. kind: as in `engine.colour_scales.SCALES`.
    """
    make = value_scale if are_values else picture_scale
    members: dict[Hashable, list[np.ndarray]] = {}
    for grid, group in zip(grids, groups, strict=True):
        members.setdefault(group, []).extend([] if grid is None else [grid])
    scales = {group: make(own, kind) for group, own in members.items()}
    return [scales[group] for group in groups]


def cell_numbers(values: np.ndarray, scale: ColourScale) -> np.ndarray:
    """uint16, the shape of `values`: the colour's number, or one of the three for NaN, +Inf and −Inf."""
    numbers = scale.colour_numbers(values).astype(np.uint16)
    numbers[np.isnan(values)] = NAN_NUMBER
    numbers[np.isposinf(values)] = POSINF_NUMBER
    numbers[np.isneginf(values)] = NEGINF_NUMBER
    return numbers


def bounded(grids: Sequence[np.ndarray | None], most: int = MOST_CELLS) -> list[np.ndarray | None]:
    """The same pictures in at most about `most` cells together: all are pooled to one smaller side where they are more.

    No outlier is lost (`engine.pooling`); no side shrinks below `LEAST_SIDE` cells.
    """
    side = max((max(grid.shape) for grid in grids if grid is not None and grid.size), default=1)
    while side > LEAST_SIDE and _num_cells(grids, side) > most:
        side = max(LEAST_SIDE, side // 2)
    return [grid if grid is None or not grid.size else pool(grid, side, side) for grid in grids]


def _num_cells(grids: Sequence[np.ndarray | None], side: int) -> int:
    return sum(min(side, grid.shape[0]) * min(side, grid.shape[1]) for grid in grids if grid is not None)


def _finite(grids: Iterable[np.ndarray]) -> np.ndarray:
    cells = [np.asarray(grid, np.float64)[np.isfinite(grid)].ravel() for grid in grids]
    return np.concatenate(cells) if cells else np.zeros(0)
