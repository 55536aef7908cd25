"""The wire between server and canvas: exact numbers out, nothing believed that comes in."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from engine.heatmaps import Grid, Viewport
from ui.heatmap_canvas import Edges, Frame, SelectedEntry, SortedLines
from ui.heatmap_canvas.frame import MOST_LINES
from ui.heatmap_canvas.message import encode_message
from ui.heatmap_canvas.requests import (
    MOST_CELLS,
    AskedView,
    View,
    asked_cell,
    asked_rectangle,
    asked_view,
    tile_window,
)


def decode(message):
    """The header, and for each tile its arrays: the format's description in `message.py`, read back."""
    (length,) = struct.unpack_from("<I", message)
    header, start = json.loads(message[4 : 4 + length]), 4 + length
    assert start % 8 == 0 and len(message) % 8 == 0
    tiles = {}
    for tile in header["tiles"]:
        count = tile["shape"][0] * tile["shape"][1]
        encoding, offset = tile["values"]
        if encoding == "hi16":
            upper = np.frombuffer(message, "<u2", count, start + offset)
            values = (upper.astype("<u4") << 16).view("<f4")
        else:
            values = np.frombuffer(message, "<f4", count, start + offset)
        stored = None
        if "stored" in tile:
            kind, offset = tile["stored"]
            stored = np.frombuffer(message, {"f64": "<f8", "i64": "<i8", "u64": "<u8"}[kind], count, start + offset)
        tiles[tile["id"]] = values.reshape(tile["shape"]), stored, encoding
    return header, tiles


def grid(values, stored=None):
    h, w = values.shape
    return Grid(values, 0, h, 0, w, 1, 1, stored)


def test_a_message_carries_header_and_tiles_bit_for_bit():
    values = np.array([[0.1, -0.0, np.nan], [np.inf, 1e-45, -3e38]], np.float32)
    header, tiles = decode(encode_message({"name": "ü<b>"}, {"a": grid(values), "b": grid(values[:1, :1])}))
    assert header["name"] == "ü<b>"
    assert tiles["a"][0].tobytes() == values.tobytes() and tiles["b"][0].tobytes() == values[:1, :1].tobytes()
    assert header["tiles"][0]["rows"] == [0, 2, 1] and header["tiles"][0]["columns"] == [0, 3, 1]


def test_numbers_whose_lower_half_is_empty_travel_in_half_the_bytes():
    values = np.random.default_rng(0).standard_normal((100, 100)).astype(ml_dtypes.bfloat16).astype(np.float32)
    halved = encode_message({}, {"a": grid(values)})
    _, tiles = decode(halved)
    assert tiles["a"][2] == "hi16" and tiles["a"][0].tobytes() == values.tobytes()
    assert len(halved) < 0.55 * values.nbytes


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (np.array([[0.1, 1e300]]), "f64"),
        (np.array([[2**62 + 1, -(2**62) - 1]]), "i64"),
        (np.array([[2**64 - 1, 0]], np.uint64), "u64"),
        (np.array([[2**31 - 1, -1]], np.int32), "f64"),
    ],
)
def test_wide_types_travel_with_every_digit(stored, kind):
    with np.errstate(over="ignore"):
        header, tiles = decode(encode_message({}, {"a": grid(stored.astype(np.float32), stored)}))
    assert header["tiles"][0]["stored"][0] == kind
    assert [type(stored.item(k))(tiles["a"][1][k]) for k in range(2)] == stored.ravel().tolist()


def test_a_tile_without_entries_travels_too():
    assert decode(encode_message({}, {"a": grid(np.zeros((0, 5), np.float32))}))[1]["a"][0].shape == (0, 5)


def test_lists_of_numbers_travel_beside_the_tiles():
    sums, numbers = np.array([0.1, -1e300, np.inf]), np.array([5, 0, 2**31 - 1])
    frame = Frame(rows=SortedLines(numbers, "by norm"), edges=Edges("sum", lambda: (sums, sums[:1])))
    message = encode_message({}, {"a": grid(np.ones((3, 3), np.float32))}, frame.line_numbers() | frame.edge_lists())
    (length,) = struct.unpack_from("<I", message)
    lists = json.loads(message[4 : 4 + length])["lists"]
    read = {
        name: np.frombuffer(message, {"f32": "<f4", "i32": "<i4"}[encoding], count, 4 + length + offset).tolist()
        for name, (encoding, offset, count) in lists.items()
    }
    most = float(np.finfo(np.float32).max)
    assert read == {
        "row_numbers": numbers.tolist(),
        "edge_rows": [float(np.float32(0.1)), -most, np.inf],
        "edge_columns": [float(np.float32(0.1))],
    }


