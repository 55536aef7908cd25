"""Still pictures to keep: a heatmap with its axes, colour bar, title and source, drawn by Pillow.

The cells have exactly the colours of the screen (`engine.colour_maps.colour_image`). The parts are for other pictures
too: `coloured_cells` and `tiles` make a body, `colour_bar` its scale, and `framed` puts title, source and legend around
any of them. The same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from engine.colour_maps import colour_image
from engine.colour_scales import ColourScale
from engine.heatmaps import Grid
from engine.pooling import pool
from figures.lettering import fitted, grouped, text_width, ticks, write
from figures.picture_frame import (
    DARK,
    LEAST_WIDTH,
    LIGHT,
    MOST_WIDTH,
    WIDTHS,
    Ink,
    PictureFrame,
    framed,
    png_bytes,
    specials_in,
    webp_bytes,
)
from figures.scale_bar import bar_margin, bar_ticks, colour_bar

__all__ = [
    "DARK",
    "LEAST_WIDTH",
    "LIGHT",
    "MOST_WIDTH",
    "WIDTHS",
    "Axes",
    "Ink",
    "PictureFrame",
    "bar_margin",
    "bar_ticks",
    "colour_bar",
    "coloured_cells",
    "framed",
    "heatmap_picture",
    "plot_size",
    "png_bytes",
    "specials_in",
    "tiles",
    "webp_bytes",
]

HEIGHT_SHARE = 0.7
"""Of the width: the most a body is high where nobody says; ours: a square matrix then fills most of the page."""

LARGEST_CELL = 96
LEAST_SHARE = 0.5
"""As on the canvas: a vector is a stripe; cells are square where the matrix then fills half of the room each way."""


WHOLE_SHARE = 0.7
"""Of the pixels there are, that a plot must keep for its cells to become even; ours."""


@dataclass(frozen=True, eq=False)
class Axes:
    """What the numbers along a heatmap's axes are, where they are not the places themselves.

    Attributes:
        rows, columns: (n,) int64, the number of the line at each place of the whole matrix; None for the place.
    """

    rows: np.ndarray | None = None
    columns: np.ndarray | None = None


def heatmap_picture(
    grid: Grid,
    scale: ColourScale,
    name: str,
    frame: PictureFrame,
    *,
    axes: Axes | None = None,
    whole: np.ndarray | None = None,
) -> Image.Image:
    """A grid as a picture with row and column numbers, colour bar, title, source, and a legend of NaN and ±Inf.

    Every cell of the grid is there: where it has more cells than the plot has pixels (`plot_size`), cells are pooled
    further by the same rule, so that no outlier is lost; else each becomes one or more pixels of exactly its colour.

    Args:
        grid: also an empty one. scale, name: which number gets which colour, and the colour map. frame: see there.
        axes: for a matrix whose lines were sorted. whole: all numbers that the bar and the legend speak of, so that
            frames of an animation have one layout; None for the grid's own.
    Returns: RGB, frame.width wide.
    """
    told = grid.values if whole is None else whole
    finite = told[np.isfinite(told)]
    extremes = (float(finite.min()), float(finite.max())) if finite.size else None
    body, plot_height = _heatmap_body(grid, scale, name, frame, axes or Axes())
    bar = colour_bar(scale, name, max(plot_height, frame.pixels(60)), frame, extremes=extremes)
    return framed(body, frame, bar=bar, specials=specials_in(told))


def plot_size(num_rows: int, num_columns: int, frame: PictureFrame) -> tuple[int, int]:
    """(height, width) in pixels of the plot of a window with so many entries: how fine a grid the picture can show."""
    room_height, room_width = _room(frame)
    side = min(room_width / max(1, num_columns), room_height / max(1, num_rows))
    fills = (num_columns * side >= LEAST_SHARE * room_width, num_rows * side >= LEAST_SHARE * room_height)

    def extent(count: int, room: int) -> int:
        pixels = min(count * side if all(fills) else room, count * LARGEST_CELL * frame.unit, room)
        return max(1, _even(int(pixels), count))

    return extent(num_rows, room_height), extent(num_columns, room_width)


def coloured_cells(values: np.ndarray, scale: ColourScale, name: str, height: int, width: int) -> np.ndarray:
    """Cells as colours at a size in pixels: (height, width, 3) uint8, each pixel the cell at its centre.

    Cells beyond one a pixel are pooled first (`engine.pooling`).
    """
    values = pool(values, height, width)
    rows = ((np.arange(height) + 0.5) * values.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * values.shape[1] / width).astype(np.int64)
    return colour_image(values, scale, name)[rows][:, columns]


def tiles(
    pictures: Sequence[np.ndarray], captions: Sequence[str], num_columns: int, frame: PictureFrame
) -> Image.Image:
    """Pictures of one size in a grid, each with a caption above it, as a body for `framed`.

    Args:
        pictures: (h, w, 3) uint8, all of one shape; at least one. captions: as many; "" for none.
        num_columns: side by side; the rows fill from left to right.
    """
    unit, ink, gap = frame.unit, frame.ink, frame.pixels(10)
    height, width = pictures[0].shape[:2]
    line = frame.pixels(20) if any(captions) else 0
    num_rows = -(-len(pictures) // num_columns)
    size = (num_columns * (width + gap) - gap, num_rows * (height + line + gap) - gap)
    body = Image.new("RGB", size, ink.paper)
    draw = ImageDraw.Draw(body)
    for k, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = k % num_columns * (width + gap), k // num_columns * (height + line + gap)
        body.paste(Image.fromarray(picture), (left, top + line))
        write(draw, (left, top), fitted(caption, 13 * unit, width), 13 * unit, fill=ink.faint, anchor="la")
    return body


def _room(frame: PictureFrame) -> tuple[int, int]:
    """Most (height, width) of a plot: what margins, row numbers and colour bar leave."""
    beside = 2 * frame.pixels(24) + frame.pixels(84) + frame.pixels(16) + frame.pixels(118)
    height = frame.body_height or round(HEIGHT_SHARE * frame.width)
    return max(1, height - bar_margin(frame) - _bottom_margin(frame)), max(1, frame.width - beside)


def _plot_of(grid: Grid, frame: PictureFrame) -> tuple[int, int]:
    """The plot's (height, width): of its entries, and no smaller than its cells where there is room for them."""
    wanted = plot_size(grid.row_stop - grid.row_start, grid.column_stop - grid.column_start, frame)
    sides = zip(wanted, grid.values.shape, _room(frame), strict=True)
    height, width = (_even(max(pixels, cells), cells) if cells <= most else pixels for pixels, cells, most in sides)
    return height, width


