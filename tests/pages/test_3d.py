"""The page 3D Weights: what it sends to the browser follows the URL, and bad input is no crash."""

import json
import struct

import numpy as np
import pytest

from engine.colour_scales import SCALES
from figures.surface_scene import SHAPES

PAGE = "pages/4_3D_Weights.py"
TENSOR = "model.layers.1.self_attn.k_proj.weight"


def sent(app):
    assert not app.exception
    message = app.get("bidi_component")[0].proto.bytes
    (length,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + length])


@pytest.fixture
def odd(tmp_path, write_safetensors):
    from storage.store import Store
    from workflows import library

    arrays = {
        "empty": np.zeros((0, 7), np.float32),
        "one": np.array(2.5, np.float32),
        "vector": np.arange(50, dtype=np.float32),
        "equal": np.full((6, 9), -3.0, np.float32),
        "zeros": np.zeros((6, 9), np.float16),
        "nothing": np.full((4, 4), np.nan, np.float32),
        "kernel": np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32),
    }
    return library.add_path(Store(), write_safetensors(tmp_path / "odd" / "model.safetensors", arrays)).name


def test_the_page_says_what_to_do_in_an_empty_house(open_page, no_bundled_models, text_of):
    app = open_page(PAGE)
    assert not app.exception and "Zoo" in text_of(app)


def test_the_whole_tensor_is_shown_at_first(open_page, measured):
    header = sent(open_page(PAGE, model=measured, tensor=TENSOR))
    assert (header["name"], header["cells"], header["camera"]) == (TENSOR, [48, 64], None)
    assert header["style"] | {"most_bars": 0} == {
        "shape": "surface",
        "wireframe": False,
        "rotate": False,
        "exaggeration": 1.0,
        "most_bars": 0,
    }


def test_everything_in_the_url_is_obeyed(open_page, added):
    url = {"shape": "bars", "height": "rank", "detail": "128", "raise": "2.5", "wireframe": "true", "rotate": "true"}
    place = {"view": "4,20,10,40", "camera": "10,20,3,0.1,0.2", "weight": "5,12", "limits": "99.9 %"}
    header = sent(open_page(PAGE, model=added, tensor=TENSOR, **url, **place))
    assert header["cells"] == [16, 30] and header["rows"] == [4, 20, 1] and header["columns"] == [10, 40, 1]
    style = header["style"]
    assert (style["shape"], style["wireframe"], style["rotate"], style["exaggeration"]) == ("bars", True, True, 2.5)
    assert header["heights"]["kind"] == "rank" and header["camera"] == [10, 20, 3, 0.1, 0.2]
    assert header["selected"][:2] == [5, 12]


def test_a_senseless_url_is_no_crash(open_page, added):
    bad = {
        "shape": "blob",
        "height": "up",
        "detail": "9e9",
        "raise": "x",
        "camera": "1,2",
        "weight": "1,-1",
        "space": "?",
    }
    header = sent(open_page(PAGE, model=added, tensor=TENSOR, view="9,1,x", **bad))
    assert header["cells"] == [48, 64] and header["camera"] is None and header["selected"] is None
    assert header["style"]["shape"] == "surface" and header["heights"]["kind"] == "linear"
    assert sent(open_page(PAGE, model=added, tensor=TENSOR, weight="48,0"))["selected"] is None


def test_the_colours_are_those_of_the_heatmap(open_page, measured):
    url = {"model": measured, "tensor": TENSOR, "scale": "symmetric log", "colours": "purple-green"}
    here, there = (sent(open_page(page, **url)) for page in (PAGE, "pages/3_Heatmap.py"))
    assert here["knots"] == there["knots"] and here["colours"] == there["colours"]


@pytest.mark.parametrize(("shape", "height"), list(zip(SHAPES, SCALES, strict=True)))
def test_odd_tensors_are_sent_without_a_crash(open_page, odd, shape, height):
    cells = {}
    for name in ("empty", "one", "vector", "equal", "zeros", "nothing", "kernel"):
        cells[name] = sent(open_page(PAGE, model=odd, tensor=name, shape=shape, height=height))["cells"]
    assert cells == {
        "empty": [0, 7],
        "one": [1, 1],
        "vector": [1, 50],
        "equal": [6, 9],
        "zeros": [6, 9],
        "nothing": [4, 4],
        "kernel": [8, 36],
    }


def test_closer_shows_the_region_about_the_weight(open_page, added):
    app = open_page(PAGE, model=added, tensor="model.embed_tokens.weight", weight="200,10")
    assert sent(app)["selected"][:2] == [200, 10]
    app.button(key="surface-closer").click().run()
    assert sent(app)["rows"] == [176, 225, 1] and sent(app)["columns"] == [0, 35, 1]
    assert app.session_state["view"] == "176,225,0,35"


def test_the_heatmap_is_told_of_the_region_and_the_weight(open_page, added):
    app = open_page(PAGE, model=added, tensor="model.embed_tokens.weight", weight="200,10", view="150,260,0,40")
    assert sent(app)["rows"] == [150, 260, 1]
    assert app.session_state["view_start"] == ("150,260,0,40", (200, 10))


def test_sorted_rows_are_sorted_here_too_and_keep_their_numbers(open_page, added):
    url = {"model": added, "tensor": TENSOR, "rows": "norm", "weight": "5,12"}
    app = open_page(PAGE, **url)
    header, there = sent(app), sent(open_page("pages/3_Heatmap.py", **url))
    assert header["sorted"] == there["sorted"] == ["by norm", ""]
    row, column, text = header["selected"]
    assert column == 12 and f"Row **5**, column **12**: `{text}`" in [m.value for m in app.markdown]
    place = app.get("bidi_component")[0].proto.bytes
    offset = 4 + struct.unpack_from("<I", place)[0] + header["arrays"]["row_numbers"][1]
    assert np.frombuffer(place, "<u4", 48, offset)[row] == 5


def test_a_weight_belongs_to_its_tensor(open_page, added):
    app = open_page(PAGE, model=added, tensor=TENSOR, weight="5,12")
    app.selectbox(key="tensor").select("model.embed_tokens.weight").run()
    assert sent(app)["selected"] is None
