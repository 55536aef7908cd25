"""The look "Spectrum" of the Heatmap page."""

import numpy as np
import pytest

from engine.spectra.reading import measure_array
from storage.spectra import StoredSpectrum
from storage.store import Store
from ui.spectrum_words import explanations
from workflows.spectra import spectra

PAGE = "pages/3_Heatmap.py"
QUERY = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture
def look(open_page):
    """look(model, tensor) -> the page with that tensor's spectrum."""
    return lambda model, tensor=QUERY: open_page(PAGE, model=model, tensor=tensor, look="Spectrum")


def charts(app) -> int:
    return len(app.get("vega_lite_chart"))


def stored(array: np.ndarray) -> StoredSpectrum:
    found = measure_array(array)
    return StoredSpectrum(*array.shape, found.singular.values, found.singular.errors, False, None, found.values)


def test_a_small_matrix_is_measured_when_it_is_looked_at(look, added, text_of):
    app = look(added)
    assert not app.exception
    metrics = {metric.label: metric.value for metric in app.metric}
    assert metrics["effective rank"].endswith("of 48") and metrics["spikes"] == "0"
    assert charts(app) == 2
    assert "measured just now" in text_of(app)
    assert app.button(key="measure_spectra").label == "Measure spectra"
    assert Store().models() == [], "looking stores nothing"


def test_the_button_starts_the_job_and_then_all_layers_are_shown(look, added, text_of):
    from ui.job_panel import jobs

    app = look(added)
    app.button(key="measure_spectra").click().run()
    assert not app.exception
    job = jobs().wait(jobs().all()[0].id, timeout_s=120)
    assert (job.kind, job.state) == ("spectra", "done"), job.error
    app = look(added)
    assert not app.exception and charts(app) == 3
    assert "by layer and role" in text_of(app)
    assert [button for button in app.button if button.key == "measure_spectra"] == []


def test_stored_numbers_are_shown_and_every_measure_has_its_chart(look, added):
    outcome = spectra(added, store=Store())
    app = look(added)
    values = Store().spectrum(outcome.content_hash, QUERY).values
    metrics = {metric.label: metric.value for metric in app.metric}
    assert float(metrics["stable rank"]) == pytest.approx(values["stable_rank"], rel=1e-2)
    for name in app.selectbox(key="spectral_measure").options:
        app.selectbox(key="spectral_measure").select(name).run()
        assert not app.exception and charts(app) == 3
    app.toggle(key="spectrum_log").set_value(False).run()
    assert not app.exception


def test_what_has_no_spectrum_says_so(look, added, text_of):
    app = look(added, "broken.weight")
    assert not app.exception and "NaN or infinite" in text_of(app)


def test_a_public_deployment_shows_one_matrix_and_starts_nothing(look, added, monkeypatch, text_of):
    monkeypatch.setenv("WEIGHTSCOPE_PUBLIC", "1")
    app = look(added)
    assert not app.exception and "public" in text_of(app)
    assert [button for button in app.button if button.key == "measure_spectra"] == []


def test_the_words_say_what_the_numbers_mean():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((60, 80))
    assert "says nothing of training" in explanations(stored(noise))[0]
    spiked = noise + 60 * np.outer(*(v / np.linalg.norm(v) for v in (rng.normal(size=60), rng.normal(size=80))))
    assert any("**1 of 60 directions stand out**" in sentence for sentence in explanations(stored(spiked)))
    left, right = (np.linalg.qr(rng.standard_normal((60, 60)))[0] for _ in range(2))
    heavy = (left * np.sqrt((1 - rng.random(60)) ** (-1 / 0.6))) @ right
    assert "very heavy tail" in explanations(stored(heavy))[0]
    assert any("singular" in sentence for sentence in explanations(stored(np.ones((30, 30)))))
