"""The view of the shared-pattern test: its choices in the URL, its power, its answer, and nothing heavy on the way."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from storage.store import Store
from tests.storage.made import SETTINGS, make_model
from tests.storage.test_findings import record

PARTS = ("Verdict", "Effects", "Sharing dividend", "Subspace", "What features vary with")


def page() -> None:
    from ui.discovery.shared_patterns_view import shared_patterns_view

    shared_patterns_view()


def opened(**linked: str) -> AppTest:
    app = AppTest.from_function(page, default_timeout=60)
    for name, value in linked.items():
        app.query_params[name] = value
    return app.run()


def text_of(app: AppTest) -> str:
    return " ".join(each.value for kind in ("markdown", "caption", "info", "warning") for each in getattr(app, kind))


@pytest.fixture
def answered(tmp_path, monkeypatch) -> None:
    """A data folder with an answered test of three models, of which two are relatives."""
    monkeypatch.setenv("WEIGHTSCOPE_DATA", str(tmp_path))
    store = Store(tmp_path)
    for seed, name in enumerate(("one", "two", "three *x*")):
        store.save_model(make_model(name, seed=seed), SETTINGS)
    store.save_pattern_test(record([store.model(name).content_hash for name in ("one", "two", "three *x*")]))


def test_what_the_models_can_show_is_said_before_anything_runs():
    app = opened()
    assert not app.exception
    assert "this cannot be answered" in text_of(app)  # the two bundled models
    assert not app.button(key="pattern-start").disabled


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_an_answer_is_drawn(answered, part):
    app = opened(pattern_show=part)
    assert not app.exception
    assert "3 models, 2 independent" in text_of(app)


def test_the_verdict_is_told_with_relatives_and_limits(answered):
    told = text_of(opened()).replace("\\", "")
    assert "It is so." in told and "Because." in told
    assert "Relatives: one, two" in told
    assert "Not more." in told


def test_choices_come_from_the_url_and_bad_ones_are_replaced(answered):
    app = opened(pattern_null="Shuffled entries", pattern_draws="10")
    assert app.selectbox(key="pattern_null").value == "Shuffled entries"
    assert "laid over the other 11 times" in text_of(app)
    bad = opened(
        pattern_null="Nonsense", pattern_draws="0", pattern_test="Test 99", pattern_show="No", pattern_models="x"
    )
    assert not bad.exception
    assert bad.selectbox(key="pattern_null").value == "Row × column Gaussian"


def test_without_two_models_there_is_nothing_to_start(answered):
    app = opened()
    app.multiselect(key="pattern_models").set_value(["starter"]).run()
    assert not app.exception
    assert app.button(key="pattern-start").disabled
