"""The selected tensor in three dimensions, with its controls; everything a person sets lives in the URL."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import streamlit as st

from engine.colour_scales import SCALES, Kind
from engine.folding import matrix_shape
from engine.heatmaps import Grid, Viewport, read_grid
from engine.sources.base import Source, TensorInfo
from engine.surfaces import height_scale, surface_window
from figures.surface_scene import SHAPES, Label, Style, SurfaceScene
from figures.surface_scene.camera import Camera
from figures.surface_scene.page import MOST_BYTES, surface_page
from ui.colours import colour_controls
from ui.heatmap_canvas import SelectedEntry, View
from ui.page import user_errors
from ui.selection import Selection
from ui.surface_canvas import SurfaceState, surface_canvas
from ui.tensor_view import CONTEXT_LINES, tensor_caption
from workflows.view_export import safe_name, source_line
from workflows.wording import bytes_text

DETAILS = ("128", "256", "512", "1024")
DEFAULT_DETAIL = "256"
"""Cells a side, as in the URL. Ours: 256² is 256 kB and turns smoothly everywhere; 1024² is a million vertices."""

TENSOR, WHOLE_MODEL = "Tensor", "Whole model"
SPACES = (TENSOR, WHOLE_MODEL) if find_spec("ui.model_3d") else (TENSOR,)


def show_space(selection: Selection) -> None:
    """The switch between one tensor and the whole model, bound to `?space=`, and the one that is chosen."""
    if st.session_state.get("space") not in (None, *SPACES):
        st.session_state["space"] = None  # from a bad URL
    chosen = st.segmented_control(
        "Look at",
        SPACES,
        default=TENSOR,
        key="space",
        bind="query-params",
        label_visibility="collapsed",
        width="stretch",
    )
    if chosen != WHOLE_MODEL:
        tensor_caption(selection)
        tensor_3d(selection)
        return
    from ui.model_3d import whole_model_3d

    whole_model_3d(selection)


@st.fragment
def tensor_3d(selection: Selection) -> None:
    """The canvas, its controls above, and the region, the camera, the selected weight and the exports below."""
    with user_errors():
        colours = colour_controls(selection)
        style, kind, detail = _controls()
        info, shape = selection.info, matrix_shape(selection.info.shape)
        window = _window(shape)
        grid = _grid(*_key(selection), surface_window(window, shape, detail), selection.source, info)
        scene = SurfaceScene(
            grid,
            Label(info.name, info.dtype, tuple(info.shape), source_line(selection.location)),
            height_scale(grid.values, kind),
            colours.scale,
            colours.name,
            style,
            Camera.parse(_url_text("camera")),
        )
        token = str(st.session_state.get("camera_token", 0))
        state = surface_canvas(selection.source, info, scene, key="surface", token=token)
        st.session_state["camera"] = state.camera.text if state.camera else ""
        _below(state, shape)
        _export(replace(scene, camera=state.camera))


def _controls() -> tuple[Style, Kind, int]:
    """Shape, height scale, exaggeration, detail, wireframe and rotation, bound to the URL."""
    for key, choices in (("shape", SHAPES), ("height", SCALES), ("detail", DETAILS)):
        if st.session_state.get(key) not in (None, *choices):
            st.session_state.pop(key)  # from a bad URL
    shape_column, height_column, detail_column, raise_column, switches = st.columns([1, 1.2, 1.3, 1.5, 1])
    shape = shape_column.selectbox("Shape", SHAPES, key="shape", bind="query-params")
    kind = height_column.selectbox(
        "Heights",
        SCALES,
        key="height",
        bind="query-params",
        help="Over the full range of what is shown, so that the largest outlier stands highest. Symmetric log and rank "
        "lift the small ones.",
    )
    detail = detail_column.selectbox(
        "Cells a side",
        DETAILS,
        index=DETAILS.index(DEFAULT_DETAIL),
        key="detail",
        bind="query-params",
        help="At most so many cells; each shows the largest |w| of its entries, so no outlier is lost.",
    )
    exaggeration = raise_column.slider(
        "Exaggeration", 0.2, 4.0, 1.0, 0.1, key="raise", bind="query-params", help="Of the heights; colours stay."
    )
    with switches:
        is_wireframe = st.toggle("Wireframe", key="wireframe", bind="query-params")
        is_rotating = st.toggle("Rotate", key="rotate", bind="query-params")
    style = Style(shape or SHAPES[0], bool(is_wireframe), bool(is_rotating), float(exaggeration or 1.0))
    return style, kind or SCALES[0], int(detail or DEFAULT_DETAIL)


def _window(shape: tuple[int, int]) -> Viewport:
    view = View.parse(_url_text("view")) or View.full(shape)
    return Viewport(view.row_start, view.row_stop, view.column_start, view.column_stop)


def _url_text(key: str) -> str:
    return st.session_state.get(key) or st.query_params.get(key, "")


def _key(selection: Selection) -> tuple[str, str, str]:
    return selection.source.uri, selection.source.fingerprint, selection.info.name


@st.cache_data(max_entries=12, show_spinner="Reading the tensor …")
def _grid(uri: str, fingerprint: str, name: str, window: Viewport, _source: Source, _info: TensorInfo) -> Grid:
    return read_grid(_source, _info, window)


def _below(state: SurfaceState, shape: tuple[int, int]) -> None:
    region, camera, weight = st.columns([1.1, 1.1, 1.8], vertical_alignment="bottom")
    everything = f"0,{shape[0]},0,{shape[1]}"
    region.text_input(
        "Region",
        help="First row, row after the last, first column, column after the last; the same as on the Heatmap page.",
        key="view",
        bind="query-params",
        on_change=_region_changed,
        placeholder=f"{everything} (everything)",
    )
    camera.text_input(
        "Camera",
        help="Azimuth and elevation in degrees, distance, and the point looked at (across, along).",
        key="camera",
        bind="query-params",
        on_change=_camera_typed,
        placeholder="azimuth, elevation, distance, across, along",
    )
    with weight:
        if state.selected is None:
            st.caption("Click a weight to keep its exact value here.")
        else:
            _weight(state.selected, shape)


def _weight(selected: SelectedEntry, shape: tuple[int, int]) -> None:
    st.markdown(f"Row **{selected.row:,}**, column **{selected.column:,}**: `{selected.text}`")
    around, heatmap = st.columns(2)
    around.button(
        "Closer",
        key="surface-closer",
        icon=":material/zoom_in:",
        help="Show only the region around this weight.",
        width="stretch",
        on_click=_close_in,
        args=(selected.row, selected.column, shape),
    )
    if heatmap.button("Show in Heatmap", key="surface-heatmap", icon=":material/grid_on:", width="stretch"):
        st.session_state["jump"] = (selected.row, selected.column)
        st.session_state["look"] = None
        st.switch_page("pages/3_Heatmap.py")


def _region_changed() -> None:
    """The heatmap shall open at the new region, too."""
    st.session_state["view_start"] = (st.session_state["view"], None)
    st.session_state["view_token"] = st.session_state.get("view_token", 0) + 1


def _close_in(row: int, column: int, shape: tuple[int, int]) -> None:
    starts = [max(0, place - CONTEXT_LINES) for place in (row, column)]
    stops = [min(count, place + CONTEXT_LINES + 1) for place, count in zip((row, column), shape, strict=True)]
    st.session_state["view"] = View(starts[0], stops[0], starts[1], stops[1]).text
    _region_changed()


def _camera_typed() -> None:
    st.session_state["camera_token"] = st.session_state.get("camera_token", 0) + 1


def _export(scene: SurfaceScene) -> None:
    link, page, _ = st.columns([1, 1.4, 2])
    link.page_link("pages/3_Heatmap.py", label="This region as a heatmap", icon=":material/grid_on:")
    with page:
        st.download_button(
            "Save as HTML",
            lambda: surface_page(scene),
            safe_name(f"{scene.label.name}.3d", "html"),
            "text/html",
            key="surface-html",
            icon=":material/download:",
            on_click="ignore",
            disabled=0 in scene.grid.values.shape,
            help="One file that turns and names its cells anywhere, without the internet: "
            f"at most {bytes_text(MOST_BYTES)}, smaller for fewer cells.",
        )
