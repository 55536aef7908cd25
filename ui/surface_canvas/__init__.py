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
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from engine.folding import matrix_shape
from engine.heatmaps import Viewport, entry_text, exact_value, largest_entry
from engine.sources.base import Source, TensorInfo
from figures.surface_scene import SurfaceScene, scene_script, scene_text
from figures.surface_scene.camera import Camera
from figures.surface_scene.message import encode_scene
from ui.heatmap_canvas import Frame, SelectedEntry
from ui.heatmap_canvas.requests import asked_cell

_CANVAS = st.components.v2.component(
    "weightscope.surface_canvas",
    html=scene_text("scene.html"),
    css=scene_text("scene.css"),
    js=f"{scene_script()}\n{Path(__file__).with_name('component.js').read_text(encoding='utf-8')}",
)


@dataclass(frozen=True)
class Start:
    """Where the canvas begins; later the person's own moves stand.

    Attributes:
        selected: (row, column) of the file, marked at first. token: give another one to send the camera to the scene's
            again. frame: how the lines are sorted.
    """

    selected: tuple[int, int] | None = None
    token: str = ""
    frame: Frame = field(default_factory=Frame)

    @property
    def place(self) -> tuple[int, int] | None:
        """Where the selected entry is in the picture."""
        return self.selected and self.frame.place(self.selected)


@dataclass(frozen=True)
class SurfaceState:
    """What the canvas shows now. `camera`: from where, None as at first; `selected`: the marked entry, if any."""

    camera: Camera | None
    selected: SelectedEntry | None


def surface_canvas(
    source: Source, info: TensorInfo, scene: SurfaceScene, *, key: str, start: Start | None = None, height: int = 600
) -> SurfaceState:
    """Draw a window of a tensor in three dimensions.

    Args:
        source, info: the tensor in the order shown, to name its entries. scene: what to draw; its camera counts
            at first, later the person's own moves stand. key: unique on the page; may stay the same for another tensor.
        start: where it begins. height: of the picture, in CSS pixels.
    Returns: the camera and the entry selected; the entry of largest magnitude, where a cell is more than one.
    Raises: what the source raises when it cannot be read.
    """
    start = start or Start()
    state = st.session_state.get(key) or {}
    grid = scene.grid
    tensor_id = _digest(source.uri, source.fingerprint, info.name)
    window = (grid.row_start, grid.row_stop, grid.row_step, grid.column_start, grid.column_stop, grid.column_step)
    grid_id = _digest(tensor_id, str(window))
    told = state.get("camera") if isinstance(state.get("camera"), dict) else {}
    camera = _camera(told, start.token, scene.camera)
    cell = asked_cell(state.get("cell"), tensor_id)
    selected, marked = _entry(source, info, cell.window if cell else start.place, start.frame)
    also = {
        "view_id": tensor_id,
        "grid_id": grid_id,
        "matrix": list(matrix_shape(info.shape)),
        "camera": camera and camera.numbers,
        "camera_token": start.token,
        "selected": marked,
        "height": height,
    }
    _CANVAS(
        key=key,
        data=encode_scene(scene, also, has_cells=told.get("holds") != grid_id),
        on_camera_change=_nothing,
        on_cell_change=_nothing,
    )
    return SurfaceState(camera, selected)


def _camera(told: dict, token: str, start: Camera | None) -> Camera | None:
    """Where the person turned it since the token was given; before that, where it starts."""
    return Camera.of(told.get("numbers")) if told.get("token") == token else start


def _entry(
    source: Source, info: TensorInfo, place: Viewport | tuple[int, int] | None, frame: Frame
) -> tuple[SelectedEntry | None, list | None]:
    """The entry at a place (of a clicked cell, the one of largest magnitude), and how it is marked: in places."""
    rows, columns = matrix_shape(info.shape)
    if place is None or rows == 0 or columns == 0:
        return None, None
    row, column = largest_entry(source, info, place) if isinstance(place, Viewport) else place
    if not (0 <= row < rows and 0 <= column < columns):
        return None, None
    value = exact_value(source, info, row, column)
    text = entry_text(value)
    return SelectedEntry(*frame.number((row, column)), value, text), [row, column, text]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _nothing() -> None:
    """Streamlit returns a state key only where a callback is given for it."""
