"""The heatmap of the selected tensor with its controls: colours, limits, region; the view lives in the URL."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import streamlit as st

from engine.dtypes import KNOWN_TYPES
from engine.folding import matrix_shape
from engine.heatmaps import pool
from engine.naming import role_title
from ui.colours import colour_controls
from ui.heatmap_canvas import CanvasState, Start, View, heatmap_canvas
from ui.page import escape_markdown
from ui.selection import Selection
from workflows.wording import bytes_text, count_text

CONTEXT_LINES = 24
"""Rows or columns shown on each side of a place the view jumps to; ours: enough to compare, and cells stay visible."""


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
    """The canvas, its colour controls above and the region and selected weight below."""
    shape = matrix_shape(selection.info.shape)
    _compile_kernels()
    colours = colour_controls(selection)
    st.caption(
        "Scroll to zoom, drag to pan, double-click to see all. Each pixel shows the **largest |w|** it covers, "
        "so no outlier is hidden."
    )
    start = _start(shape)
    state = heatmap_canvas(selection.source, selection.info, key="canvas", colours=colours, start=start)
    st.session_state["view"] = "" if state.is_full else state.view.text
    _below(state, shape)


@st.cache_resource(show_spinner="Compiling the heatmap kernels: once on this machine, some seconds …")
def _compile_kernels() -> None:
    for kind in (np.float32, ml_dtypes.bfloat16):
        pool(np.zeros((4, 4), kind), 2, 2)


def _start(shape: tuple[int, int]) -> Start:
    """Where the canvas begins: where a table asked to jump, where a typed region says, else where the URL says."""
    jump = st.session_state.pop("jump", None)
    if jump is not None:
        st.session_state["view_start"] = (_around(jump, shape).text, None if None in jump else jump)
        st.session_state["view_token"] = st.session_state.get("view_token", 0) + 1
    text, selected = st.session_state.get("view_start") or (_url_view(), None)
    return Start(View.parse(text or ""), selected, str(st.session_state.get("view_token", 0)))


def _url_view() -> str:
    return st.session_state.get("view") or st.query_params.get("view", "")


def _around(place: tuple[int | None, int | None], shape: tuple[int, int]) -> View:
    """A window about a weight, a whole row, or a whole column."""
    (row_start, row_stop), (column_start, column_stop) = (
        (0, length) if index is None else (max(0, index - CONTEXT_LINES), min(length, index + CONTEXT_LINES + 1))
        for index, length in zip(place, shape, strict=True)
    )
    return View(row_start, row_stop, column_start, column_stop)


def _go_to_region() -> None:
    """The person typed a region: send the canvas there."""
    st.session_state["view_start"] = (st.session_state["view"], None)
    st.session_state["view_token"] = st.session_state.get("view_token", 0) + 1


def _below(state: CanvasState, shape: tuple[int, int]) -> None:
    region, weight = st.columns([1.4, 2], vertical_alignment="bottom")
    with region:
        st.text_input(
            "Region",
            help="First row, row after the last, first column, column after the last. Type one to go there.",
            key="view",
            bind="query-params",
            on_change=_go_to_region,
            placeholder=f"0,{shape[0]},0,{shape[1]} (everything)",
        )
    with weight:
        if state.selected is None:
            st.caption("Click a weight to keep its exact value here.")
        else:
            st.markdown(
                f"Row **{state.selected.row:,}**, column **{state.selected.column:,}**: `{state.selected.text}`",
            )
