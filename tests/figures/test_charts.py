"""Charts as Vega-Lite: the right numbers, and nothing that needs a network."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from engine.distribution_fits import Law
from engine.measures.reading import measure_array
from engine.measures.results import QUANTILE_PERCENTS
from figures.distributions import MARKED_PERCENTS, histogram


def rows_of(chart, has):
    """The data set of a chart whose rows have that field."""
    return next(rows for rows in chart.to_dict()["datasets"].values() if rows and has in rows[0])


@pytest.fixture
def distribution():
    values = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    values[0] = 40.0
    return measure_array(values).distribution


@pytest.mark.parametrize("log_counts", [False, True])
def test_a_histogram_draws_every_bin_that_holds_something_with_its_count_and_edges(distribution, log_counts):
    bins = rows_of(histogram(distribution, log_counts=log_counts), "low")
    counts = distribution.bin_counts
    assert [row["count"] for row in bins] == counts[counts > 0].tolist()
    assert sum(row["share"] for row in bins) == pytest.approx(1.0)
    assert bins[0]["low"] == distribution.minimum and bins[-1]["high"] == distribution.maximum == 40.0


def test_a_histogram_marks_the_stored_quantiles(distribution):
    marks = rows_of(histogram(distribution), "percent")
    assert [row["percent"] for row in marks] == list(MARKED_PERCENTS)
    expected = [distribution.quantiles[QUANTILE_PERCENTS.index(percent)] for percent in MARKED_PERCENTS]
    assert [row["value"] for row in marks] == pytest.approx(expected)


def test_a_logarithmic_histogram_keeps_bins_with_one_entry_visible(distribution):
    y = histogram(distribution, log_counts=True).to_dict()["layer"][0]["encoding"]["y"]
    assert y["scale"]["type"] == "symlog" and y["axis"]["values"][:3] == [0, 1, 10]


@pytest.mark.parametrize("values", [np.full(9, 2.0), np.array([np.nan, 3.0])], ids=["constant", "one entry"])
def test_a_histogram_of_one_single_value_is_one_bar(values):
    distribution = measure_array(values.astype(np.float32)).distribution
    assert len(rows_of(histogram(distribution), "low")) == 1


def test_laws_are_drawn_as_the_weights_they_expect_in_every_bin(distribution):
    laws = [Law("normal", 0.0, 1.0, math.inf, math.nan, 0.0), Law("Student-t", 0.1, 0.9, 5.0, math.nan, 0.0)]
    curves = rows_of(histogram(distribution, laws=laws), "expected")
    edges = np.histogram_bin_edges([distribution.minimum, distribution.maximum], 256)
    for law, frozen in zip(laws, [stats.norm(), stats.t(5, 0.1, 0.9)], strict=True):
        rows = [row for row in curves if row["law"] == law.name]
        assert [row["middle"] for row in rows] == pytest.approx((edges[1:] + edges[:-1]) / 2)
        expected = 5000 * np.diff(frozen.cdf(edges))
        assert [row["expected"] for row in rows] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_an_axis_of_counts_reaches_what_a_law_expects_beyond_them(distribution):
    narrow = Law("normal", 0.0, 0.01, math.inf, math.nan, 0.0)
    y = histogram(distribution, laws=[narrow], log_counts=True).to_dict()["layer"][0]["encoding"]["y"]
    assert y["axis"]["values"][-1] == 1000


def test_the_median_is_named_only_where_its_name_has_room(distribution):
    spread = measure_array(np.linspace(-1, 1, 500, dtype=np.float32)).distribution
    labels = [row["label"] for row in named_quantiles(spread)]
    assert labels == ["0.1 %", "median", "99.9 %"]
    assert "median" not in [row["label"] for row in named_quantiles(distribution)]


def named_quantiles(distribution):
    layers = histogram(distribution).to_dict()
    names = [layer["data"]["name"] for layer in layers["layer"] if layer["mark"]["type"] == "text"]
    return [layers["datasets"][name][0] for name in names]


def test_no_chart_asks_for_anything_beyond_the_page(distribution):
    for chart in (histogram(distribution), histogram(distribution, log_counts=True)):
        spec = chart.to_dict()
        spec.pop("$schema")  # the name of a schema, which nothing fetches
        assert "http" not in json.dumps(spec)
