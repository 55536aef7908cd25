"""The scene as a message and as a page: exact numbers, escaped names, bounded size, no outside request."""

import base64
import json
import re
import struct
import zlib

import ml_dtypes
import numpy as np
import pytest

from engine.colour_scales import signed_scale
from engine.heatmaps import Grid
from engine.surfaces import height_scale
from figures.surface_scene import SCRIPTS, Label, Lines, Style, SurfaceScene, scene_header, scene_script
from figures.surface_scene.camera import Camera
from figures.surface_scene.message import MOST_STORED, encode_scene
from figures.surface_scene.page import MOST_BYTES, MOST_CELLS, surface_page

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&@data@@script@<!--"


def grid(values, stored=None):
    values = np.asarray(values, np.float32)
    rows, columns = values.shape
    return Grid(values, 0, rows, 0, columns, 1, 1, stored)


def scene(values, name="w", **changes):
    shown = values if isinstance(values, Grid) else grid(values)
    scale = height_scale(shown.values, "linear")
    label = Label(name, "F32", shown.values.shape, "a model")
    return SurfaceScene(shown, label, scale, signed_scale(1.0), "blue-red", **changes)


def decode(message):
    """Header and arrays: the format's description in `message.py`, read back."""
    (length,) = struct.unpack_from("<I", message)
    header, start = json.loads(message[4 : 4 + length]), 4 + length
    assert start % 8 == 0 and len(message) % 8 == 0
    arrays = {}
    for name, (encoding, offset, count) in header["arrays"].items():
        kind = {"hi16": "<u2", "u32": "<u4", "f32": "<f4", "f64": "<f8", "i64": "<i8", "u64": "<u8"}[encoding]
        array = np.frombuffer(message, kind, count, start + offset)
        arrays[name] = (array.astype("<u4") << 16).view("<f4") if encoding == "hi16" else array
    return header, arrays


def data_of(page):
    """What the page's own script unpacks."""
    text = re.search(r'id="data">([^<]*)</script>', page.decode())[1]
    return decode(zlib.decompress(base64.b64decode(text)))


def test_a_message_carries_the_cells_bit_for_bit():
    values = np.array([[0.1, -0.0, np.nan], [np.inf, 1e-45, -3e38]], np.float32)
    header, arrays = decode(encode_scene(scene(values), {}))
    assert arrays["values"].tobytes() == values.tobytes()
    assert header["cells"] == [2, 3] and header["rows"] == [0, 2, 1] and header["camera"] is None


def test_a_message_without_cells_is_small_and_says_so():
    values = np.random.default_rng(0).standard_normal((512, 512))
    message = encode_scene(scene(values), {}, has_cells=False)
    assert decode(message)[0]["arrays"] == {} and len(message) < 20_000


def test_cells_whose_lower_half_is_empty_travel_in_half_the_bytes():
    values = np.random.default_rng(0).standard_normal((64, 64)).astype(ml_dtypes.bfloat16).astype(np.float32)
    message = encode_scene(scene(values), {})
    assert decode(message)[1]["values"].tobytes() == values.tobytes()
    assert len(message) < len(encode_scene(scene(values + np.float32(1e-6)), {})) - values.nbytes // 2 + 16


@pytest.mark.parametrize("kind", ["int64", "uint64", "float64", "int32"])
def test_numbers_with_more_digits_than_float32_go_along_as_stored(kind):
    stored = (np.arange(6).reshape(2, 3) + 2**30 + 1).astype(kind)
    _, arrays = decode(encode_scene(scene(grid(stored, stored)), {}))
    assert arrays["stored"].tolist() == stored.ravel().tolist()
    many = np.zeros((1, MOST_STORED + 1), kind)
    assert "stored" not in decode(encode_scene(scene(grid(many, many)), {}))[1]


def test_sorted_lines_travel_with_their_numbers_in_the_file():
    header, arrays = decode(encode_scene(scene(np.zeros((2, 3)), rows=Lines(np.array([7, 2**31]), "by norm")), {}))
    assert arrays["row_numbers"].tolist() == [7, 2**31] and "column_numbers" not in arrays
    assert header["sorted"] == ["by norm", ""]


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
def test_a_scene_without_cells_travels_and_makes_a_page(shape):
    header, arrays = data_of(surface_page(scene(np.zeros(shape))))
    assert header["cells"] == list(shape) and arrays["values"].size == 0


def test_the_header_has_the_colours_of_the_heatmap():
    header = scene_header(scene([[1.0, -1.0]], style=Style("bars", True, True, 2.0), camera=Camera.parse("1,2,3,0,0")))
    assert header["knots"] == signed_scale(1.0).knots.tolist() and len(header["colours"]) == 6 * 256
    assert header["style"]["shape"] == "bars" and header["camera"] == [1, 2, 3, 0, 0]


def test_a_page_holds_the_scene_and_asks_for_nothing_outside():
    values = np.random.default_rng(0).standard_normal((20, 30)).astype(np.float32)
    page = surface_page(scene(values, camera=Camera.parse("10,20,3,0,0")))
    header, arrays = data_of(page)
    assert arrays["values"].tobytes() == values.tobytes() and header["camera"] == [10, 20, 3, 0, 0]
    text = page.decode()
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|\bsrc=|\bimport\b|\bfetch\(|XMLHttpRequest|WebSocket|url\(", text)


def test_a_hostile_name_is_text_wherever_it_stands():
    page = surface_page(scene([[1.0]], name=HOSTILE)).decode()
    assert HOSTILE not in page and "<img" not in page and page.count("</script>") == 2
    assert "&lt;/script&gt;" in page and "@data@@script@" in page
    assert data_of(page.encode())[0]["name"] == HOSTILE


def test_a_page_is_bounded_and_keeps_the_outlier():
    values = np.random.default_rng(0).standard_normal((2048, 1024)).astype(np.float32)
    values[1234, 567] = 1e6
    page = surface_page(scene(values))
    header, arrays = data_of(page)
    assert len(page) <= MOST_BYTES
    assert header["cells"][0] * header["cells"][1] <= MOST_CELLS and arrays["values"].max() == 1e6


def test_the_scripts_define_every_name_once():
    names = re.findall(r"^(?:class|function|const) (\w+)", scene_script(), re.MULTILINE)
    assert len(names) == len(set(names)) and len(SCRIPTS) > 5


@pytest.mark.parametrize("text", ["-32,36,4.4,0,0.12", "0,89,0.2,-1.5,1.5", " 1 , 2, 3,4e-1,0"])
def test_a_camera_in_the_url_is_read_back(text):
    camera = Camera.parse(text)
    assert Camera.parse(camera.text) == camera


@pytest.mark.parametrize("text", ["", "1,2,3,4", "1,2,3,4,5,6", "a,b,c,d,e", "nan,0,3,0,0", "inf,0,3,0,0", "1,,3,0,0"])
def test_a_camera_that_makes_no_sense_is_none(text):
    assert Camera.parse(text) is None


@pytest.mark.parametrize("numbers", [None, "1,2,3,0,0", {}, [1, 2, 3, 0], [1, 2, None, 0, 0], [True, "x", 1, 0, 0]])
def test_whatever_a_browser_sends_is_a_camera_or_none(numbers):
    assert Camera.of(numbers) is None


def test_a_camera_far_outside_is_brought_into_range():
    assert Camera.parse("1e9,-1e9,1e9,-1e9,1e9") == Camera(360.0, -89.0, 12.0, -1.5, 1.5)
