"""Every page: with an empty house, with one model, and with a URL that makes no sense."""

import numpy as np
import pytest

from engine.measures.registry import MEASURES
from storage.store import Store

PAGES = [
    None,
    "pages/1_Zoo.py",
    "pages/2_Chat.py",
    "pages/3_Heatmap.py",
    "pages/4_3D_Weights.py",
    "pages/5_Compare.py",
    "pages/6_Discovery.py",
    "pages/7_Self-Play_Trainer.py",
    "pages/11_SQL.py",
    "pages/12_Report.py",
]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_in_an_empty_house_and_says_what_to_do(page, open_page, no_bundled_models, text_of):
    app = open_page(page)
    assert not app.exception
    text = text_of(app)
    assert (
        any(word in text for word in ("Zoo", "Add", "Take signatures", "Nothing was trained"))
        or page == "pages/11_SQL.py"
    )


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_with_one_measured_model(page, open_page, measured):
    assert not open_page(page).exception


@pytest.mark.parametrize("page", PAGES)
def test_a_senseless_url_is_no_crash(page, open_page, added):
    bad = {"model": "<script>", "tensor": "no such", "layer": "999", "role": "★", "view": "9,1,x", "limits": "?"}
    app = open_page(page, **bad, colours="'; drop table model", q="selekt")
    assert not app.exception


def test_home_lists_the_bundled_models_with_their_size(open_page, text_of):
    text = text_of(open_page())
    assert "starter" in text
    assert "parameters" in text


def test_the_zoo_measures_by_starting_a_job(open_page, added):
    from ui.job_panel import jobs

    app = open_page("pages/1_Zoo.py", shelf="Here")
    app.button(key=f"measure-{added}").click().run()
    assert not app.exception
    job = jobs().wait(jobs().all()[0].id, timeout_s=60)
    assert job.state == "done", job.error
    assert Store().tensor_stats(added).shape[0] == 11


def test_the_zoo_adds_a_path_and_says_why_a_bad_one_fails(open_page, checkpoint, tmp_path, text_of):
    app = open_page("pages/1_Zoo.py", shelf="Here")
    app.text_input(key="add_path").set_value(str(tmp_path / "nowhere"))
    next(b for b in app.button if b.label == "Add").click().run()
    assert app.error
    assert "nowhere" in text_of(app)
    app.text_input(key="add_path").set_value(str(checkpoint))
    next(b for b in app.button if b.label == "Add").click().run()
    assert not app.exception
    assert "tiny" in text_of(app)


def test_deleting_a_model_asks_first_and_says_what_goes(open_page, measured, text_of):
    app = open_page("pages/1_Zoo.py", shelf="Here")
    app.button(key=f"delete-{measured}").click().run()
    assert "its measurements" in text_of(app)
    app.button(key="confirm-delete").click().run()
    assert not app.exception
    assert Store().models() == []


def test_the_heatmap_page_offers_to_measure_a_new_model(open_page, added, text_of):
    app = open_page("pages/3_Heatmap.py", model=added)
    assert "has not been measured yet" in text_of(app)
    assert app.button(key="measure").label == "Measure"


def test_the_heatmap_page_shows_the_stored_numbers(open_page, measured):
    name = "model.layers.1.self_attn.k_proj.weight"
    app = open_page("pages/3_Heatmap.py", model=measured, tensor=name)
    assert app.selectbox(key="tensor").value == name
    shown = app.dataframe[0].value
    stored = Store().tensor_values(measured, name)
    table = dict(zip(shown["column in SQL"], shown["value"], strict=True))
    assert set(table) <= set(MEASURES)
    for column, value in table.items():
        assert (
            value == "–"
            if np.isnan(stored[column])
            else float(value.replace(",", "")) == pytest.approx(stored[column], rel=1e-6)
        )


def test_layer_and_role_filters_narrow_the_tensors(open_page, added):
    app = open_page("pages/3_Heatmap.py", model=added, layer="1")
    names = app.selectbox(key="tensor").options
    assert len(names) == 4
    assert all(".layers.1." in name for name in names)
    app.selectbox(key="role").select("Query").run()
    assert not app.exception
    assert len(app.selectbox(key="tensor").options) == 1


def test_an_unknown_tensor_in_the_url_is_said_and_another_one_shown(open_page, added, text_of):
    app = open_page("pages/3_Heatmap.py", model=added, tensor="lost.weight")
    assert "no tensor" in text_of(app)
    assert app.selectbox(key="tensor").value is not None


def test_text_from_outside_is_text_and_never_markup(open_page, added, text_of):
    app = open_page("pages/3_Heatmap.py", model=added, tensor="<b>*odd*</b>")
    assert r"\<b\>\*odd\*" in text_of(app)
    app = open_page("pages/3_Heatmap.py", model=added, tensor="<b>*odd*</b>_[name](x)")
    assert not app.exception
    assert app.selectbox(key="tensor").value == "<b>*odd*</b>_[name](x)"


def test_nan_and_infinity_are_counted_in_the_headline(open_page, measured):
    app = open_page("pages/3_Heatmap.py", model=measured, tensor="broken.weight")
    metrics = {metric.label: metric.value for metric in app.metric}
    assert metrics["NaN, ±Inf"] == "2"
    assert metrics["zeros"] == "25.00%"


def test_the_sql_page_answers_and_explains_mistakes(open_page, measured, text_of):
    app = open_page("pages/11_SQL.py", q="select count(*) as n from tensor_stats")
    assert app.dataframe[0].value["n"].tolist() == [11]
    app = open_page("pages/11_SQL.py", q="select * from no_such_table")
    assert not app.exception
    assert "no_such_table" in text_of(app).replace("\\", "")
    app = open_page("pages/11_SQL.py", q="drop table measurement")
    assert not app.exception
    assert app.error
    assert len(Store().models()) == 1
