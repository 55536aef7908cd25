"""The heatmap canvas: one tensor in the browser, from the whole down to single weights.

The server sends a bounded overview once, and a finer tile for every window the person moves to; the browser draws at
once from what it has. Reading and pooling are `engine.heatmaps`; this package is the wire and the picture.

    @st.fragment
    def view() -> None:
        colours = Colours(linear_scale(colour_limits(source, info)), "blue-red")
        state = heatmap_canvas(source, info, key="canvas", colours=colours)
        st.query_params["view"] = state.view.text
        if state.selected is not None:
            st.write(state.selected.row, state.selected.column, state.selected.text)

Call it inside an `st.fragment`: every move of the canvas reruns whatever surrounds it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from engine.colour_maps import NAN_COLOUR, NEGINF_COLOUR, POSINF_COLOUR, colour_map
from engine.folding import matrix_shape
from engine.heatmaps import Grid, Viewport, entry_text, exact_value, full_view, largest_entry, read_grid
from engine.sources.base import Source, TensorInfo
from ui.colours import Colours
from ui.heatmap_canvas.frame import Edges as Edges
from ui.heatmap_canvas.frame import Frame
from ui.heatmap_canvas.frame import SortedLines as SortedLines
from ui.heatmap_canvas.message import encode_message
from ui.heatmap_canvas.requests import AskedView, View, asked_cell, asked_rectangle, asked_view, tile_window

OVERVIEW_ROWS, OVERVIEW_COLUMNS = 512, 1024
"""Cells of the first picture: about one per pixel of the default canvas, at most 2 MB; chosen by us."""

_FOLDER = Path(__file__).parent
_SCRIPTS = (
    "message.js",
    "tile.js",
    "geometry.js",
    "lines.js",
    "paint.js",
    "colour_bar.js",
    "edges.js",
    "rectangle.js",
    "group.js",
    "gestures.js",
    "canvas.js",
)


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


_CANVAS = st.components.v2.component(
    "weightscope.heatmap_canvas",
    html=_read("canvas.html"),
    css=_read("canvas.css"),
    js="\n".join(_read(name) for name in _SCRIPTS),
)


@dataclass(frozen=True)
class Start:
    """Where the canvas begins; later the person's own moves stand.

    Attributes:
        view: the window at first, in places of the picture; None for the whole tensor.
        selected: (row, column) of the tensor, marked at first.
        token: give another one to send the canvas to `view` and `selected` again ("jump to this outlier").
    """

    view: View | None = None
    selected: tuple[int, int] | None = None
    token: str = ""


@dataclass(frozen=True)
class SelectedEntry:
    """The entry a person clicked; on a pooled cell, the one of largest magnitude in it.

    Attributes:
        row, column: its place in the tensor seen as a matrix. value: as stored. text: its shortest exact spelling.
    """

    row: int
    column: int
    value: np.generic
    text: str


@dataclass(frozen=True)
class CanvasState:
    """What the canvas shows now.

    Attributes:
        view: the visible window, in places of the picture. is_full: whether that is the whole tensor.
        selected: the marked entry, if any. rectangle: the marked one, in places; the frame's, until another is drawn.
    """

    view: View
    is_full: bool
    selected: SelectedEntry | None
    rectangle: View | None = None


def heatmap_canvas(
    source: Source,
    info: TensorInfo,
    *,
    key: str,
    colours: Colours,
    start: Start | None = None,
    frame: Frame | None = None,
) -> CanvasState:
    """Draw a tensor as a heatmap to zoom and pan.

    Args:
        source, info: the tensor; any shape, also empty; of a sorted one, in the order shown (`Reordered`).
        key: unique on the page; may stay the same for another tensor. colours: scale and colour map.
        start: where it begins. frame: what surrounds the picture; with the numbers of lines that were sorted.
    Returns: the window shown and the entry selected.
    Raises: what the source raises when it cannot be read; WeightscopeError for an unknown colour map.
    """
    start, frame = start or Start(), frame or Frame()
    shape = matrix_shape(info.shape)
    state = st.session_state.get(key) or {}
    tensor_id = _digest(source.uri, source.fingerprint, info.name)
    view_id = _digest(tensor_id, start.token)
    asked = asked_view(state.get("view"), view_id)
    view = (asked.view if asked else start.view or View.full(shape)).clipped(shape)
    cell = asked_cell(state.get("cell"), view_id)
    place = cell.window if cell else start.selected and frame.place(start.selected)
    selected, marked = _selected(source, info, place, frame)
    drawn = asked_rectangle(state.get("rectangle"), view_id)
    rectangle = drawn.rectangle if drawn else frame.rectangle
    rectangle = rectangle.clipped(shape) if rectangle and 0 not in shape else None

    overview = _overview(source.uri, source.fingerprint, info.name, OVERVIEW_ROWS, OVERVIEW_COLUMNS, source, info)
    tiles: dict[str, Grid] = {}
    if asked is None or asked.overview != tensor_id:
        tiles[tensor_id] = overview
    window = tile_window(view, shape, asked, (OVERVIEW_ROWS, OVERVIEW_COLUMNS))
    if not overview.is_exact and not _covers(overview, window):
        tiles[_digest(tensor_id, str(window))] = read_grid(source, info, window)
    header = {
        "view_id": view_id,
        "tensor_id": tensor_id,
        "name": info.name,
        "dtype": info.dtype,
        "shape": list(info.shape),
        "matrix": list(shape),
        "view": _window(view),
        "selected": marked,
        "answers": asked.sequence if asked else 0,
        "rectangle": None if rectangle is None else _window(rectangle),
        **_framed(frame, tensor_id),
        **_colours(colours),
    }
    lists = _lists(frame, header["edges"], asked, is_new=tensor_id in tiles)
    _CANVAS(
        key=key,
        data=encode_message(header, tiles, lists),
        on_view_change=_nothing,
        on_cell_change=_nothing,
        on_rectangle_change=_nothing,
    )
    return CanvasState(view, view == View.full(shape), selected, rectangle)


def _framed(frame: Frame, tensor_id: str) -> dict:
    titles = [lines.title if lines else "" for lines in (frame.rows, frame.columns)]
    edges = frame.edges and {"id": _digest(tensor_id, frame.edges.title), "title": frame.edges.title}
    return {"height": frame.height, "sorted": titles, "edges": edges, "group": frame.group}


def _lists(frame: Frame, edges: dict | None, asked: AskedView | None, *, is_new: bool) -> dict[str, np.ndarray]:
    """Line numbers go with the overview; edges once the browser has drawn that and asks for more."""
    lists = frame.line_numbers() if is_new else {}
    if edges is not None and asked is not None and asked.edges != edges["id"]:
        lists |= frame.edge_lists()
    return lists


@st.cache_data(max_entries=24, show_spinner="Reading the tensor …")
def _overview(
    uri: str, fingerprint: str, name: str, rows: int, columns: int, _source: Source, _info: TensorInfo
) -> Grid:
    """The whole tensor at canvas size; kept, because every rerun that lost the browser's copy sends it again."""
    return read_grid(_source, _info, full_view(_info, rows, columns))


