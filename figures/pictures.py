"""Still pictures to keep: a heatmap with its axes, colour bar, title and source, drawn by Pillow.

The cells have exactly the colours of the screen (`engine.colour_maps.colour_image`). The parts are for other pictures
too: `coloured_cells` and `tiles` make a body, `colour_bar` its scale, and `framed` puts title, source and legend around
any of them. The same input gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from engine.colour_maps import NAN_COLOUR, NEGINF_COLOUR, POSINF_COLOUR, colour_image
from engine.colour_scales import ColourScale
from engine.errors import WeightscopeError
from engine.heatmaps import Grid
from engine.pooling import pool
from figures.lettering import fitted, grouped, short_number, text_width, ticks, write

WIDTHS = (1200, 2400, 4096)
"""Pixels on offer: a slide, a dense screen, print."""

LEAST_WIDTH, MOST_WIDTH = 320, 8192
LEAST_UNIT = 0.75
"""Letters shrink no further: eleven pixels, which can still be read."""

HEIGHT_SHARE = 0.7
"""Of the width: the most a body is high where nobody says; ours: a square matrix then fills most of the page."""

LARGEST_CELL = 96
LEAST_SHARE = 0.5
"""As on the canvas: a vector is a stripe; cells are square where the matrix then fills half of the room each way."""

SPECIALS = (("NaN", NAN_COLOUR), ("+Inf", POSINF_COLOUR), ("−Inf", NEGINF_COLOUR))


@dataclass(frozen=True, slots=True)
class Ink:
    """Colours of paper and letters: those of the app's themes."""

    paper: tuple[int, int, int]
    text: tuple[int, int, int]
    faint: tuple[int, int, int]
    line: tuple[int, int, int]


LIGHT = Ink((255, 255, 255), (28, 39, 51), (99, 112, 125), (217, 224, 230))
DARK = Ink((15, 20, 26), (226, 232, 238), (147, 158, 169), (48, 58, 69))


@dataclass(frozen=True, slots=True)
class PictureFrame:
    """What stands around a picture, and how large it is.

    Attributes:
        title: the line above; "" for none. subtitle: smaller, under the title.
        source: the line at the foot that says where the numbers come from; "" for none.
        width: of the whole picture in pixels. Letters and margins grow with it: 2400 is 1200 twice as dense.
        body_height: the most pixels for the body; None for `HEIGHT_SHARE` of the width.
        is_dark: light letters on a dark page.
    Raises: WeightscopeError for a width outside `LEAST_WIDTH` … `MOST_WIDTH`.
    """

    title: str = ""
    subtitle: str = ""
    source: str = ""
    width: int = WIDTHS[0]
    body_height: int | None = None
    is_dark: bool = False

    def __post_init__(self) -> None:
        if not LEAST_WIDTH <= self.width <= MOST_WIDTH:
            raise WeightscopeError(
                f"A picture cannot be {self.width} pixels wide.", f"Choose between {LEAST_WIDTH} and {MOST_WIDTH}."
            )

    @property
    def ink(self) -> Ink:
        return DARK if self.is_dark else LIGHT

    @property
    def unit(self) -> float:
        """Pixels of what is one pixel in a picture 1200 wide; small pictures keep legible letters."""
        return max(LEAST_UNIT, self.width / WIDTHS[0])

    def pixels(self, units: float) -> int:
        """A length of the 1200-wide picture in this one, at least 1."""
        return max(1, round(units * self.unit))


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
        whole = int(pixels) // max(1, count) * count  # cells of whole pixels, where that costs little
        return max(1, whole if whole >= 0.9 * pixels else int(pixels))

    return extent(num_rows, room_height), extent(num_columns, room_width)


def coloured_cells(values: np.ndarray, scale: ColourScale, name: str, height: int, width: int) -> np.ndarray:
    """Cells as colours at a size in pixels: (height, width, 3) uint8, each pixel the cell at its centre.

    Cells beyond one a pixel are pooled first (`engine.pooling`).
    """
    values = pool(values, height, width)
    rows = ((np.arange(height) + 0.5) * values.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * values.shape[1] / width).astype(np.int64)
    return colour_image(values, scale, name)[rows][:, columns]


def colour_bar(
    scale: ColourScale, name: str, height: int, frame: PictureFrame, *, extremes: tuple[float, float] | None = None
) -> Image.Image:
    """The scale bar: all colours from the lower end to the upper, with the numbers of the scale beside them.

    Args:
        scale, name: as of the picture it explains. height: of the bar in pixels; the image has a margin of
            `bar_margin(frame)` above and below. extremes: the least and largest number shown; where they lie beyond an
            end of the scale, its number is marked ">=" or "<=".
    """
    unit, ink, margin = frame.unit, frame.ink, bar_margin(frame)
    bar, size = frame.pixels(14), 14 * unit
    labels = _bar_labels(scale, 3 if height < 120 * unit else 5, extremes)
    width = max(frame.pixels(110), bar + round(16 * unit + max(text_width(text, size) for _, text in labels)))
    image = Image.new("RGB", (width, height + 2 * margin), ink.paper)
    places = 1.0 - (np.arange(height) + 0.5) / height
    colours = colour_image(scale.values_at(places), scale, name)
    image.paste(Image.fromarray(np.repeat(colours[:, None], bar, axis=1)), (0, margin))
    draw = ImageDraw.Draw(image)
    for share, text in labels:
        at = margin + (1.0 - share) * (height - 1)
        draw.line([(bar, at), (bar + 4 * unit, at)], fill=ink.faint, width=frame.pixels(1))
        write(draw, (bar + 9 * unit, at), text, size, fill=ink.text, anchor="lm")
    return image


