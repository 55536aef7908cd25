"""The heatmap of the selected tensor with its controls: colours, order, edges, region; all of it lives in the URL."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import streamlit as st

from engine.dtypes import KNOWN_TYPES
from engine.folding import matrix_shape
from engine.heatmaps import pool
from engine.margins import Margins, margins
from engine.naming import role_title
from ui.arrangement import Arrangement, arranged, order_controls, sorting_report
from ui.colours import Colours, colour_controls
from ui.export_panel import export_panel
from ui.heatmap_canvas import CanvasState, Edges, Frame, Start, View, heatmap_canvas
from ui.page import escape_markdown
from ui.rectangle import rectangle_panel
from ui.selection import Selection
from workflows.wording import bytes_text, count_text

CONTEXT_LINES = 24
"""Rows or columns shown on each side of a place the view jumps to; ours: enough to compare, and cells stay visible."""

EDGE_TITLES = {"sums": "sum", "norms": "norm"}
NO_EDGES = "none"

SHARED_PARAMETERS = ("model", "layer", "role", "tensor", "colours", "scale", "limits")
"""Of the URL, that the other pages understand as this one does."""


def tensor_caption(selection: Selection) -> None:
    """One line that says what the tensor is."""
    info, place = selection.info, selection.place
    shape = " × ".join(map(str, info.shape)) or "scalar"
    role = role_title(place.role) + (f" of layer {place.layer}" if place.layer is not None else "")
    words = [f"**{escape_markdown(role)}**", f"{shape} {info.dtype}", f"{count_text(info.num_elements)} weights"]
    words.append(bytes_text(info.num_bytes))
    if info.num_elements and info.dtype not in KNOWN_TYPES:
        words.append(f"{8 * info.num_bytes / info.num_elements:.3g} bits a weight, shown decoded")
    if len(info.shape) > 2:
        words.append(f"shown as {' × '.join(map(str, matrix_shape(info.shape)))}, the first dimension as rows")
    st.caption(" · ".join(words))


@st.fragment
def tensor_view(selection: Selection) -> None:
    """The canvas, its controls above, and what was picked out of it below."""
    _compile_kernels()
    colours = colour_controls(selection)
    columns = st.columns(3)
    order_controls(columns[:2], _forget_places)
    with columns[2]:
        _edge_control()
    shown = arranged(selection)
    shape = matrix_shape(shown.info.shape)
    _forget_rectangle_of_another(selection)
    st.caption(
        "Scroll to zoom, drag to pan, double-click to see all, **Shift-drag to select**. Each pixel shows the "
        "**largest |w|** it covers, so no outlier is hidden."
    )
    frame = Frame(
        rows=shown.rows,
        columns=shown.columns,
        edges=_edges(selection, shown),
        rectangle=View.parse(_url_text("rectangle")),
    )
    start = _start(frame, shape)
    state = heatmap_canvas(shown.source, shown.info, key="canvas", colours=colours, start=start, frame=frame)
    st.session_state["view"] = "" if state.is_full else state.view.text
    st.session_state["rectangle"] = state.rectangle.text if state.rectangle else ""
    _picked(selection, shown, state, colours)
    _places(state)
    report = st.container()
    if state.rectangle is not None:
        norm = _margins(selection.source.fingerprint, selection.info.name, selection).norm
        rectangle_panel(shown, state.rectangle, norm, _zoom_to_rectangle, _clear_rectangle)
    if shown.is_sorted:
        with report:
            sorting_report(selection)


@st.cache_resource(show_spinner="Compiling the heatmap kernels: once on this machine, some seconds …")
def _compile_kernels() -> None:
    for kind in (np.float32, ml_dtypes.bfloat16):
        pool(np.zeros((4, 4), kind), 2, 2)


def _edge_control() -> None:
    choices = [*EDGE_TITLES, NO_EDGES]
    if st.session_state.get("edges", choices[0]) not in choices:
        st.session_state["edges"] = choices[0]  # from a bad URL
    st.selectbox(
        "Edges",
        choices,
        key="edges",
        bind="query-params",
        help="Beside the picture: the sum or the L2 norm of every row and every column, exact, over all of it.",
    )


def _edges(selection: Selection, shown: Arrangement) -> Edges | None:
    """The sums or norms along the picture, read only when the browser asks for them."""
    title = EDGE_TITLES.get(st.session_state.get("edges") or "sums")
    if title is None:
        return None

    def values() -> tuple[np.ndarray, np.ndarray]:
        found = _margins(selection.source.fingerprint, selection.info.name, selection)
        pair = (found.row_sums, found.column_sums) if title == "sum" else (found.row_norms, found.column_norms)
        lines = (shown.rows, shown.columns)
        return tuple(each if x is None else each[x.numbers] for each, x in zip(pair, lines, strict=True))

    return Edges(title, values)


@st.cache_data(max_entries=16, show_spinner="Summing rows and columns …")
def _margins(fingerprint: str, tensor: str, _selection: Selection) -> Margins:
    return margins(_selection.source, _selection.info)


def _start(frame: Frame, shape: tuple[int, int]) -> Start:
    """Where the canvas begins: where a table asked to jump, where a typed region says, else where the URL says."""
    jump = st.session_state.pop("jump", None)
    if jump is not None:
        window = _around(frame.place(jump), shape)
        _send_to(window.text, None if None in jump else jump)
    text, selected = st.session_state.get("view_start") or (_url_text("view"), None)
    return Start(View.parse(text or ""), selected, str(st.session_state.get("view_token", 0)))


def _url_text(key: str) -> str:
    """What a text box below holds; before it was ever drawn, what the URL says."""
    return st.session_state[key] if key in st.session_state else st.query_params.get(key, "")


def _around(place: tuple[int | None, int | None], shape: tuple[int, int]) -> View:
    """A window about a weight, a whole row, or a whole column."""
    (row_start, row_stop), (column_start, column_stop) = (
        (0, length) if index is None else (max(0, index - CONTEXT_LINES), min(length, index + CONTEXT_LINES + 1))
        for index, length in zip(place, shape, strict=True)
    )
    return View(row_start, row_stop, column_start, column_stop)


def _send_to(view: str, selected: tuple[int, int] | None = None) -> None:
    """Send the canvas to a window, and mark an entry."""
    st.session_state["view_start"] = (view, selected)
    st.session_state["view_token"] = st.session_state.get("view_token", 0) + 1


def _go_to_region() -> None:
    """The person typed a region."""
    _send_to(st.session_state["view"])


def _zoom_to_rectangle() -> None:
    _send_to(st.session_state["rectangle"])


def _clear_rectangle() -> None:
    st.session_state["rectangle"] = ""


def _forget_places() -> None:
    """In another order, the same places hold other lines: all is seen again, and nothing is selected."""
    st.session_state["view"] = ""
    st.session_state.pop("view_start", None)
    _clear_rectangle()


def _forget_rectangle_of_another(selection: Selection) -> None:
    """A rectangle belongs to one tensor."""
    tensor = (selection.location.uri, selection.info.name)
    if st.session_state.get("rectangle_of", tensor) != tensor:
        _clear_rectangle()
    st.session_state["rectangle_of"] = tensor


def _picked(selection: Selection, shown: Arrangement, state: CanvasState, colours: Colours) -> None:
    """The selected weight, and where to take the view: into space, or into files."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        if state.selected is None:
            st.caption("Click a weight to keep its exact value here.", width="content")
        else:
            row, column = state.selected.row, state.selected.column
            st.markdown(f"Row **{row:,}**, column **{column:,}**: `{state.selected.text}`", width="content")
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            _ways_on(selection, shown, state, colours)


