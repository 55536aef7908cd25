"""The city: where blocks stand, how high, in which colour; read back from the JSON that the browser gets."""

import json

import numpy as np
import pytest

from engine.naming import place
from engine.panorama import Member, panorama
from figures.model_deck import BLOCKS, CAMERAS, LABEL_ROOM, LEAST_HEIGHT, MOST_HEIGHT, City, model_deck

NAMES = ["embed_tokens.weight", *(f"h.{layer}.attn.{role}_proj.weight" for layer in range(2) for role in "qk")]
LAYOUT = panorama([Member(name, (8, 8), place(name)) for name in NAMES])


def city(**changes):
    count = len(NAMES)
    values = {
        "layout": LAYOUT,
        "names": NAMES,
        "facts": ["8 × 8"] * count,
        "heights": np.array([1.0, 0.5, 0.25, 0.0, np.nan]),
        "are_cut": np.array([True, False, False, False, False]),
        "colours": np.arange(3 * count, dtype=np.uint8).reshape(count, 3),
        "are_coloured": np.array([True, True, True, True, False]),
        "height_words": ["h"] * count,
        "colour_words": ["c"] * count,
        "shown": range(count),
        "selected": 1,
    }
    return City(**(values | changes))


def layers_of(deck):
    return {layer["id"]: layer for layer in json.loads(deck.to_json())["layers"]}


def test_each_tensor_is_a_block_where_its_tile_lies_as_high_and_coloured_as_asked():
    blocks = layers_of(model_deck(city()))[BLOCKS]["data"]
    assert [block["tensor"] for block in blocks] == NAMES
    assert [block["high"] for block in blocks] == [
        MOST_HEIGHT,
        MOST_HEIGHT / 2,
        MOST_HEIGHT / 4,
        LEAST_HEIGHT,
        LEAST_HEIGHT,
    ]
    assert [block["fill"] for block in blocks[:4]] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert blocks[4]["fill"] != [12, 13, 14]  # undefined: neutral
    for block, tile in zip(blocks, LAYOUT.tiles, strict=True):
        x, y = np.mean(block["plan"], axis=0)
        shift = LABEL_ROOM if tile.column is None else 0.0
        assert (x, y) == pytest.approx((tile.x + tile.width / 2 - shift, -tile.y - tile.height / 2), abs=1e-3)


def test_blocks_never_touch():
    blocks = layers_of(model_deck(city()))[BLOCKS]["data"]
    corners = np.array([[np.min(block["plan"], axis=0), np.max(block["plan"], axis=0)] for block in blocks])
    for a in range(len(blocks)):
        for b in range(a):
            apart = (corners[a, 0] >= corners[b, 1]) | (corners[b, 0] >= corners[a, 1])
            assert apart.any()


def test_what_is_cut_has_an_arrow_and_what_is_selected_a_pin_above_its_roof():
    layers = layers_of(model_deck(city()))
    assert len(layers["cut"]["data"]) == 1 and len(layers["pin"]["data"]) == 1
    assert layers["pin"]["data"][0]["at"][2] > MOST_HEIGHT / 2
    assert "pin" not in layers_of(model_deck(city(selected=None)))
    assert "pin" not in layers_of(model_deck(city(shown=[0, 2])))


def test_only_the_shown_tensors_stand_there():
    assert len(layers_of(model_deck(city(shown=[2])))[BLOCKS]["data"]) == 1


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("is_dark", [False, True])
def test_no_deck_asks_the_internet_for_a_map(camera, is_dark):
    text = model_deck(city(), camera=camera, is_dark=is_dark).to_json()
    assert "http" not in text and json.loads(text)["views"][0]["@@type"] == "OrbitView"


def test_a_deep_model_is_seen_from_outside_and_not_from_within():
    """At zoom z a unit is 2^z pixels: seen along its length, eighty layers must not be larger than seen from afar."""
    names = [f"h.{layer}.attn.q_proj.weight" for layer in range(80)]
    layout = panorama([Member(name, (8, 8), place(name)) for name in names])
    ones, count = np.ones(80), 80
    deep = city(
        layout=layout,
        names=names,
        facts=[""] * count,
        heights=ones,
        are_cut=ones == 0,
        colours=np.zeros((count, 3), np.uint8),
        are_coloured=ones == 1,
        height_words=[""] * count,
        colour_words=[""] * count,
        shown=range(count),
    )
    for camera in CAMERAS:
        zoom = json.loads(model_deck(deep, camera=camera, pixels=900).to_json())["initialViewState"]["zoom"]
        assert 900 / 80 / 1.5 < 2**zoom < 900 / 80 * 2, camera


def test_roles_layers_and_what_stands_outside_have_their_names():
    layers = layers_of(model_deck(city()))
    assert [entry["words"] for entry in layers["roles"]["data"]] == ["Query", "Key"]
    assert [entry["words"] for entry in layers["layers"]["data"]] == ["0", "1"]
    assert [entry["words"] for entry in layers["signs"]["data"]] == ["Token embedding"]


def test_a_model_without_layers_and_one_without_tensors_can_be_drawn():
    names = ["a.weight", "b.weight"]
    layout = panorama([Member(name, (2, 2), place(name)) for name in names])
    free = city(
        layout=layout,
        names=names,
        heights=np.ones(2),
        are_cut=np.zeros(2, bool),
        are_coloured=np.ones(2, bool),
        shown=range(2),
        selected=None,
    )
    assert "roles" not in layers_of(model_deck(free))
    model_deck(city(layout=panorama([]), names=[], shown=[], selected=None)).to_json()
