"""The export panel in-process: what it offers for a view, and under which names."""

import numpy as np
import pytest

from storage.store import Store
from workflows import library, view_export

PAGE = "pages/3_Heatmap.py"
QUERY = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def buttons(open_page):
    """buttons(model, **parameters) -> the page, and the labels of its download buttons, in order."""

    def show(model, **parameters):
        app = open_page(PAGE, model=model, **parameters)
        assert not app.exception, app.exception
        found = [element.proto for element in app.get("download_button")]
        return app, [each.label for each in found if each.label in ("PNG", "WebP", "CSV", "Parquet")]

    return show


def test_every_view_can_be_taken_along_as_picture_and_as_numbers(buttons, added, text_of):
    app, labels = buttons(added, tensor=QUERY, view="0,16,0,32")
    assert labels == ["PNG", "WebP", "CSV", "Parquet"]
    assert "All 16 × 32 entries, exactly as stored" in text_of(app)


def test_a_large_view_says_that_its_numbers_are_pooled(buttons, added, text_of, monkeypatch):
    monkeypatch.setattr(view_export, "MOST_ENTRIES", 100)
    app, labels = buttons(added, tensor=QUERY)
    assert len(labels) == 4 and "each the entry of largest magnitude" in text_of(app)


def test_a_sorted_view_is_taken_along_as_it_is_shown(buttons, added, text_of):
    app, labels = buttons(added, tensor=QUERY, rows="norm")
    assert len(labels) == 4 and "in the order shown" in text_of(app)


def test_a_tensor_without_entries_offers_nothing(buttons, tmp_path, write_safetensors, text_of):
    path = write_safetensors(tmp_path / "hollow" / "model.safetensors", {"w": np.zeros((0, 4), np.float32)})
    app, labels = buttons(library.add_path(Store(), path).name)
    assert labels == [] and "nothing to take along" in text_of(app)


@pytest.mark.parametrize("tensor", ["broken.weight", "<b>*odd*</b>_[name](x)", "model.embed_tokens.weight"])
def test_odd_tensors_and_bad_links_are_no_trouble(buttons, added, tensor):
    _, labels = buttons(added, tensor=tensor, export_width="7 px", export_theme="?", export_texts="maybe")
    assert len(labels) == 4


def test_the_charts_of_a_measured_tensor_can_be_saved(open_page, measured):
    app = open_page(PAGE, model=measured, tensor=QUERY, numbers="Distribution")
    assert not app.exception
    labels = [element.proto.label for element in app.get("download_button")]
    assert labels.count("SVG") == 2  # the histogram, and the quantiles against a law