def test_more_lines_than_travel_are_pooled_to_those_of_largest_magnitude():
    sums = np.zeros(2 * MOST_LINES)
    sums[[0, 777_777 % sums.size]] = -3, 4
    sent = Frame(edges=Edges("sum", lambda: (sums, sums[:2]))).edge_lists()["edge_rows"]
    assert sent.size == MOST_LINES and sent[0] == -3 and sent[(777_777 % sums.size) // 2] == 4


def test_a_frame_translates_between_places_and_numbers_of_the_file():
    frame = Frame(rows=SortedLines(np.array([2, 0, 1]), "by norm"))
    assert [frame.place((row, 7)) for row in (0, 1, 2)] == [(1, 7), (2, 7), (0, 7)]
    assert all(frame.number(frame.place((row, 7))) == (row, 7) for row in range(3))
    assert frame.place((9, 7)) == (-1, 7) and frame.place((None, 3)) == (None, 3)
    assert Frame().place((4, 5)) == Frame().number((4, 5)) == (4, 5)


@settings(max_examples=200, deadline=None)
@given(window=st.lists(st.integers(-9, 40) | st.floats(-9, 40), min_size=4, max_size=4) | st.none() | st.text())
def test_whatever_a_browser_draws_is_a_rectangle_or_nothing(window):
    asked = asked_rectangle({"view_id": "v", "window": window}, "v")
    assert asked_rectangle({"view_id": "v", "window": window}, "other") is None
    if window is None:
        assert asked.rectangle is None
    elif asked is not None:
        view = asked.rectangle.clipped((20, 30))
        assert 0 <= view.row_start < view.row_stop <= 20 and 0 <= view.column_start < view.column_stop <= 30


@pytest.mark.parametrize(("text", "view"), [("0,5,2,9", View(0, 5, 2, 9)), (" 1, 2 ,3,4", View(1, 2, 3, 4))])
def test_a_view_in_the_url_is_read_back(text, view):
    assert View.parse(text) == view
    assert View.parse(view.text) == view


@pytest.mark.parametrize(
    "text", ["", "full", "1,2,3", "1,2,3,4,5", "-1,2,3,4", "5,5,0,1", "0,1,9,8", "1e3,2,3,4", "²,9,0,1"]
)
def test_a_view_that_makes_no_sense_is_none(text):
    assert View.parse(text) is None


def test_an_absurdly_large_view_is_cut_to_the_tensor():
    assert View.parse(f"0,{10**40},0,{10**40}").clipped((7, 5)) == View.full((7, 5))
    assert View.parse("900,901,900,901").clipped((7, 5)) == View(6, 7, 4, 5)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(window=ANY_JSON, pixels=ANY_JSON, sequence=ANY_JSON, overview=ANY_JSON)
def test_whatever_a_browser_sends_is_a_bounded_request_or_none(window, pixels, sequence, overview):
    raw = {"view_id": "v", "window": window, "pixels": pixels, "sequence": sequence, "overview": overview}
    asked = asked_view(raw, "v")
    if asked is not None:
        tile = tile_window(asked.view.clipped((1000, 50)), (1000, 50), asked, (512, 1024))
        assert 0 <= tile.row_start < tile.row_stop <= 1000 and 0 <= tile.column_start < tile.column_stop <= 50
        assert tile.max_rows * tile.max_columns <= MOST_CELLS
    asked_cell(raw, "v")


@pytest.mark.parametrize("raw", [None, 3, [], {}, {"view_id": "other", "window": [0, 1, 0, 1], "pixels": [9, 9]}])
def test_a_request_for_another_tensor_or_none_at_all_is_none(raw):
    assert asked_view(raw, "v") is None and asked_cell(raw, "v") is None


def test_a_cleared_selection_is_told_from_no_click_at_all():
    assert asked_cell({"view_id": "v", "window": None}, "v").window is None
    assert asked_cell({"view_id": "v", "window": [1, 2, 3, 4]}, "v").window == Viewport(1, 2, 3, 4)


@given(
    start=st.integers(0, 900),
    span=st.integers(1, 1000),
    height=st.integers(64, 2048),
    width=st.integers(64, 2048),
)
def test_the_window_read_covers_the_view_and_grows_only_while_every_entry_keeps_a_cell(start, span, height, width):
    shape = (1000, 1000)
    view = View(start, start + span, start, start + span).clipped(shape)
    tile = tile_window(view, shape, AskedView(view, height, width, 1, ""), (512, 1024))
    assert tile.row_start <= view.row_start and tile.row_stop >= view.row_stop
    assert tile.column_start <= view.column_start and tile.column_stop >= view.column_stop
    if view.row_stop - view.row_start > tile.max_rows:
        assert (tile.row_start, tile.row_stop) == (view.row_start, view.row_stop)
    else:
        assert tile.row_stop - tile.row_start <= tile.max_rows


APP = """
import engine.sources, streamlit as st
from engine.colour_limits import colour_limits
from engine.colour_scales import linear_scale
from ui.colours import Colours
from ui.heatmap_canvas import Start, View, heatmap_canvas

source = engine.sources.open(r"{path}")
info = source.info("w")
colours = Colours(linear_scale(colour_limits(source, info)), "viridis")
start = Start(View(2, 4, 1, 3), (3, 2), "jump")
state = heatmap_canvas(source, info, key="c", colours=colours, start=start)
st.text(f"{{state.view.text}} {{state.is_full}} {{state.selected}}")
"""


def test_a_canvas_starts_where_it_is_told_and_names_the_entry_exactly(tmp_path, write_safetensors):
    values = np.random.default_rng(0).standard_normal((10, 8)).astype(ml_dtypes.bfloat16)
    path = write_safetensors(tmp_path / "m.safetensors", {"w": values})
    for _ in range(2):
        app = AppTest.from_string(APP.format(path=path)).run()
        assert not app.exception
        value = values[3, 2]
        selected = SelectedEntry(3, 2, value, repr(float(value)))
        assert app.text[0].value == f"2,4,1,3 False {selected}"