def _even(pixels: int, cells: int) -> int:
    """Fewer pixels where all cells then have equally many: uneven ones look like a pattern that the weights lack."""
    whole = pixels // max(1, cells) * cells
    return whole if whole >= WHOLE_SHARE * pixels else pixels


def _left_margin(frame: PictureFrame, row_stop: int) -> int:
    return round(text_width(grouped(row_stop), 14 * frame.unit) + 14 * frame.unit)


def _bottom_margin(frame: PictureFrame) -> int:
    return frame.pixels(28)


def _heatmap_body(
    grid: Grid, scale: ColourScale, name: str, frame: PictureFrame, axes: Axes
) -> tuple[Image.Image, int]:
    """The plot with its numbers, and the plot's height; "no entries" where there is nothing to draw."""
    unit, ink = frame.unit, frame.ink
    num_rows, num_columns = grid.row_stop - grid.row_start, grid.column_stop - grid.column_start
    if grid.values.size == 0:
        body = Image.new("RGB", (frame.pixels(480), frame.pixels(100)), ink.paper)
        middle = (body.width / 2, body.height / 2)
        write(ImageDraw.Draw(body), middle, "no entries", 15 * unit, fill=ink.faint, anchor="mm")
        return body, body.height - 2 * bar_margin(frame)
    height, width = _plot_of(grid, frame)
    left, top = _left_margin(frame, grid.row_stop), bar_margin(frame)
    spare = frame.pixels(8)  # half a column number beyond the last cell
    body = Image.new("RGB", (left + width + spare, top + height + _bottom_margin(frame)), ink.paper)
    body.paste(Image.fromarray(coloured_cells(grid.values, scale, name, height, width)), (left, top))
    draw = ImageDraw.Draw(body)
    for row in ticks(grid.row_start, grid.row_stop, height, 38 * unit):
        at = top + (row + 0.5 - grid.row_start) / num_rows * height
        draw.line([(left - 6 * unit, at), (left - 2 * unit, at)], fill=ink.faint, width=frame.pixels(1))
        write(draw, (left - 10 * unit, at), _number(axes.rows, row), 14 * unit, fill=ink.text, anchor="rm")
    for column in ticks(grid.column_start, grid.column_stop, width, 74 * unit):
        at = left + (column + 0.5 - grid.column_start) / num_columns * width
        below = top + height
        draw.line([(at, below + 2 * unit), (at, below + 6 * unit)], fill=ink.faint, width=frame.pixels(1))
        write(draw, (at, below + 9 * unit), _number(axes.columns, column), 14 * unit, fill=ink.text, anchor="mt")
    return body, height


def _number(numbers: np.ndarray | None, place: int) -> str:
    return grouped(place if numbers is None else int(numbers[place]))
