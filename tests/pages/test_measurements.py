"""What was measured of a tensor, beside its heatmap: fits, summaries of rows and columns, outliers."""

import numpy as np
import pytest

from engine.measures.reading import measure_array
from engine.measures.results import QUANTILE_PERCENTS
from storage.store import Store
from ui.measurements import line_summary

TENSOR = "model.layers.1.self_attn.k_proj.weight"


def charts(app):
    return app.get("vega_lite_chart")


def test_the_distribution_says_which_law_fits_and_draws_both_and_a_q_q_plot(open_page, measured, text_of):
    app = open_page("pages/3_Heatmap.py", model=measured, tensor=TENSOR, numbers="Distribution")
    assert not app.exception
    assert "describes these weights" in text_of(app)
    assert "Fitted to all weights" in text_of(app)
    assert len(charts(app)) == 2
    assert app.dataframe[0].value["percent of the weights"].to_list() == list(QUANTILE_PERCENTS)
    assert app.toggle(key="fit_normal").value and app.toggle(key="fit_student-t").value
    parameters = {"fit_normal": "false", "against": "normal", "log_counts": "true"}
    app = open_page("pages/3_Heatmap.py", model=measured, tensor=TENSOR, numbers="Distribution", **parameters)
    assert not app.exception
    assert not app.toggle(key="fit_normal").value and app.toggle(key="fit_student-t").value
    assert len(charts(app)) == 2


@pytest.mark.parametrize(
    ("tensor", "words"), [("<b>*odd*</b>_[name](x)", "Only real numbers are fitted"), ("broken.weight", "at least 8")]
)
def test_a_tensor_that_cannot_be_fitted_says_why_beside_its_histogram(open_page, measured, text_of, tensor, words):
    app = open_page("pages/3_Heatmap.py", model=measured, tensor=tensor, numbers="Distribution")
    assert not app.exception
    assert words in text_of(app)
    assert len(charts(app)) == 1


def test_outliers_are_listed_with_their_exact_places(open_page, measured, checkpoint):
    from safetensors.numpy import load_file

    app = open_page("pages/3_Heatmap.py", model=measured, tensor=TENSOR, numbers="Outliers")
    assert not app.exception
    weights, shown = load_file(checkpoint)[TENSOR], app.dataframe[0].value
    assert shown["value"].abs().iloc[0] == np.abs(weights).max()
    for line in shown.itertuples():
        assert weights[line.row, line.column] == line.value


def test_the_statistics_compare_rows_and_columns(open_page, measured):
    app = open_page("pages/3_Heatmap.py", model=measured, tensor=TENSOR)
    shown = app.dataframe[1].value
    rows = Store().axis_profile(measured, TENSOR, "row")
    assert shown.loc["number"].to_list() == ["48", "64"]
    assert float(shown.loc["median norm", "rows"]) == pytest.approx(np.median(rows.l2), rel=1e-3)


def test_an_unknown_tab_in_the_url_shows_the_first(open_page, measured):
    app = open_page("pages/3_Heatmap.py", model=measured, tensor=TENSOR, numbers="Nonsense")
    assert not app.exception
    assert "column in SQL" in app.dataframe[0].value


def test_a_summary_of_lines_counts_dead_and_broken_ones():
    matrix = np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 0.0], [6.0, 8.0]], np.float32)
    summary = line_summary(measure_array(matrix).rows)
    assert summary == {
        "number": 4,
        "median norm": 2.5,
        "largest norm": 10.0,
        "… over the median": 4.0,
        "smallest norm": 0.0,
        "all zeros": 1,
        "with NaN or ±Inf": 1,
        "most zeros in one": 2,
    }
