"""The wire between server and 3D canvas: cells once, exact answers, nothing believed that comes in."""

import json
import struct

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

APP = """
import engine.sources, streamlit as st
from engine.colour_scales import signed_scale
from engine.heatmaps import full_view, read_grid
from engine.surfaces import height_scale
from figures.surface_scene import Label, SurfaceScene
from figures.surface_scene.camera import Camera
from ui.surface_canvas import Start, surface_canvas

source = engine.sources.open(r"{path}")
info = source.info(st.session_state.get("name", "w"))
grid = read_grid(source, info, full_view(info, 4, 4))
label = Label(info.name, info.dtype, tuple(info.shape))
scale = height_scale(grid.values, "linear")
scene = SurfaceScene(grid, label, scale, signed_scale(1.0), "blue-red", camera=Camera.parse("10,20,3,0,0"))
start = Start(st.session_state.get("start"), st.session_state.get("token", "0"))
state = surface_canvas(source, info, scene, key="s", start=start)
st.text(f"{{state.camera.text if state.camera else None}}")
st.text(f"{{state.selected and (state.selected.row, state.selected.column, state.selected.text)}}")
"""


@pytest.fixture
def values():
    values = np.random.default_rng(0).standard_normal((10, 8)).astype(np.float32)
    values[9, 7] = 77.25
    return values


@pytest.fixture
def app(tmp_path, write_safetensors, values):
    arrays = {"w": values, "empty": np.zeros((0, 3), np.float32), "one": np.array(2.5, np.float32)}
    return AppTest.from_string(APP.format(path=write_safetensors(tmp_path / "m.safetensors", arrays)))


def sent(app):
    """Header of the message and the number of bytes after it."""
    assert not app.exception
    message = app.get("bidi_component")[0].proto.bytes
    (length,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + length]), len(message) - 4 - length


def texts(app):
    return [text.value for text in app.text]


def told(app, camera=None, cell=None, view_id=None):
    header, _ = sent(app)
    state = {"camera": camera} if camera is not None else {}
    if cell is not None:
        state["cell"] = {"view_id": view_id or header["view_id"], "window": cell}
    app.session_state["s"] = state
    return app.run()


def test_cells_travel_until_the_browser_says_that_it_holds_them(app):
    header, num_bytes = sent(app.run())
    assert header["cells"] == [4, 4] and num_bytes == 64
    held = {"numbers": None, "token": "0", "holds": header["grid_id"]}
    assert sent(told(app, held))[1] == 0
    assert sent(told(app, held | {"holds": ""}))[1] == 64  # a new canvas on the same page asks again
    app.session_state["name"] = "one"
    assert sent(app.run())[1] == 8


def test_the_camera_is_the_start_until_the_person_turns_it_and_again_after_another_token(app):
    assert texts(app.run())[0] == "10,20,3,0,0"
    assert texts(told(app, {"numbers": [50, 60, 2, 0, 0], "token": "0"}))[0] == "50,60,2,0,0"
    assert texts(told(app, {"numbers": None, "token": "0"}))[0] == "None"  # reset
    app.session_state["token"] = "1"
    assert texts(app.run())[0] == "10,20,3,0,0"


def test_a_clicked_cell_is_answered_with_its_largest_entry_as_stored(app, values):
    app.run()
    told(app, cell=[8, 10, 6, 8])
    assert texts(app)[1] == "(9, 7, '77.25')" and sent(app)[0]["selected"] == [9, 7, "77.25"]
    told(app, cell=[3, 4, 5, 6])
    assert texts(app)[1] == str((3, 5, str(values[3, 5])))
    app.session_state["s"] = {"cell": {"view_id": sent(app)[0]["view_id"], "window": None}}
    assert texts(app.run())[1] == "None"


def test_a_selection_from_the_url_is_marked_if_the_tensor_has_it(app, values):
    app.session_state["start"] = (2, 3)
    assert texts(app.run())[1] == str((2, 3, str(values[2, 3])))
    app.session_state["start"] = (2, 8)
    assert texts(app.run())[1] == "None"


@pytest.mark.parametrize(
    "camera", [3, "x", [], {}, {"numbers": "x", "token": "0"}, {"numbers": [1e999] * 5, "token": "0"}]
)
def test_a_senseless_camera_from_the_browser_is_passed_over(app, camera):
    app.run()
    assert texts(told(app, camera))[0] in ("10,20,3,0,0", "None")


@pytest.mark.parametrize("window", ["x", [1], [1, 2, 3, None], {"a": 1}])
def test_a_senseless_cell_from_the_browser_selects_nothing(app, window):
    app.run()
    assert texts(told(app, cell=window))[1] == "None"


def test_a_click_on_another_tensor_does_not_count(app):
    app.run()
    assert texts(told(app, cell=[0, 1, 0, 1], view_id="other"))[1] == "None"


@pytest.mark.parametrize(("name", "cells"), [("empty", [0, 3]), ("one", [1, 1])])
def test_tensors_without_entries_and_scalars_are_sent_too(app, name, cells):
    app.session_state["name"] = name
    assert sent(app.run())[0]["cells"] == cells
    assert texts(told(app, cell=[0, 1, 0, 1]))[1] == ("None" if name == "empty" else "(0, 0, '2.5')")
