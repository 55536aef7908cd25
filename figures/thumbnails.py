"""Small pictures of matrices and of whole models, as PNG bytes."""

from __future__ import annotations

import numpy as np

from engine.colour_maps import png
from engine.colour_scales import signed_scale
from engine.naming import Place
from engine.panorama import Member, Proportions, panorama
from engine.tile_colours import shared_limit
from figures.pictures import coloured_cells

__all__ = ["model_strip", "shared_limit", "tensor_picture"]

TILE = 32
"""Pixels of a tile's side before enlarging: one per cell of a stored thumbnail."""

GAP = 3
SMALL = Proportions(outside=1.0, share=0.0, caption=0.0, role_gap=0.0, block_gap=0.0)
"""On a card there is no room for names, nor for gaps beyond those between tiles."""

MOST_COLUMNS = 80
"""Tiles side by side at most; deeper models show evenly spaced layers, the first and the last among them."""

LEAST_ASPECT = 2
"""Width over height of a strip at least: a shallow model is centred, so that cards on a page stay of like height."""

ENLARGED_WIDTH = 720
"""Pixels a strip is enlarged to at least, by whole factors, so that a page may show it wide and sharp."""


def tensor_picture(
    values: np.ndarray, height: int = 320, *, limit: float | None = None, colour_map: str = "blue-red"
) -> bytes:
    """One pooled tensor as a picture.

    Args:
        values: (h, w) float32, pooled (`engine.heatmaps.thumbnail`). height: of the picture in pixels; its width
            follows the grid's shape, within a quarter and four times the height.
        limit: the magnitude at the end of the (signed) colour map; give one value to pictures that are to be compared.
            None takes the picture's own (`shared_limit`).
        colour_map: its name.
    Returns: PNG, sharp cells; of a tensor without entries, a 1 × 1 picture in the neutral colour.
    """
    values = values if values.size else np.zeros((1, 1), np.float32)
    limit = limit or shared_limit([values])
    width = round(min(max(height * values.shape[1] / values.shape[0], height / 4), height * 4))
    return png(coloured_cells(values, signed_scale(limit), colour_map, height, width))


def model_strip(tiles: list[tuple[Place, np.ndarray]], *, colour_map: str = "blue-red") -> bytes:
    """A whole model in one small picture: the layout of `engine.panorama`, without words.

    All tiles share one colour scale, so a layer with larger weights looks stronger.

    Args:
        tiles: place and thumbnail of each tensor, in file order; at least one. colour_map: a signed one.
    Returns: PNG with a transparent background, for light and dark pages.
    """
    limit = shared_limit(values for _, values in tiles)
    shown = _shown(tiles)
    layout = panorama([Member(f"{k:06}", values.shape, where) for k, (where, values) in enumerate(shown)], SMALL)
    pitch = TILE + GAP
    size = (round(layout.height * pitch) - GAP, round(layout.width * pitch) - GAP, 4)
    picture = np.zeros((max(1, size[0]), max(1, size[1]), 4), np.uint8)
    for tile, (_, values) in zip(layout.tiles, shown, strict=True):
        if values.size:
            top, left = round(tile.y * pitch), round(tile.x * pitch)
            height, width = (_pixels(extent * pitch) for extent in (tile.height, tile.width))
            image = coloured_cells(values, signed_scale(limit), colour_map, height, width)
            picture[top : top + height, left : left + width, :3] = image
            picture[top : top + height, left : left + width, 3] = 255
    spare = max(0, LEAST_ASPECT * picture.shape[0] - picture.shape[1])
    picture = np.pad(picture, ((0, 0), (spare // 2, spare - spare // 2), (0, 0)))
    factor = max(1, -(-ENLARGED_WIDTH // picture.shape[1]))
    return png(picture.repeat(factor, axis=0).repeat(factor, axis=1))


def _pixels(extent: float) -> int:
    """A tile's side without the gap to the next; among many that share a cell, gaps are thin."""
    return max(1, round(extent) - (GAP if extent > 4 * GAP else 1))


def _shown(tiles: list[tuple[Place, np.ndarray]]) -> list[tuple[Place, np.ndarray]]:
    """All tiles; of a very deep model, those of evenly spaced layers."""
    layers = sorted({(where.stack, where.layer) for where, _ in tiles if where.layer is not None})
    kept = set(_evenly(layers, MOST_COLUMNS))
    return [(where, values) for where, values in tiles if where.layer is None or (where.stack, where.layer) in kept]


def _evenly(items: list, most: int) -> list:
    if len(items) <= most:
        return items
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]
