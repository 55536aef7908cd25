"""The Discovery page: empty, with signatures, with nulls, and with a senseless URL."""

import numpy as np
import pytest

from engine.discovery.nulls import DEFAULT_NULL
from storage.store import Store
from workflows.null_signatures import null_signatures
from workflows.signatures import signatures

PAGE = "pages/6_Discovery.py"
LOOKS = ("Maps", "Similar", "Models", "Odd ones", "Features", "Shared patterns", "Findings", "Library")


@pytest.fixture
def taken(checkpoint, tmp_path, write_safetensors):
    """Two models with signatures, one of them with nulls."""
    rng = np.random.default_rng(2)
    other = {
        f"model.layers.{layer}.mlp.{role}_proj.weight": rng.normal(0, 0.1, (40, 30)).astype(np.float32)
        for layer in range(2)
        for role in ("up", "down", "gate")
    }
    store = Store()
    signatures(str(checkpoint.parent), store=store)
    signatures(str(write_safetensors(tmp_path / "other" / "model.safetensors", other).parent), store=store)
    null_signatures(str(checkpoint.parent), DEFAULT_NULL, store=store)
    return store


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_of_an_empty_house_says_what_to_do(look, open_page, no_bundled_models, text_of):
    app = open_page(PAGE, look=look)
    assert not app.exception
    assert any(word in text_of(app) for word in ("Take signatures", "Zoo", "Add", "measure", "Nothing is kept"))


def test_every_look_draws_what_was_taken(taken, open_page, text_of):
    for look in LOOKS:
        app = open_page(PAGE, look=look)
        assert not app.exception, look
        assert not app.error, look
    app = open_page(PAGE, look="Maps", map="PCA", groups="k-means", number="2")
    assert not app.exception
    assert len(app.get("vega_lite_chart")) == 2, "map and null"
    assert "Trustworthiness" in text_of(app) and "p = " in text_of(app)
    assert "Gaussian nulls (" in str(app.get("vega_lite_chart")[1].proto)


def test_without_nulls_a_cloud_stands_beside_the_map_and_says_so(taken, open_page, text_of):
    app = open_page(PAGE, null="Random rotation")
    assert not app.exception
    assert "Gaussian cloud" in str(app.get("vega_lite_chart")[1].proto)
    assert "Take nulls" in text_of(app)


def test_filters_are_in_the_url_and_may_leave_too_little(taken, open_page, text_of):
    app = open_page(PAGE, only_role="Feed-forward gate")
    assert not app.exception
    assert "2 matrices are left" in text_of(app)


def test_similar_matrices_are_those_of_the_store(taken, open_page):
    model = taken.models()[0].name
    tensor = taken.signatures([model]).places["tensor"][0]
    app = open_page(PAGE, look="Similar", of_model=model, of_tensor=tensor)
    assert not app.exception
    expected = taken.similar_tensors(model, tensor)["tensor"].tolist()
    assert any(frame.value["tensor"].tolist() == expected for frame in app.dataframe if "similarity" in frame.value)


@pytest.mark.parametrize("look", ["Maps", "Similar", "Features", "<script>"])
def test_a_senseless_url_is_no_crash(look, taken, open_page):
    bad = dict.fromkeys(("null", "map", "colour", "groups", "number", "of_model", "feature", "by"), "★ nothing")
    app = open_page(PAGE, look=look, only_model="nobody", only_depth="x", **bad)
    assert not app.exception


def test_taking_signatures_starts_a_job_for_each_model(open_page, checkpoint):
    from ui.job_panel import jobs
    from workflows.locations import add_path

    known = add_path(Store(), checkpoint.parent)
    app = open_page(PAGE)
    app.multiselect(key="take-signatures").set_value([known.name]).run()
    app.button(key="start-signatures").click().run()
    assert not app.exception
    (job,) = jobs().all()
    job = jobs().wait(job.id, timeout_s=120)
    assert (job.kind, job.state) == ("signatures", "done"), job.error
    assert known.name in Store().models_with_signatures()
