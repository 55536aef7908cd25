"""A page with canvases and nothing else: ?t=names&v=view&s=scale&o=order of the rows; the checkpoint lies in the data
folder."""

import os
from pathlib import Path

import numpy as np
import streamlit as st

import engine.sources
from engine.colour_limits import colour_limits
from engine.colour_scales import colour_scale
from engine.margins import margins
from engine.orders import line_order
from engine.sources.reordered import Reordered
from ui.colours import Colours
from ui.heatmap_canvas import Edges, Frame, SortedLines, Start, View, heatmap_canvas

st.set_page_config(layout="wide")
model = engine.sources.open(Path(os.environ["WEIGHTSCOPE_DATA"]) / "model.safetensors")
st.session_state.setdefault("token", 0)
st.session_state.setdefault("marked", None)


@st.fragment
def canvas(name: str) -> None:
    info = model.info(name)
    is_full = st.session_state.get("full") or "full" in st.query_params
    limits = colour_limits(model, info, percent=None if is_full else 99.5)
    scale = colour_scale(model, info, st.query_params.get("s", "linear"), limits)
    colours = Colours(scale, "blue-red" if limits.is_signed else "viridis")
    is_jump = st.session_state["token"] > 0
    view = View(100, 120, 10, 30) if is_jump else View.parse(st.query_params.get("v", ""))
    start = Start(view, (110, 20) if is_jump else None, str(st.session_state["token"]))
    source, rows = model, None
    if order := st.query_params.get("o"):
        rows = SortedLines(line_order(model.read(name), order), f"by {order}")
        source = Reordered(model, info, rows.numbers)
        info = source.info(name)

    def sums() -> tuple[np.ndarray, np.ndarray]:
        found = margins(source, info)
        return found.row_sums, found.column_sums

    edges = Edges("sum", sums) if "e" in st.query_params else None
    frame = Frame(height=420, rows=rows, edges=edges, rectangle=st.session_state["marked"])
    state = heatmap_canvas(source, info, key=f"canvas-{name}", colours=colours, start=start, frame=frame)
    st.session_state["marked"] = state.rectangle
    st.text(f"{name} view {state.view.text}")
    if state.selected is not None:
        st.text(f"{name} selected {state.selected.row} {state.selected.column} {state.selected.text}")
    if state.rectangle is not None:
        st.text(f"{name} rectangle {state.rectangle.text}")


if st.button("Jump"):
    st.session_state["token"] += 1
if st.toggle("Show", value=True):
    for tensor in st.query_params.get("t", "tall").split(","):
        canvas(tensor)
st.toggle("Full range", key="full")
