"""Small pictures of matrices and of whole models, as PNG bytes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from engine.colour_maps import colour_image, png
from engine.colour_scales import signed_scale
from engine.naming import ROLES, Place

TILE = 32
"""Pixels of a tile's side before enlarging: one per cell of a stored thumbnail."""

GAP = 3
LIMIT_PERCENT = 98.0
"""Percentile of the cells' magnitudes that takes the end colour of a shared scale; chosen by us."""

MOST_COLUMNS = 80
"""Tiles side by side at most; deeper models show evenly spaced layers, the first and the last among them."""

WIDEST_FREE_GRID = 12
LEAST_ASPECT = 2
"""Width over height of a strip at least: a shallow model is centred, so that cards on a page stay of like height."""

ENLARGED_WIDTH = 720
"""Pixels a strip is enlarged to at least, by whole factors, so that a page may show it wide and sharp."""


def shared_limit(thumbnails: Iterable[np.ndarray]) -> float:
    """One colour limit for several pictures: the 98th percentile of all finite magnitudes; 1 for only zeros."""
    cells = [np.abs(values[np.isfinite(values)]).ravel() for values in thumbnails]
    magnitudes = np.concatenate(cells) if cells else np.zeros(0)
    if magnitudes.size == 0:
        return 1.0
    return float(np.percentile(magnitudes, LIMIT_PERCENT)) or float(magnitudes.max()) or 1.0


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
    return png(_enlarged(colour_image(values, signed_scale(limit), colour_map), height, width))


def model_strip(tiles: list[tuple[Place, np.ndarray]], *, colour_map: str = "blue-red") -> bytes:
    """A whole model in one picture: a tile for each tensor, layers from left to right, roles from top to bottom.

    What lies outside the layers stands left of them (embeddings) or right (final norm, head). All tiles share one
    colour scale, so a layer with larger weights looks stronger. A model without layers is a plain grid in file order.

    Args:
        tiles: place and thumbnail of each tensor, in file order; at least one. colour_map: a signed one.
    Returns: PNG with a transparent background, for light and dark pages.
    """
    limit = shared_limit(values for _, values in tiles)
    cells = _grid_places([place for place, _ in tiles])
    num_rows = 1 + max(row for row, _ in cells.values())
    num_columns = 1 + max(column for _, column in cells.values())
    picture = np.zeros((num_rows * (TILE + GAP) - GAP, num_columns * (TILE + GAP) - GAP, 4), np.uint8)
    for index, (row, column) in cells.items():
        values = tiles[index][1]
        if values.size:
            top, left = row * (TILE + GAP), column * (TILE + GAP)
            image = _enlarged(colour_image(values, signed_scale(limit), colour_map), TILE, TILE)
            picture[top : top + TILE, left : left + TILE, :3] = image
            picture[top : top + TILE, left : left + TILE, 3] = 255
    spare = max(0, LEAST_ASPECT * picture.shape[0] - picture.shape[1])
    picture = np.pad(picture, ((0, 0), (spare // 2, spare - spare // 2), (0, 0)))
    factor = max(1, -(-ENLARGED_WIDTH // picture.shape[1]))
    return png(picture.repeat(factor, axis=0).repeat(factor, axis=1))


def _grid_places(places: list[Place]) -> dict[int, tuple[int, int]]:
    """Index of a tile -> (row, column) of the strip."""
    inside = [(index, place) for index, place in enumerate(places) if place.layer is not None]
    outside = [(index, place) for index, place in enumerate(places) if place.layer is None]
    if not inside:
        width = min(WIDEST_FREE_GRID, max(1, round((len(places) * 2.4) ** 0.5)))
        return {index: divmod(index, width) for index in range(len(places))}
    layers = _evenly(sorted({(place.stack, place.layer) for _, place in inside}), MOST_COLUMNS)
    column_of = {layer: column for column, layer in enumerate(layers)}
    rows, row_keys = _rows(inside)
    before = [index for index, place in outside if place.role.endswith("embedding")]
    after = [index for index, place in outside if not place.role.endswith("embedding")]
    first = -(-len(before) // len(row_keys))
    cells = {index: (k % len(row_keys), k // len(row_keys)) for k, index in enumerate(before)}
    for index, place in inside:
        if (place.stack, place.layer) in column_of:
            cells[index] = (row_keys.index(rows[index]), first + column_of[place.stack, place.layer])
    for k, index in enumerate(after):
        cells[index] = (k % len(row_keys), first + len(layers) + k // len(row_keys))
    return cells


def _rows(inside: list[tuple[int, Place]]) -> tuple[dict[int, tuple], list[tuple]]:
    """Each tile's row key (rank of its role, role, how many came before in its layer), and all keys, sorted."""
    seen: dict[tuple, int] = {}
    keys = {}
    for index, place in inside:
        where = (place.stack, place.layer, place.role)
        rank = ROLES.index(place.role) if place.role in ROLES else len(ROLES)
        keys[index] = (rank, place.role, seen.get(where, 0))
        seen[where] = seen.get(where, 0) + 1
    return keys, sorted(set(keys.values()))


def _evenly(items: list, most: int) -> list:
    if len(items) <= most:
        return items
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]


def _enlarged(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Nearest-neighbour resizing: each pixel takes the cell at its centre, so cells stay sharp."""
    rows = ((np.arange(height) + 0.5) * image.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * image.shape[1] / width).astype(np.int64)
    return image[rows][:, columns]
