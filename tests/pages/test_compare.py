"""The Compare page: two models, what changed, the canvases, versions; and what can go wrong."""

import pytest

from storage.store import Store
from workflows.compare import compare

PAIR = {"model": "starter-init", "other": "starter"}


def test_without_a_second_model_it_says_what_to_do(open_page, no_bundled_models, added, text_of):
    app = open_page("pages/5_Compare.py")
    assert not app.exception
    assert "only one model" in text_of(app)


def test_a_new_pair_has_a_button_and_starts_the_job(open_page, text_of):
    from ui.job_panel import jobs

    app = open_page("pages/5_Compare.py", **PAIR)
    assert not app.exception
    assert "not been compared yet" in text_of(app)
    app.button(key="compare").click().run()
    assert not app.exception
    job = jobs().wait(jobs().all()[0].id, timeout_s=120)
    assert job.state == "done", job.error
    app.run()
    assert not app.exception
    assert "weights differ in a bit" in text_of(app)


def test_swapping_exchanges_the_two(open_page):
    app = open_page("pages/5_Compare.py", **PAIR)
    app.button(key="swap").click().run()
    assert not app.exception
    assert app.selectbox(key="model").value == "starter"
    assert app.selectbox(key="other").value == "starter-init"


@pytest.mark.parametrize("other", ["starter-init", "no such model"])
def test_a_bad_other_model_is_replaced(open_page, other):
    app = open_page("pages/5_Compare.py", model="starter-init", other=other)
    assert not app.exception
    assert app.selectbox(key="other").value == "starter"


def test_a_tensor_stands_side_by_side_with_its_numbers(open_page, text_of):
    tensor = "model.layers.0.mlp.up_proj.weight"
    app = open_page("pages/5_Compare.py", **PAIR, show="Side by side", tensor=tensor)
    assert not app.exception
    assert app.selectbox(key="tensor").value == tensor
    numbers = {metric.label: metric.value for metric in app.metric}
    assert numbers["changed bits"].endswith("%")
    stored = compare("starter-init", "starter", store=Store())
    rows = Store().comparison_stats(stored.hash_a, stored.hash_b).set_index("tensor_a")
    assert numbers["relative change"] == f"{rows.loc[tensor, 'relative_change']:.4g}"


def test_another_checkpoint_of_the_same_tensors_is_a_version(open_page, text_of):
    app = open_page("pages/5_Compare.py", **PAIR, show="Over versions")
    assert not app.exception
    labels = app.multiselect(key="versions").value
    assert [label.split()[0] for label in labels] == ["starter-init", "starter"]
    assert app.button(key="compare-versions")


def test_models_with_nothing_in_common_are_no_crash(open_page, added, text_of):
    for show in ("What changed", "Side by side", "Over versions"):
        app = open_page("pages/5_Compare.py", model="starter", other=added, show=show)
        assert not app.exception
