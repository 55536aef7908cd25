"""The attention look of the Heatmap page: on the bundled model, on checkpoints that say little, and on broken ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from storage.store import Store
from workflows import library

PAGE = "pages/3_Heatmap.py"
TENSOR = "model.layers.{}.self_attn.{}_proj.weight"


@pytest.fixture
def open_look(open_page):
    """open_look(model="m", …) -> the page with the attention look."""
    return lambda **parameters: open_page(PAGE, look="Attention", **parameters)


@pytest.fixture
def add(tmp_path, write_safetensors):
    """add(arrays, config=None) -> the name of a checkpoint of these arrays."""

    def add_(arrays, config=None, name="made"):
        path = write_safetensors(tmp_path / name / "model.safetensors", arrays)
        if config is not None:
            (path.parent / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return library.add_path(Store(), path).name

    return add_


def attention(width=32, layers=2, seed=0):
    rng = np.random.default_rng(seed)
    return {
        TENSOR.format(layer, part): rng.normal(0, 0.1, (width, width)).astype(np.float32)
        for layer in range(layers)
        for part in "qkvo"
    }


def test_the_look_opens_at_the_layer_and_part_of_the_selected_tensor(open_look, text_of):
    app = open_look(model="starter", tensor=TENSOR.format(3, "v"), head="2")
    assert not app.exception and not app.error
    assert app.selectbox(key="attention_block").value == "Layer 3"
    assert app.selectbox(key="head").value == "2"
    assert app.session_state["part"] == "Value"
    assert "4** heads" in text_of(app) and "as its config says" in text_of(app)
    numbers = app.dataframe[0].value
    assert numbers["number"].tolist()[:4] == ["Query norm", "Key norm", "Value norm", "Output norm"]


def test_another_head_and_layer_move_the_selection_of_every_page(open_look):
    app = open_look(model="starter", tensor=TENSOR.format(0, "k"))
    app.selectbox(key="head").set_value("3").run()
    assert app.session_state["tensor"] == TENSOR.format(0, "k")
    assert app.session_state["view"] == "96,128,0,128"
    app.selectbox(key="attention_block").set_value("Layer 5").run()
    assert not app.exception
    assert app.session_state["tensor"] == TENSOR.format(5, "k")
    assert (app.session_state["head"], app.session_state["view"]) == ("0", "0,32,0,128")


def test_the_button_shows_the_heads_weights_in_the_heatmap(open_look):
    app = open_look(model="starter", tensor=TENSOR.format(1, "o"), head="1")
    app.button(key="open_head").click().run()
    assert not app.exception
    assert app.session_state["look"] == "Tensor"
    assert app.text_input(key="view").value == "0,128,32,64"  # columns: what the output takes from the head


@pytest.mark.parametrize("view", ["Weights", "Circuits", "On a prompt"])
def test_every_view_opens_from_a_link(view, open_look):
    app = open_look(model="starter", attention_view=view, tensor=TENSOR.format(2, "q"), scale="rank", colours="cividis")
    assert not app.exception and not app.error


def test_a_senseless_url_is_no_crash(open_look):
    bad = {"head": "99", "part": "★", "attention_view": "<x>", "head_number": "no", "head_width": "-3", "view": "x"}
    app = open_look(model="starter", **bad)
    assert not app.exception and app.selectbox(key="head").value == "0"


def test_the_selected_tensor_may_lie_outside_all_attention(open_look):
    app = open_look(model="starter", tensor="model.layers.4.mlp.up_proj.weight")
    assert app.selectbox(key="attention_block").value == "Layer 4"
    app = open_look(model="starter", tensor="model.embed_tokens.weight")
    assert app.selectbox(key="attention_block").value == "Layer 0"


def test_a_model_without_attention_says_so(open_look, add, text_of):
    app = open_look(model=add({"conv.weight": np.ones((4, 3, 3, 3), np.float32), "fc.bias": np.ones(4, np.float32)}))
    assert not app.exception and "has no attention" in text_of(app)


def test_without_a_config_the_width_is_asked_with_a_guess(open_look, add, text_of):
    app = open_look(model=add(attention()))
    assert app.number_input(key="head_width").value == 32
    assert "a guess" in text_of(app) and "1** heads" in text_of(app)
    app.number_input(key="head_width").set_value(8).run()
    assert "4** heads" in text_of(app) and "as you say" in text_of(app)
    app.number_input(key="head_width").set_value(7).run()
    assert not app.exception and "cannot be split" in text_of(app)
    app.number_input(key="head_width").set_value(16).run()
    assert not app.error


def test_grouped_heads_share_their_keys_and_values(open_look, add, text_of):
    arrays = attention()
    for layer in range(2):
        for part in "kv":
            arrays[TENSOR.format(layer, part)] = arrays[TENSOR.format(layer, part)][:16]
    name = add(arrays, {"num_attention_heads": 4, "num_key_value_heads": 2, "model_type": "llama", "rope_theta": 1e4})
    app = open_look(model=name, tensor=TENSOR.format(1, "k"), head="3")
    assert not app.exception and not app.error
    assert "key and value heads, this one reads 1" in text_of(app) and "rotary" in text_of(app)
    app.selectbox(key="head").set_value("1").run()
    assert app.session_state["view"] == "0,8,0,32"


def test_a_fused_matrix_is_unpacked_and_its_parts_chosen(open_look, add, text_of):
    rng = np.random.default_rng(0)
    arrays = {
        "h.0.attn.c_attn.weight": rng.normal(size=(16, 48)).astype(np.float32),
        "h.0.attn.c_proj.weight": rng.normal(size=(16, 16)).astype(np.float32),
    }
    app = open_look(model=add(arrays, {"n_head": 4, "model_type": "gpt2"}), part="Value", head="1")
    assert "unpacked from one matrix" in text_of(app) and not app.error
    app.selectbox(key="head").set_value("2").run()
    assert app.session_state["tensor"] == "h.0.attn.c_attn.weight"
    assert app.session_state["view"] == "0,16,40,44"  # the third of four values, after queries and keys


def test_one_layer_of_odd_shape_spoils_only_its_own_heads(open_look, add, text_of):
    arrays = attention(layers=3)
    arrays[TENSOR.format(1, "k")] = np.ones((30, 32), np.float32)
    app = open_look(model=add(arrays, {"num_attention_heads": 4}), tensor=TENSOR.format(0, "q"))
    assert not app.exception and not app.error and "Layer 1" in text_of(app) and "30 key" in text_of(app)
    app.selectbox(key="tensor").set_value(TENSOR.format(1, "q")).run()
    assert not app.exception and "30 key" in text_of(app) and app.error


def test_heads_with_nan_have_no_numbers_and_a_picture_all_the_same(open_look, add):
    arrays = attention()
    arrays[TENSOR.format(0, "q")][3, 3] = np.nan
    arrays[TENSOR.format(0, "v")][:] = 0
    name = add(arrays, {"num_attention_heads": 4})
    for view in ("Weights", "Circuits"):
        app = open_look(model=name, tensor=TENSOR.format(0, "q"), attention_view=view)
        assert not app.exception and not app.error
    lines = app.dataframe[0].value.set_index("number")["this head"]
    assert lines["QK effective rank"] == "–" and lines["OV copying"] == "–" and lines["Value norm"] == "0"


def test_names_full_of_markup_stay_text(open_look, add, text_of):
    arrays = {f"<b>x</b>.*a*.attn.{p}_proj.weight": np.ones((8, 8), np.float32) for p in "qkvo"}
    app = open_look(model=add(arrays, {"num_attention_heads": 2}, name="<i>m</i>"))
    assert not app.exception and "<b>" not in text_of(app).replace("\\<b\\>", "")


def test_a_model_that_cannot_run_keeps_its_weights(open_look, add, text_of):
    app = open_look(model=add(attention(), {"num_attention_heads": 4}), attention_view="On a prompt")
    assert not app.exception and "cannot be seen on a prompt" in text_of(app)


def test_a_run_on_a_prompt_is_kept_and_colours_the_map_of_all_heads(open_look, text_of):
    app = open_look(model="starter", attention_view="On a prompt", attention_prompt="The cat sat on the mat")
    run = next(button for button in app.button if button.label == "Run on this prompt")
    run.click().run(timeout=180)
    assert not app.exception and not app.error
    kept = app.session_state["attention_run"]
    assert kept.prompt == "The cat sat on the mat" and len(kept.maps.maps["self"]) == 6
    assert "Heads that stand out" in text_of(app)
    standing = [button for button in app.button if str(button.key).startswith("stand_")]
    assert len(standing) == 12
    layer, head = str(standing[3].key).split("_")[-2:]
    standing[3].click().run()
    assert app.session_state["tensor"] == TENSOR.format(layer, "q") and app.session_state["head"] == head
    assert app.session_state["attention_run"] is kept  # not run again
    number = app.selectbox(key="head_number")
    number.set_value(next(option for option in number.options if option.startswith("Entropy"))).run()
    assert not app.exception and "in bits" in text_of(app)
    app.selectbox(key="model").set_value("starter-init").run()
    assert not app.exception and "Write a prompt" in text_of(app)
