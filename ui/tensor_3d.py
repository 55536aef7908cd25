"""The selected tensor in three dimensions, with its controls; everything a person sets lives in the URL."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from engine.colour_scales import SCALES, Kind
from engine.folding import matrix_shape
from engine.heatmaps import Grid, Viewport, read_grid
from engine.sources.base import Source, TensorInfo
from engine.surfaces import height_scale, surface_window
from figures.surface_scene import SHAPES, Label, Lines, Style, SurfaceScene
from figures.surface_scene.camera import Camera
from figures.surface_scene.page import MOST_BYTES, surface_page
from ui.arrangement import arranged, order_controls, sorting_report
from ui.colours import colour_controls
from ui.heatmap_canvas import Frame, SelectedEntry, SortedLines, View
from ui.page import user_errors
from ui.selection import Selection
from ui.surface_canvas import Start, SurfaceState, surface_canvas
from ui.tensor_view import CONTEXT_LINES, SHARED_PARAMETERS, tensor_caption
from workflows.view_export import safe_name, source_line
from workflows.wording import bytes_text

DETAILS = ("128", "256", "512", "1024")
DEFAULT_DETAIL = "256"
"""Cells a side, as in the URL. Ours: 256² is 256 kB and turns smoothly everywhere; 1024² is a million vertices."""

TENSOR, WHOLE_MODEL = "Tensor", "Whole model"
SPACES = (TENSOR, WHOLE_MODEL)


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
        colouring, ordering = st.columns([3, 2])
        with colouring:
            colours = colour_controls(selection)
        with ordering:
            order_controls(st.columns(2), _forget_region)
        style, kind, detail = _controls()
        shown = arranged(selection)
        source, info, shape = shown.source, shown.info, matrix_shape(shown.info.shape)
        grid = _grid(
            source.uri, source.fingerprint, info.name, surface_window(_window(shape), shape, detail), source, info
        )
        scene = SurfaceScene(
            grid,
            Label(info.name, info.dtype, tuple(info.shape), source_line(selection.location)),
            height_scale(grid.values, kind),
            colours.scale,
            colours.name,
            style,
            Camera.parse(_url_text("camera")),
            _lines(shown.rows, grid.row_start, grid.row_stop),
            _lines(shown.columns, grid.column_start, grid.column_stop),
        )
        token = str(st.session_state.get("camera_token", 0))
        frame = Frame(rows=shown.rows, columns=shown.columns)
        start = Start(_kept_weight(selection), token, frame)
        state = surface_canvas(source, info, scene, key="surface", start=start)
        st.session_state["camera"] = state.camera.text if state.camera else ""
        _keep_weight(state.selected)
        _below(state, shape, frame)
        _export(replace(scene, camera=state.camera))
        if shown.is_sorted:
            sorting_report(selection)


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


def _lines(lines: SortedLines | None, start: int, stop: int) -> Lines | None:
    return lines and Lines(lines.numbers[start:stop], lines.title)


@st.cache_data(max_entries=12, show_spinner="Reading the tensor …")
def _grid(uri: str, fingerprint: str, name: str, window: Viewport, _source: Source, _info: TensorInfo) -> Grid:
    return read_grid(_source, _info, window)


def _kept_weight(selection: Selection) -> tuple[int, int] | None:
    """The weight that was clicked, as in `?weight=`; it belongs to one tensor."""
    tensor = (selection.location.uri, selection.info.name)
    is_same = st.session_state.get("weight_of", tensor) == tensor
    st.session_state["weight_of"] = tensor
    numbers = (_url_text("weight") if is_same else "").split(",")
    is_place = len(numbers) == 2 and all(part.isascii() and part.isdigit() and len(part) < 18 for part in numbers)
    return (int(numbers[0]), int(numbers[1])) if is_place else None


def _keep_weight(selected: SelectedEntry | None) -> None:
    """Remember it for the URL, and for the heatmap, which opens at this region with the weight marked."""
    text = "" if selected is None else f"{selected.row},{selected.column}"
    st.session_state["weight"] = text
    if selected is None:
        st.query_params.pop("weight", None)
        st.session_state.pop("view_start", None)
        return
    st.query_params["weight"] = text
    start = (_url_text("view"), (selected.row, selected.column))
    if st.session_state.get("view_start") != start:
        st.session_state["view_start"] = start
        st.session_state["view_token"] = st.session_state.get("view_token", 0) + 1


def _below(state: SurfaceState, shape: tuple[int, int], frame: Frame) -> None:
    region, camera, weight = st.columns([1.1, 1.1, 1.8], vertical_alignment="bottom")
    everything = f"0,{shape[0]},0,{shape[1]}"
    region.text_input(
        "Region",
        help="First row, row after the last, first column, column after the last; the same as on the Heatmap page.",
        key="view",
        bind="query-params",
        placeholder=f"{everything} (everything)",
    )
    camera.text_input(
        "Camera",
        help="Azimuth and elevation in degrees, distance, and the point looked at (across, along).",
        key="camera",
        bind="query-params",
        on_change=_camera_typed,
        placeholder="fits all of it",
    )
    with weight:
        if state.selected is None:
            st.caption("Click a weight to keep its exact value here.")
        else:
            _weight(state.selected, shape, frame)


def _weight(selected: SelectedEntry, shape: tuple[int, int], frame: Frame) -> None:
    st.markdown(f"Row **{selected.row:,}**, column **{selected.column:,}**: `{selected.text}`")
    st.button(
        "Closer",
        key="surface-closer",
        icon=":material/zoom_in:",
        help="Show only the region around this weight.",
        on_click=_close_in,
        args=(frame.place((selected.row, selected.column)), shape),
    )


def _close_in(place: tuple[int, int], shape: tuple[int, int]) -> None:
    starts = [max(0, at - CONTEXT_LINES) for at in place]
    stops = [min(count, at + CONTEXT_LINES + 1) for at, count in zip(place, shape, strict=True)]
    st.session_state["view"] = View(starts[0], stops[0], starts[1], stops[1]).text


def _forget_region() -> None:
    """In another order, the same places hold other lines."""
    st.session_state["view"] = ""


def _camera_typed() -> None:
    st.session_state["camera_token"] = st.session_state.get("camera_token", 0) + 1


def _export(scene: SurfaceScene) -> None:
    link, page, _ = st.columns([1.2, 1.2, 2], vertical_alignment="center")
    parameters = {key: st.query_params[key] for key in (*SHARED_PARAMETERS, "view") if key in st.query_params}
    link.page_link(
        "pages/3_Heatmap.py",
        label="Show in Heatmap",
        icon=":material/grid_on:",
        query_params=parameters,
        help="The same region, with the clicked weight marked.",
    )
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
