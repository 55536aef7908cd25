"""The panorama as a still picture: the same tiles in the same colours as on the screen, with labels and colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from engine.colour_maps import colour_image
from engine.colour_scales import ColourScale
from engine.panorama import Panorama, Tile
from figures.lettering import fitted, text_width, write
from figures.picture_frame import PictureFrame, framed, specials_in
from figures.pictures import coloured_cells
from figures.scale_bar import bar_margin, colour_bar

LARGEST_TILE = (116, 52)
"""(width, height) of an ordinary tile in a picture 1200 wide: as on the screen."""

LEAST_TILE = 14
"""Pixels of a row in a picture 1200 wide."""

LABEL_SIZE = 13
SQUARE = 6
"""Pixels between the lines of a hatched tile, in a picture 1200 wide."""


@dataclass(frozen=True, eq=False)
class Mosaic:
    """What the picture shows.

    Attributes:
        layout: where the tiles lie. grids: the cells of each, or a single number as a grid of one cell; None for a tile
            without anything to draw, which is hatched. scales: of each tile. name: the colour map.
        are_values: whether tiles are single numbers: an undefined one is then hatched, not coloured as NaN.
    """

    layout: Panorama
    grids: Sequence[np.ndarray | None]
    scales: Sequence[ColourScale]
    name: str
    are_values: bool = False

    @property
    def has_one_scale(self) -> bool:
        return len({id(scale) for scale in self.scales}) <= 1


def panorama_picture(mosaic: Mosaic, frame: PictureFrame) -> Image.Image:
    """The whole model with role and layer labels, title, source, and the colour bar where all tiles share one scale.

    Cells are pooled further where a tile has fewer pixels than cells (`engine.pooling`), so that no outlier is lost.

    Args:
        mosaic: what to show; also without a tensor. frame: title, source, size and theme.
    Returns: RGB, frame.width wide.
    """
    plan = _plan(mosaic, frame)
    body = Image.new("RGB", (plan.body_width, plan.body_height), frame.ink.paper)
    for index, tile in enumerate(mosaic.layout.tiles):
        _paste(body, plan.box(tile), mosaic, index, frame)
    draw = ImageDraw.Draw(body)
    _write_rows(draw, mosaic.layout, plan, frame)
    _write_columns(draw, mosaic.layout, plan, frame)
    for caption in mosaic.layout.captions:
        size = LABEL_SIZE * frame.unit * 0.9
        text = fitted(caption.text, size, caption.width * plan.scale_x - 3)
        at = (plan.x(caption.x), plan.y(caption.y + caption.height) - 5 * frame.unit)
        write(draw, at, text, size, fill=frame.ink.faint, anchor="ls")
    shown = [grid[np.isfinite(grid)] for grid in mosaic.grids if grid is not None]
    cells = np.concatenate([own.ravel() for own in shown]) if shown else np.zeros(0)
    bar = None
    if mosaic.has_one_scale and mosaic.scales:
        extremes = (float(cells.min()), float(cells.max())) if cells.size else None
        height = min(plan.body_height - 2 * bar_margin(frame), frame.pixels(320))
        bar = colour_bar(mosaic.scales[0], mosaic.name, max(frame.pixels(60), height), frame, extremes=extremes)
    return framed(body, frame, bar=bar, specials=_specials(mosaic))


def _specials(mosaic: Mosaic) -> tuple[str, ...]:
    """The legend's labels; NaN among single numbers is hatched and needs none."""
    grids = [grid.ravel() for grid in mosaic.grids if grid is not None]
    cells = np.concatenate(grids) if grids else np.zeros(0)
    return specials_in(cells[~np.isnan(cells)] if mosaic.are_values else cells)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Pixels of the body: left of the layers, which begin at `split` units, lies room for the row labels."""

    scale_x: float
    scale_y: float
    split: float
    labels: int
    top: int
    body_width: int
    body_height: int

    def x(self, units: float) -> int:
        return round(units * self.scale_x) + (self.labels if units >= self.split - 1e-6 else 0)

    def y(self, units: float) -> int:
        return self.top + round(units * self.scale_y)

    def box(self, tile: Tile) -> tuple[int, int, int, int]:
        """(left, top, width, height) of a tile, a little apart from its neighbours."""
        left, top = self.x(tile.x), self.y(tile.y)
        right, bottom = left + round(tile.width * self.scale_x), self.y(tile.y + tile.height)
        apart = [0 if extent < 4 else 1 if extent < 16 else 2 for extent in (right - left, bottom - top)]
        return left, top, max(1, right - left - apart[0]), max(1, bottom - top - apart[1])


def _plan(mosaic: Mosaic, frame: PictureFrame) -> _Plan:
    layout, unit = mosaic.layout, frame.unit
    labels = round(max((text_width(row.label, LABEL_SIZE * unit) for row in layout.rows), default=-14) + 14 * unit)
    room = frame.width - 2 * frame.pixels(24) - (frame.pixels(130) if mosaic.has_one_scale else 0) - labels
    scale_x = min(room / max(layout.width, 1e-9), LARGEST_TILE[0] * unit)
    scale_y = min(max(scale_x, LEAST_TILE * 1.6 * unit), LARGEST_TILE[1] * unit)
    if frame.body_height is not None and layout.height:
        scale_y = max(LEAST_TILE * unit, min(scale_y, frame.body_height / layout.height))
    has_stacks = any(column.stack for column in layout.columns)
    top = round((44 if has_stacks else 26) * unit) if layout.columns else frame.pixels(4)
    width = max(1, round(layout.width * scale_x) + labels)
    height = max(1, top + round(layout.height * scale_y))
    return _Plan(scale_x, scale_y, layout.columns[0].x if layout.columns else 0.0, labels, top, width, height)


def _paste(body: Image.Image, box: tuple[int, int, int, int], mosaic: Mosaic, index: int, frame: PictureFrame) -> None:
    left, top, width, height = box
    grid = mosaic.grids[index]
    if grid is None or grid.size == 0 or (mosaic.are_values and np.isnan(grid).all()):
        picture = _hatched(width, height, frame)
    elif mosaic.are_values:
        picture = np.broadcast_to(colour_image(grid[:1, :1], mosaic.scales[index], mosaic.name), (height, width, 3))
    else:
        picture = coloured_cells(grid, mosaic.scales[index], mosaic.name, height, width)
    body.paste(Image.fromarray(np.ascontiguousarray(picture)), (left, top))


def _hatched(width: int, height: int, frame: PictureFrame) -> np.ndarray:
    """Slanted lines on the paper."""
    period = frame.pixels(SQUARE)
    is_line = (np.arange(height)[:, None] + np.arange(width)) % period < max(1, period // 6)
    return np.where(is_line[..., None], np.uint8(frame.ink.faint), np.uint8(frame.ink.line))


def _write_rows(draw: ImageDraw.ImageDraw, layout: Panorama, plan: _Plan, frame: PictureFrame) -> None:
    free = -1.0
    for row in layout.rows:
        is_minor = row.label != row.title
        size = LABEL_SIZE * frame.unit * (0.9 if is_minor else 1.0)
        middle = (plan.y(row.y) + plan.y(row.y + row.height)) / 2
        if middle - size / 2 < free:
            continue
        free = middle + size / 2
        at = (plan.x(plan.split) - 9 * frame.unit, middle)
        write(draw, at, row.label, size, fill=frame.ink.faint if is_minor else frame.ink.text, anchor="rm")


def _write_columns(draw: ImageDraw.ImageDraw, layout: Panorama, plan: _Plan, frame: PictureFrame) -> None:
    if not layout.columns:
        return
    size = LABEL_SIZE * frame.unit
    widest = max(text_width(str(column.layer), size) for column in layout.columns)
    step = next(k for k in _STEPS if k * plan.scale_x >= widest + 6 * frame.unit or k == _STEPS[-1])
    base, stack = plan.top - 8 * frame.unit, ""
    write(draw, (plan.x(plan.split) - 9 * frame.unit, base), "layer", size, fill=frame.ink.faint, anchor="rs")
    for column in layout.columns:
        if column.stack != stack:
            stack = column.stack
            write(draw, (plan.x(column.x), base - 18 * frame.unit), stack, size, fill=frame.ink.text, anchor="ls")
        if column.layer % step == 0:
            middle = plan.x(column.x) + column.width * plan.scale_x / 2
            write(draw, (middle, base), str(column.layer), size, fill=frame.ink.text, anchor="ms")


_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
