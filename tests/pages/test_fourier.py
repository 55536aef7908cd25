"""The look "Fourier" of the Heatmap page."""

import numpy as np
import pytest

from engine.discovery.fourier import FourierSettings, fourier_reading
from engine.discovery.nulls import NULLS
from storage.store import Store
from ui.fourier_view import verdict
from workflows import library

PAGE = "pages/3_Heatmap.py"
QUERY = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture
def look(open_page):
    """look(model, tensor, …) -> the page with that tensor's waves."""
    return lambda model, tensor=QUERY, **more: open_page(PAGE, model=model, tensor=tensor, look="Fourier", **more)


def charts(app) -> int:
    return len(app.get("vega_lite_chart"))


def test_a_matrix_stands_beside_its_null(look, added, text_of):
    app = look(added)
    assert not app.exception and charts(app) == 6
    text = text_of(app)
    assert "No wave stands out" in text or "stand out of all 19 nulls" in text
    assert "48 rows × 64 columns on their own axes" in text
    assert app.selectbox(key="fourier_null").value == "Permuted rows and columns"


@pytest.mark.parametrize("null", NULLS)
def test_any_null_can_be_chosen_by_the_url(look, added, text_of, null):
    title = NULLS[null].title
    app = look(added, fourier_null=title)
    assert not app.exception and app.selectbox(key="fourier_null").value == title
    assert f"**Its null**: {title.lower()}" in text_of(app)


def test_a_bad_null_in_the_url_is_the_usual_one(look, added):
    app = look(added, fourier_null="'; DROP")
    assert not app.exception and app.selectbox(key="fourier_null").value == "Permuted rows and columns"


def test_a_wave_is_found_and_listed(look, tmp_path, write_safetensors, text_of):
    rows = np.arange(96)[:, None]
    array = np.random.default_rng(0).normal(size=(96, 40)) + np.cos(2 * np.pi * rows / 12)
    path = write_safetensors(tmp_path / "wavy" / "model.safetensors", {"w": array.astype(np.float32)})
    app = look(library.add_path(Store(), path).name, "w")
    assert not app.exception
    assert "repeats every 12 rows and holds" in text_of(app)
    assert app.dataframe[0].value["period, rows"].tolist() == ["12"]


def test_a_strip_of_a_large_matrix_is_looked_at_and_said(look, added, text_of, monkeypatch):
    monkeypatch.setattr("ui.fourier_view.AT_ONCE", 64 * 100)
    app = look(added, "model.embed_tokens.weight")
    assert not app.exception and "100 rows × 64 columns" in text_of(app)


def test_what_has_no_waves_says_so(look, added, text_of, tmp_path, write_safetensors):
    assert "2 NaN or infinite" in text_of(look(added, "broken.weight"))
    arrays = {"vector": np.ones(9, np.float32), "flat": np.full((6, 7), 2, np.float32)}
    name = library.add_path(Store(), write_safetensors(tmp_path / "dull" / "model.safetensors", arrays)).name
    assert "no matrix" in text_of(look(name, "vector"))
    assert "All entries are equal" in text_of(look(name, "flat"))
    assert not look(added, "<b>*odd*</b>_[name](x)").exception


def test_the_verdict_says_which_neighbours_agree():
    random = np.random.default_rng(2)
    matrix = random.standard_normal((300, 30))
    for row in range(1, 300):
        matrix[row] += 0.25 * matrix[row - 1]
    reading = fourier_reading(matrix, FourierSettings(num_peaks=1))
    words = verdict(reading)
    assert ("neighbouring rows" in words) is (not reading.found)
    assert "neighbouring" not in verdict(fourier_reading(random.standard_normal((40, 50)), FourierSettings(seed=5)))
