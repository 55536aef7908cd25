"""Orders, edges and rectangles on the Heatmap page, in-process: good links, bad ones, and tensors of every kind."""

import numpy as np
import pytest

from engine.orders import ORDERS
from storage.store import Store
from ui.arrangement import correlation_text
from workflows import library

PAGE = "pages/3_Heatmap.py"
QUERY = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def kinds(tmp_path, write_safetensors):
    """A checkpoint with one tensor of each kind that could break a view."""
    rng = np.random.default_rng(0)
    arrays = {
        "matrix": rng.standard_normal((40, 30)).astype(np.float32),
        "vector": rng.standard_normal(50).astype(np.float32),
        "scalar": np.array(2.5, np.float32),
        "kernel": rng.standard_normal((6, 3, 2, 2)).astype(np.float16),
        "empty": np.zeros((0, 7), np.float32),
        "broken": np.array([[1.0, np.nan, 3.0], [np.inf, 0.0, 2.0], [np.nan, np.nan, np.nan]], np.float32),
        "constant": np.ones((5, 4), np.float32),
    }
    return library.add_path(Store(), write_safetensors(tmp_path / "kinds" / "model.safetensors", arrays)).name


@pytest.mark.parametrize("name", ["matrix", "vector", "scalar", "kernel", "empty", "broken", "constant"])
@pytest.mark.parametrize("order", ORDERS[1:])
def test_every_kind_of_tensor_can_be_sorted_and_selected_in(name, order, open_page, kinds, text_of):
    app = open_page(PAGE, model=kinds, tensor=name, rows=order, columns=order, rectangle="0,2,0,3", edges="norms")
    assert not app.exception and not app.error
    assert ("Selected" in text_of(app)) == (name != "empty")
    assert ("Rows" in text_of(app)) == (name != "empty")


def test_a_senseless_order_edge_or_rectangle_in_the_url_is_no_crash(open_page, kinds, text_of):
    app = open_page(PAGE, model=kinds, tensor="matrix", rows="<b>", columns="9", edges="?", rectangle="5,1,x")
    assert not app.exception
    assert app.selectbox(key="rows").value == "file order" and "Selected" not in text_of(app)


def test_a_rectangle_has_its_statistics_with_places_in_the_file(open_page, kinds):
    app = open_page(PAGE, model=kinds, tensor="broken", rectangle="0,9,0,9")
    table = app.dataframe[0].value.set_index("measure")
    assert table.loc["weights", "value"] == "9" and table.loc["NaN, ±Inf", "where"] == "4 NaN, 1 +Inf"
    assert table.loc["largest"].tolist() == ["3", "row 0, column 2"]
    assert table.loc["smallest"].tolist() == ["0", "row 1, column 1"]
    assert table.loc["share of energy", "value"] == "100.000%"
    sorted_ = open_page(PAGE, model=kinds, tensor="broken", rectangle="0,1,0,1", rows="norm", columns="norm")
    table = sorted_.dataframe[0].value.set_index("measure")
    assert table.loc["largest"].tolist() == ["3", "row 0, column 2"]  # the longest row, the longest column


def test_a_sorted_picture_always_comes_with_what_sorting_finds_in_noise(open_page, kinds, text_of):
    assert "shuffled entries" not in text_of(open_page(PAGE, model=kinds, tensor="matrix"))
    text = text_of(open_page(PAGE, model=kinds, tensor="matrix", rows="hierarchical"))
    assert "Rows by hierarchy: neighbours correlate" in text and "shuffled entries" in text
    assert "Columns by" not in text


def test_another_tensor_forgets_the_rectangle_and_another_order_also_the_view(open_page, kinds):
    app = open_page(PAGE, model=kinds, tensor="matrix", rectangle="1,5,1,5", view="0,9,0,9")
    assert app.text_input(key="rectangle").value == "1,5,1,5"
    app.selectbox(key="rows").select("norm").run()
    assert app.text_input(key="rectangle").value == "" and app.text_input(key="view").value == ""
    app.text_input(key="rectangle").set_value("1,5,1,5").run()
    assert app.text_input(key="rectangle").value == "1,5,1,5"
    app.selectbox(key="tensor").select("kernel").run()
    assert not app.exception and app.text_input(key="rectangle").value == ""


def test_a_tensor_too_large_to_sort_says_so_and_is_shown_in_file_order(open_page, kinds, text_of, monkeypatch):
    monkeypatch.setattr("engine.orders.MAX_ENTRIES", 100)
    app = open_page(PAGE, model=kinds, tensor="matrix", rows="norm")
    assert not app.exception
    assert "too large to be sorted" in text_of(app) and "shown in file order" in text_of(app)
    assert "neighbours correlate" not in text_of(app)


def test_the_sentence_about_sorting_claims_structure_only_beyond_the_null():
    assert "is structure" in correlation_text("rows", "seriation", (0.0, 0.22, 0.16), 384 * 384)
    for sorted_, num_entries in ((0.17, 384 * 384), (0.22, 40 * 30)):  # few entries correlate by chance
        text = correlation_text("rows", "seriation", (0.0, sorted_, 0.16), num_entries)
        assert "no more than sorting finds in noise" in text
    assert "no two lines vary" in correlation_text("columns", "norm", (np.nan,) * 3, 9)
