"""The 3D canvas: a window of a tensor as a surface, points or bars in the browser.

The numbers travel once for each window and fineness; colours, heights, shape and camera are told without them. What is
drawn is `figures.surface_scene`; this package is the wire.

    @st.fragment
    def view() -> None:
        state = surface_canvas(source, info, scene, key="surface")
        st.session_state["camera"] = state.camera.text
        if state.selected is not None:
            st.write(state.selected.row, state.selected.column, state.selected.text)

Call it inside an `st.fragment`: every turn and every click reruns whatever surrounds it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from engine.folding import matrix_shape
from engine.heatmaps import Viewport, entry_text, exact_value, largest_entry
from engine.sources.base import Source, TensorInfo
from figures.surface_scene import SurfaceScene, scene_header, scene_script, scene_text
from figures.surface_scene.camera import Camera
from figures.surface_scene.message import encode_scene
from ui.heatmap_canvas import SelectedEntry
from ui.heatmap_canvas.requests import asked_cell

_CANVAS = st.components.v2.component(
    "weightscope.surface_canvas",
    html=scene_text("scene.html"),
    css=scene_text("scene.css"),
    js=f"{scene_script()}\n{Path(__file__).with_name('component.js').read_text(encoding='utf-8')}",
)


@dataclass(frozen=True)
class SurfaceState:
    """What the canvas shows now. `camera`: from where, None as at first; `selected`: the marked entry, if any."""

    camera: Camera | None
    selected: SelectedEntry | None


def surface_canvas(
    source: Source, info: TensorInfo, scene: SurfaceScene, *, key: str, token: str = "", height: int = 600
) -> SurfaceState:
    """Draw a window of a tensor in three dimensions.

    Args:
        source, info: the tensor, to name its entries exactly. scene: what to draw; its camera counts at first, later
            the person's own moves stand. key: unique on the page; may stay the same for another tensor.
        token: give another one to send the camera to the scene's again. height: of the picture, in CSS pixels.
    Returns: the camera and the entry selected; the entry of largest magnitude, where a cell is more than one.
    Raises: what the source raises when it cannot be read.
    """
    state = st.session_state.get(key) or {}
    grid = scene.grid
    tensor_id = _digest(source.uri, source.fingerprint, info.name)
    window = (grid.row_start, grid.row_stop, grid.row_step, grid.column_start, grid.column_stop, grid.column_step)
    grid_id = _digest(tensor_id, str(window))
    told = state.get("camera") if isinstance(state.get("camera"), dict) else {}
    camera = _camera(told, token, scene.camera)
    cell = asked_cell(state.get("cell"), tensor_id)
    selected = _entry(source, info, cell.window if cell else None)
    header = scene_header(scene) | {
        "view_id": tensor_id,
        "grid_id": grid_id,
        "matrix": list(matrix_shape(info.shape)),
        "camera": camera and camera.numbers,
        "camera_token": token,
        "selected": None if selected is None else [selected.row, selected.column, selected.text],
        "height": height,
    }
    is_held = told.get("holds") == grid_id
    _CANVAS(
        key=key,
        data=encode_scene(header, None if is_held else grid),
        on_camera_change=_nothing,
        on_cell_change=_nothing,
    )
    return SurfaceState(camera, selected)


def _camera(told: dict, token: str, start: Camera | None) -> Camera | None:
    """Where the person turned it since the token was given; before that, where it starts."""
    return Camera.of(told.get("numbers")) if told.get("token") == token else start


def _entry(source: Source, info: TensorInfo, window: Viewport | None) -> SelectedEntry | None:
    """The entry of largest magnitude in a clicked cell."""
    if window is None or 0 in matrix_shape(info.shape):
        return None
    row, column = largest_entry(source, info, window)
    value = exact_value(source, info, row, column)
    return SelectedEntry(row, column, value, entry_text(value))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _nothing() -> None:
    """Streamlit returns a state key only where a callback is given for it."""
