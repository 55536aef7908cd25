"""A page with canvases and nothing else: ?t=names&v=view; the checkpoint lies in the data folder."""

import os
from pathlib import Path

import streamlit as st

import engine.sources
from engine.colour_limits import colour_limits
from engine.colour_scales import linear_scale
from ui.colours import Colours
from ui.heatmap_canvas import Frame, Start, View, heatmap_canvas

st.set_page_config(layout="wide")
source = engine.sources.open(Path(os.environ["WEIGHTSCOPE_DATA"]) / "model.safetensors")
st.session_state.setdefault("token", 0)


@st.fragment
def canvas(name: str) -> None:
    info = source.info(name)
    limits = colour_limits(source, info, percent=None if st.session_state.get("full") else 99.5)
    colours = Colours(linear_scale(limits), "blue-red" if limits.is_signed else "viridis")
    is_jump = st.session_state["token"] > 0
    view = View(100, 120, 10, 30) if is_jump else View.parse(st.query_params.get("v", ""))
    start = Start(view, (110, 20) if is_jump else None, str(st.session_state["token"]))
    state = heatmap_canvas(source, info, key=f"canvas-{name}", colours=colours, start=start, frame=Frame(height=420))
    st.text(f"{name} view {state.view.text}")
    if state.selected is not None:
        st.text(f"{name} selected {state.selected.row} {state.selected.column} {state.selected.text}")


if st.button("Jump"):
    st.session_state["token"] += 1
if st.toggle("Show", value=True):
    for tensor in st.query_params.get("t", "tall").split(","):
        canvas(tensor)
st.toggle("Full range", key="full")
