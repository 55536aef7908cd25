"""The whole-model views on their pages: measured, unmeasured, without layers, and with URLs that make no sense."""

import numpy as np

from storage.store import Store
from workflows import library

LOOK = {"look": "Whole model"}


def select(app, key):
    return next(box for box in app.selectbox if box.key == key)


def test_an_unmeasured_model_shows_its_weights_and_offers_to_measure_it(open_page, added, text_of):
    app = open_page("pages/3_Heatmap.py", model=added, **LOOK)
    assert not app.exception
    assert select(app, "measure").options == ["Weights", "Parameters", "Bytes", "Bits a weight"]
    assert "11 tensors" in text_of(app)
    assert app.button(key="panorama-measure").label == "Measure"


def test_a_measured_model_offers_every_stored_measure(open_page, measured, text_of):
    app = open_page("pages/3_Heatmap.py", model=measured, measure="Standard deviation", **LOOK)
    assert not app.exception
    assert "Excess kurtosis" in select(app, "measure").options
    assert "Standard deviation" in text_of(app)
    assert select(app, "tiles").options == ["one scale", "scale per role"]


def test_every_way_to_compare_tiles_draws(open_page, measured):
    for tiles in ("one scale", "scale per role", "scale per tensor", "no such scale"):
        for scale in ("linear", "symmetric log", "rank"):
            app = open_page("pages/3_Heatmap.py", model=measured, tiles=tiles, scale=scale, **LOOK)
            assert not app.exception, (tiles, scale)


def test_a_measure_that_an_unmeasured_model_lacks_falls_back_to_its_weights(open_page, added):
    app = open_page("pages/3_Heatmap.py", model=added, measure="Standard deviation", **LOOK)
    assert not app.exception and select(app, "measure").value == "Weights"


def test_a_model_too_large_to_read_shows_its_parameters_until_it_is_measured(open_page, added, monkeypatch, text_of):
    monkeypatch.setattr("ui.panorama.pictures.LIVE_LIMIT_BYTES", 10)
    app = open_page("pages/3_Heatmap.py", model=added, **LOOK)
    assert not app.exception
    assert "**Parameters**" in text_of(app) and "made when it is measured" in text_of(app)


def test_the_city_stands_on_headers_alone(open_page, added):
    app = open_page("pages/4_3D_Weights.py", model=added, space="Whole model")
    assert not app.exception
    assert select(app, "block_height").value == select(app, "block_colour").value == "Parameters"
    assert app.button(key="city-measure").label == "Measure"


def test_the_city_shows_any_measure_and_takes_senseless_urls(open_page, measured):
    for parameters in ({}, {"block_height": "Kurtosis?", "block_camera": "from below"}, {"block_log": "true"}):
        app = open_page("pages/4_3D_Weights.py", model=measured, space="Whole model", **parameters)
        assert not app.exception
        assert select(app, "block_height").value == "Largest magnitude"
    app = open_page("pages/4_3D_Weights.py", model=measured, space="Whole model", block_colour="Mean", scale="rank")
    assert not app.exception and select(app, "block_colour").value == "Mean"


def test_filters_that_leave_only_a_part_narrow_the_city(open_page, measured, monkeypatch, text_of):
    monkeypatch.setattr("ui.model_3d.MOST_BLOCKS", 4)
    app = open_page("pages/4_3D_Weights.py", model=measured, space="Whole model")
    assert "more blocks than a browser can turn" in "\n".join(box.value for box in app.info)
    app = open_page("pages/4_3D_Weights.py", model=measured, space="Whole model", layer="1")
    assert not app.info and not app.exception


def test_odd_tensors_and_models_without_layers_draw_everywhere(open_page, write_safetensors, tmp_path):
    arrays = {
        "scalar": np.array(2.5, np.float32),
        "empty": np.zeros((0, 7), np.float32),
        "four": np.ones((2, 3, 4, 5), np.float16),
        "ids": np.arange(3),
        "broken": np.array([np.nan, np.inf], np.float32),
        "<b>{tensor}*": np.zeros((3, 3), np.float32),
    }
    name = library.add_path(Store(), write_safetensors(tmp_path / "odd" / "model.safetensors", arrays)).name
    for page, look in (("pages/3_Heatmap.py", LOOK), ("pages/4_3D_Weights.py", {"space": "Whole model"})):
        for measure in ("Weights", "Bits a weight"):
            app = open_page(page, model=name, measure=measure, block_height=measure, **look)
            assert not app.exception, (page, measure)