def _covers(overview: Grid, window: Viewport) -> bool:
    """Whether the overview already has every cell the window asks for, as fine as it may be."""
    row_step = -(-(window.row_stop - window.row_start) // window.max_rows)
    column_step = -(-(window.column_stop - window.column_start) // window.max_columns)
    return row_step >= overview.row_step and column_step >= overview.column_step


def _selected(
    source: Source, info: TensorInfo, place: Viewport | tuple[int, int] | None, frame: Frame
) -> tuple[SelectedEntry | None, list | None]:
    """The entry, and where it is marked: [row, column, text] in places of the picture."""
    rows, columns = matrix_shape(info.shape)
    if place is None or rows == 0 or columns == 0:
        return None, None
    row, column = largest_entry(source, info, place) if isinstance(place, Viewport) else place
    if not (0 <= row < rows and 0 <= column < columns):
        return None, None
    value = exact_value(source, info, row, column)
    text = entry_text(value)
    return SelectedEntry(*frame.number((row, column)), value, text), [row, column, text]


def _colours(colours: Colours) -> dict:
    return {
        "scale": colours.scale.kind,
        "is_signed_map": colour_map(colours.name).is_signed,
        "knots": colours.scale.knots.tolist(),
        "colours": colour_map(colours.name).colours.tobytes().hex(),
        "special_colours": [list(NAN_COLOUR), list(POSINF_COLOUR), list(NEGINF_COLOUR)],
    }


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _nothing() -> None:
    """Streamlit returns a state key only where a callback is given for it."""


def _window(view: View) -> list[int]:
    return [view.row_start, view.row_stop, view.column_start, view.column_stop]
