"""What the browser asks of the server: a window, or an entry. It comes from outside, so every field is checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.heatmaps import Viewport

LEAST_PIXELS, MOST_PIXELS = 64, 2048
MOST_CELLS = 1 << 20
"""Cells of one tile: at most 4 MiB of float32, so that a message stays under the 5 MB that reach a browser swiftly."""


@dataclass(frozen=True)
class View:
    """A window in whole entries, half open."""

    row_start: int
    row_stop: int
    column_start: int
    column_stop: int

    @classmethod
    def full(cls, shape: tuple[int, int]) -> View:
        return cls(0, shape[0], 0, shape[1])

    @classmethod
    def parse(cls, text: str) -> View | None:
        """The window that `text` ("r0,r1,c0,c1", as in a URL) names; None if it names none."""
        parts = text.split(",")
        if len(parts) != 4 or not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
            return None
        row_start, row_stop, column_start, column_stop = (min(int(part[:18]), 1 << 53) for part in parts)
        is_window = row_start < row_stop and column_start < column_stop
        return cls(row_start, row_stop, column_start, column_stop) if is_window else None

    @property
    def text(self) -> str:
        """As in a URL: "r0,r1,c0,c1"."""
        return f"{self.row_start},{self.row_stop},{self.column_start},{self.column_stop}"

    def clipped(self, shape: tuple[int, int]) -> View:
        view = Viewport(self.row_start, self.row_stop, self.column_start, self.column_stop).clipped(shape)
        return View(view.row_start, view.row_stop, view.column_start, view.column_stop)


@dataclass(frozen=True)
class AskedView:
    """A window the browser wants.

    Attributes:
        view: the window. height, width: of the plot in device pixels. sequence: number of the request, echoed.
        overview, edges: ids of the overview and of the edges the browser still holds; "" if none.
    """

    view: View
    height: int
    width: int
    sequence: int
    overview: str
    edges: str = ""


@dataclass(frozen=True)
class AskedCell:
    """A cell the person clicked; `window` is None when they cleared the selection."""

    window: Viewport | None


def asked_view(raw: object, view_id: str) -> AskedView | None:
    """The browser's request; None if there is none, it is malformed, or it was meant for another tensor."""
    if not isinstance(raw, dict) or raw.get("view_id") != view_id:
        return None
    window, size = _numbers(raw.get("window"), 4), _numbers(raw.get("pixels"), 2)
    if window is None or size is None:
        return None
    height, width = (min(max(int(n), LEAST_PIXELS), MOST_PIXELS) for n in size)
    sequence = _numbers([raw.get("sequence")], 1)
    view = View(math.floor(window[0]), math.ceil(window[1]), math.floor(window[2]), math.ceil(window[3]))
    number = int(sequence[0]) if sequence else 0
    return AskedView(view, height, width, number, str(raw.get("overview")), str(raw.get("edges")))


def asked_cell(raw: object, view_id: str) -> AskedCell | None:
    """The clicked cell; None if nothing was clicked on this tensor."""
    if not isinstance(raw, dict) or raw.get("view_id") != view_id:
        return None
    window = _numbers(raw.get("window"), 4)
    return AskedCell(None if window is None else Viewport(*(int(n) for n in window)))


@dataclass(frozen=True)
class AskedRectangle:
    """A rectangle the person drew; `rectangle` is None when they took it away."""

    rectangle: View | None


def asked_rectangle(raw: object, view_id: str) -> AskedRectangle | None:
    """The rectangle just drawn; None if none was drawn now, on this tensor, or it makes no sense."""
    if not isinstance(raw, dict) or raw.get("view_id") != view_id:
        return None
    if raw.get("window") is None:
        return AskedRectangle(None)
    window = _numbers(raw.get("window"), 4)
    if window is None:
        return None
    row_start, row_stop, column_start, column_stop = (int(n) for n in window)
    is_window = 0 <= row_start < row_stop and 0 <= column_start < column_stop
    return AskedRectangle(View(row_start, row_stop, column_start, column_stop)) if is_window else None


def tile_window(view: View, shape: tuple[int, int], asked: AskedView | None, default: tuple[int, int]) -> Viewport:
    """The window to read for a view: as fine as its pixels, and wider where that costs nothing.

    Along an axis on which every entry of the view gets a cell of its own, the window grows to at most three times the
    view while it still does, so that a drag shows single entries at once.
    """
    height, width = (asked.height, asked.width) if asked else default
    height, width = min(height, shape[0]), min(width, shape[1])
    shrink = min(1.0, math.sqrt(MOST_CELLS / max(1, height * width)))
    height, width = max(1, int(height * shrink)), max(1, int(width * shrink))
    rows = _with_margin(view.row_start, view.row_stop, height)
    columns = _with_margin(view.column_start, view.column_stop, width)
    return Viewport(*rows, *columns, height, width).clipped(shape)


def _with_margin(start: int, stop: int, most: int) -> tuple[int, int]:
    span = stop - start
    margin = max(0, min(span, (most - span) // 2))
    return start - margin, stop + margin


def _numbers(raw: object, count: int) -> list[float] | None:
    if not isinstance(raw, list) or len(raw) != count:
        return None
    if not all(isinstance(n, int | float) and math.isfinite(n) and abs(n) < 2**53 for n in raw):
        return None
    return raw