def bar_margin(frame: PictureFrame) -> int:
    """Pixels above and below a colour bar, and above a plot, for half a line of text."""
    return frame.pixels(10)


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


def framed(
    body: Image.Image,
    frame: PictureFrame,
    *,
    bar: Image.Image | None = None,
    specials: Sequence[str] = (),
) -> Image.Image:
    """Any picture with title above, colour bar at its right, and source and legend below.

    Args:
        body: at most as wide as the frame leaves room. bar: of `colour_bar`; both are aligned at their tops and centred
            together. specials: labels of `SPECIALS` to explain.
    Returns: RGB, frame.width wide and as high as it needs to be.
    """
    unit, ink, pad = frame.unit, frame.ink, frame.pixels(24)
    head = _head_height(frame)
    foot = frame.pixels(34) if frame.source or specials else 0
    room = max(body.height, bar.height if bar else 0)
    image = Image.new("RGB", (frame.width, pad + head + room + foot + pad), ink.paper)
    draw = ImageDraw.Draw(image)
    _write_head(draw, frame, pad)
    block = body.width + (bar.width + frame.pixels(16) if bar else 0)
    left = max(0, (frame.width - block) // 2)
    image.paste(body, (left, pad + head))
    if bar:
        image.paste(bar, (left + body.width + frame.pixels(16), pad + head))
    if foot:
        base = pad + head + room + foot
        right = _write_legend(draw, frame, specials, (frame.width - pad, base))
        source = fitted(frame.source, 13 * unit, right - pad - 16 * unit)
        write(draw, (pad, base), source, 13 * unit, fill=ink.faint, anchor="ls")
    return image


def specials_in(values: np.ndarray) -> tuple[str, ...]:
    """The labels of `SPECIALS` that occur among some numbers."""
    found = (np.isnan(values).any(), np.isposinf(values).any(), np.isneginf(values).any())
    return tuple(label for (label, _), is_there in zip(SPECIALS, found, strict=True) if is_there)


def png_bytes(image: Image.Image, texts: dict[str, str] | None = None) -> bytes:
    """The picture as PNG.

    Args:
        texts: kept inside the file, by PNG's keywords ("Title", "Source", "Software", …); any Unicode.
    """
    information = PngInfo()
    for keyword, text in (texts or {}).items():
        information.add_itxt(keyword, text.encode("utf-8", "replace").decode())
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=information, compress_level=6)
    return out.getvalue()


def webp_bytes(image: Image.Image) -> bytes:
    """The picture as lossless WebP: every colour as it is."""
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True, quality=60, method=3)
    return out.getvalue()


def _room(frame: PictureFrame) -> tuple[int, int]:
    """Most (height, width) of a plot: what margins, row numbers and colour bar leave."""
    beside = 2 * frame.pixels(24) + frame.pixels(84) + frame.pixels(16) + frame.pixels(118)
    height = frame.body_height or round(HEIGHT_SHARE * frame.width)
    return max(1, height - bar_margin(frame) - _bottom_margin(frame)), max(1, frame.width - beside)


def _plot_of(grid: Grid, frame: PictureFrame) -> tuple[int, int]:
    """The plot's (height, width): of its entries, and no smaller than its cells where there is room for them."""
    wanted = plot_size(grid.row_stop - grid.row_start, grid.column_stop - grid.column_start, frame)
    sides = zip(wanted, grid.values.shape, _room(frame), strict=True)
    height, width = (max(pixels, cells) if cells <= most else pixels for pixels, cells, most in sides)
    return height, width


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


def _bar_labels(scale: ColourScale, count: int, extremes: tuple[float, float] | None) -> list[tuple[float, str]]:
    """(share of the bar from its lower end, number as text)."""
    shares = np.linspace(0.0, 1.0, count)
    texts = [short_number(float(value)) for value in scale.values_at(shares)]
    if extremes is not None:
        texts[0] = ("≤ " if extremes[0] < scale.knots[0] else "") + texts[0]
        texts[-1] = ("≥ " if extremes[1] > scale.knots[-1] else "") + texts[-1]
    return list(zip(shares.tolist(), texts, strict=True))


def _head_height(frame: PictureFrame) -> int:
    return (frame.pixels(36) if frame.title else 0) + (frame.pixels(26) if frame.subtitle else 0)


def _write_head(draw: ImageDraw.ImageDraw, frame: PictureFrame, pad: int) -> None:
    unit, ink, top = frame.unit, frame.ink, float(pad)
    for text, size, height, colour in ((frame.title, 23, 36, ink.text), (frame.subtitle, 15, 26, ink.faint)):
        if text:
            write(
                draw,
                (pad, top),
                fitted(text, size * unit, frame.width - 2 * pad),
                size * unit,
                fill=colour,
                anchor="la",
            )
            top += height * unit


def _write_legend(
    draw: ImageDraw.ImageDraw, frame: PictureFrame, specials: Sequence[str], corner: tuple[int, int]
) -> float:
    """Swatches with their names, ending at the lower right `corner`; returns where they begin."""
    unit, (right, base) = frame.unit, corner
    for label, colour in reversed([entry for entry in SPECIALS if entry[0] in specials]):
        left = right - text_width(label, 13 * unit)
        write(draw, (left, base), label, 13 * unit, fill=frame.ink.text, anchor="ls")
        side = 11 * unit
        draw.rectangle([left - side - 6 * unit, base - side, left - 6 * unit, base], fill=colour)
        right = left - side - 22 * unit
    return right
