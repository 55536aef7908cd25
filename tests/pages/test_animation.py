"""The look "Animation" in-process: what it says where there is no film, and what it sends where there is one."""

import json
import struct

import numpy as np
import pytest

from storage.store import Store
from workflows import library

PAGE = "pages/3_Heatmap.py"
QUERY = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def look(open_page, added):
    """look(tensor=…, over=…) -> the Heatmap page at the animation of the small checkpoint."""

    def show(**parameters):
        app = open_page(PAGE, model=added, look="Animation", **parameters)
        assert not app.exception, app.exception
        return app

    return show


def film(app):
    """The header of the message that the player was sent; None if there is no player."""
    for element in app.get("bidi_component"):
        data = element.proto.mixed.json if element.proto.WhichOneof("data") == "mixed" else element.proto.bytes
        if isinstance(data, bytes) and len(data) > 4:
            (length,) = struct.unpack("<I", data[:4])
            header = json.loads(data[4 : 4 + length])
            if "film" in header:
                return header
    return None


def test_the_role_of_the_tensor_is_shown_over_the_layers(look):
    header = film(look(tensor=QUERY))
    assert header["labels"] == ["layer 0", "layer 1"] and header["matrix"] == [48, 64]
    assert header["title"] == "Query · weight" and len(header["frame_knots"]) == 1 and len(header["tiles"]) == 2


def test_one_scale_per_frame_and_the_frame_of_a_link(look):
    header = film(look(tensor=QUERY, frame_scale="one per frame", frame="1", speed="12"))
    assert len(header["frame_knots"]) == 2 and header["frame"] == 1 and header["speed"] == 12


@pytest.mark.parametrize("frame", ["-1", "99", "x", "²", "1" * 30])
def test_a_bad_link_shows_a_frame_that_there_is(look, frame):
    header = film(look(tensor=QUERY, frame=frame, speed=frame, over="nonsense", shows="nonsense", frame_scale="x"))
    assert header["frame"] in (0, 1) and header["speed"] == 0


@pytest.mark.parametrize("tensor", ["model.embed_tokens.weight", "broken.weight", "<b>*odd*</b>_[name](x)"])
def test_a_tensor_outside_the_layers_says_what_to_do(look, text_of, tensor):
    app = look(tensor=tensor)
    assert film(app) is None and "no like in other layers" in text_of(app)
    app = look(tensor=tensor, over="versions")
    assert film(app) is None and "checkpoint-100" in text_of(app)


def test_a_tensor_without_entries_has_no_film(open_page, tmp_path, write_safetensors, text_of):
    arrays = {f"layers.{k}.w.weight": np.zeros((0, 4), np.float32) for k in range(2)}
    name = library.add_path(Store(), write_safetensors(tmp_path / "hollow" / "model.safetensors", arrays)).name
    app = open_page(PAGE, model=name, look="Animation")
    assert not app.exception and film(app) is None and "no entries" in text_of(app)


def test_vectors_scalars_and_four_dimensions_move_as_well(open_page, tmp_path, write_safetensors):
    arrays = {}
    for k in range(3):
        arrays[f"layers.{k}.norm.weight"] = np.full(16, k, np.float32)
        arrays[f"layers.{k}.gate.scale"] = np.array(k / 2, np.float32)
        arrays[f"layers.{k}.conv.weight"] = np.full((4, 3, 2, 2), k, np.float16)
    name = library.add_path(Store(), write_safetensors(tmp_path / "odd" / "model.safetensors", arrays)).name
    for tensor, matrix in (("norm.weight", [1, 16]), ("gate.scale", [1, 1]), ("conv.weight", [4, 12])):
        app = open_page(PAGE, model=name, look="Animation", tensor=f"layers.1.{tensor}")
        assert not app.exception and film(app)["matrix"] == matrix and len(film(app)["labels"]) == 3


def test_what_is_no_number_is_undefined_and_not_an_error(open_page, tmp_path, write_safetensors):
    arrays = {f"layers.{k}.q_proj.weight": np.full((4, 4), [1.0, np.nan][k], np.float32) for k in range(2)}
    name = library.add_path(Store(), write_safetensors(tmp_path / "nan" / "model.safetensors", arrays)).name
    app = open_page(PAGE, model=name, look="Animation")
    assert not app.exception and film(app)["std"] == [0.0, None]


def test_versions_can_be_chosen_and_ordered(open_page, tmp_path, write_safetensors):
    for step in (1, 2, 3):
        arrays = {"layers.0.q_proj.weight": np.full((4, 4), step, np.float32)}
        path = write_safetensors(tmp_path / f"checkpoint-{step}" / "model.safetensors", arrays)
    name = library.add_path(Store(), path.parent).name
    app = open_page(PAGE, model=name, look="Animation")
    assert film(app)["labels"] == ["checkpoint-1", "checkpoint-2", name]  # one layer, so versions come first
    app.multiselect(key="versions").set_value([name, "checkpoint-1"]).run()
    assert film(app)["labels"] == [name, "checkpoint-1"]
    app.selectbox(key="shows").set_value("change since the one before").run()
    assert film(app)["labels"] == [f"checkpoint-1 − {name}"]


def test_a_quantised_model_is_shown_decoded(open_page, real_dir):
    files = sorted((real_dir / "stories260K-gguf").glob("*.gguf"))
    if not files:
        pytest.skip("no GGUF file is here")
    name = library.add_path(Store(), files[0]).name
    app = open_page(PAGE, model=name, look="Animation")
    assert not app.exception and len(film(app)["labels"]) > 1
