"""Any table gets a sensible chart, or none; names of columns never become code."""

import numpy as np
import pandas as pd
import pytest

from figures.charts_export import chart_svg
from figures.query_chart import KINDS, MOST_MARKS, NO_COLOUR, Axes, column_kinds, default_axes, query_chart

LAYERS = pd.DataFrame(
    {
        "role": ["a"] * 4 + ["b"] * 4,
        "layer": [0, 1, 2, 3] * 2,
        "std": np.linspace(1, 2, 8),
        "kurtosis": np.arange(8) ** 2,
    }
)
NAMES = pd.DataFrame({"model": ["m", "n", "o"], "parameters": [5, 3, 9]})


def test_a_running_number_with_a_measure_is_a_line_for_each_series():
    assert default_axes(LAYERS) == Axes("lines", "layer", "std", "role")


def test_names_with_a_number_are_bars():
    assert default_axes(NAMES) == Axes("bars", "model", "parameters")


def test_two_numbers_in_no_order_are_points():
    table = pd.DataFrame({"x": [3.0, 1.0, 2.0, 1.5], "y": [1.0, 5.0, 2.0, 0.5]})
    assert default_axes(table) == Axes("points", "x", "y")


def test_times_are_lines():
    table = pd.DataFrame({"loss": [3.0, 1.0, 2.0], "at": pd.to_datetime(["2026-01-03", "2026-01-01", "2026-01-02"])})
    assert default_axes(table) == Axes("lines", "at", "loss")


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(),
        NAMES[:0],
        pd.DataFrame({"a": ["x", "y"]}),
        pd.DataFrame({"a": [np.nan, np.nan]}),
        pd.DataFrame({"a": [[1, 2], [3]]}),
        pd.DataFrame({"a": [1.0]}),
    ],
)
def test_a_table_without_anything_to_draw_has_no_chart(table):
    assert default_axes(table) is None


def test_lists_stand_on_no_axis_and_truth_is_a_name():
    table = pd.DataFrame({"l": [[1], [2]], "is": [True, False], "n": [1, 2], "t": ["a", None]})
    assert column_kinds(table) == {"is": "nominal", "n": "quantitative", "t": "nominal"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colour", [NO_COLOUR, "role", "std"])
def test_every_kind_draws_with_every_colour(kind, colour):
    assert b"<svg" in chart_svg(query_chart(LAYERS, Axes(kind, "layer", "std", colour)))


def test_a_column_may_be_on_both_axes_and_be_called_like_a_choice():
    table = pd.DataFrame({NO_COLOUR: [1, 2, 3]})
    assert b"<svg" in chart_svg(query_chart(table, Axes("points", NO_COLOUR, NO_COLOUR)))


@pytest.mark.parametrize("name", ["a.b[0]:Q", "<script>", "x'y\"", "datum['x']", "c1", "  ", "\\"])
def test_a_name_of_any_letters_is_a_title_and_nothing_else(name):
    table = pd.DataFrame({name: ["p", "q"], "n": [1.5, 2.5]})
    chart = query_chart(table, Axes("bars", name, "n")).to_dict()
    assert chart["encoding"]["y"]["field"] == "c0"
    assert chart["encoding"]["y"]["title"] == name


def test_names_keep_the_order_of_the_query():
    chart = query_chart(pd.DataFrame({"m": ["z", "a"], "n": [1, 2]}), Axes("bars", "m", "n")).to_dict()
    assert chart["encoding"]["y"]["sort"] is None


def test_no_more_rows_are_drawn_than_a_browser_takes():
    table = pd.DataFrame({"x": np.arange(MOST_MARKS + 10), "y": 1.0})
    chart = query_chart(table, Axes("points", "x", "y")).to_dict()
    assert sum(len(rows) for rows in chart["datasets"].values()) == MOST_MARKS