def _ways_on(selection: Selection, shown: Arrangement, state: CanvasState, colours: Colours) -> None:
    parameters = {key: st.query_params[key] for key in SHARED_PARAMETERS if key in st.query_params}
    if not state.is_full and not shown.is_sorted:  # places of sorted lines mean nothing elsewhere
        parameters["view"] = state.view.text
    st.page_link(
        "pages/4_3D_Weights.py",
        label="3D",
        icon=":material/landscape:",
        query_params=parameters,
        help="The same place as a landscape.",
    )
    with st.container(width=130):
        numbers = [lines and lines.numbers for lines in (shown.rows, shown.columns)]
        target = replace(selection, source=shown.source, info=shown.info)
        export_panel(target, None if state.is_full else state.view, colours, *numbers)


def _places(state: CanvasState) -> None:
    region, rectangle = st.columns(2)
    region.text_input(
        "Region",
        help="First row, row after the last, first column, column after the last. Type one to go there. "
        "Of sorted rows and columns, their places.",
        key="view",
        bind="query-params",
        on_change=_go_to_region,
        placeholder=f"{state.view.text} (everything)",
    )
    rectangle.text_input(
        "Selected rectangle",
        help="Hold Shift and drag on the picture, or type it as a region is typed: its statistics appear below.",
        key="rectangle",
        bind="query-params",
        placeholder="Shift-drag on the picture",
    )
