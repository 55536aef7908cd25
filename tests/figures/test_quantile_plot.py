"""Q-Q plots: every point is a stored number against the exact quantile of the law."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from engine.distribution_fits import DistributionFits, fits_of
from engine.measures.reading import measure_array
from engine.measures.results import QUANTILE_PERCENTS
from figures.quantile_plot import SAMPLED, STORED, WHOLE, law_words, quantile_plot, quantile_points


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(1).standard_t(4, 40_000).astype(np.float32)


@pytest.fixture(scope="module")
def distribution(values):
    return measure_array(values).distribution


def test_points_of_a_whole_tensor_are_its_order_statistics_and_stored_quantiles(values, distribution):
    fits = fits_of(values)
    points = quantile_points(distribution, fits, fits.student_t)
    assert len(points) <= 300
    stored = points[points["which"] == STORED]
    assert (100 * stored["share"]).to_list() == pytest.approx(QUANTILE_PERCENTS, abs=1e-2)
    np.testing.assert_array_equal(stored["value"], distribution.quantiles)
    single = points[points["which"] == WHOLE]
    assert single["value"].iloc[0] == values.min() and single["value"].iloc[-1] == values.max()
    law = fits.student_t
    np.testing.assert_allclose(
        points["expected"], stats.t.ppf(points["share"], law.df, law.location, law.scale), rtol=1e-7, atol=1e-9
    )


def test_of_a_sampled_tensor_the_exact_extremes_are_added(values, distribution):
    fits = fits_of(values[::5], share=0.2)
    points = quantile_points(distribution, fits, fits.normal)
    stored, half = points[points["which"] == STORED], 0.5 / values.size
    assert (points["which"] == SAMPLED).sum() == len(fits.shares)
    assert (stored["value"].iloc[0], stored["value"].iloc[-1]) == (values.min(), values.max())
    assert (stored["share"].iloc[0], stored["share"].iloc[-1]) == pytest.approx((half, 1 - half))
    expected = stats.norm.ppf(half, fits.normal.location, fits.normal.scale)
    assert stored["expected"].iloc[0] == pytest.approx(expected)


def test_weights_that_follow_the_law_lie_on_the_diagonal():
    values = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    fits = fits_of(values)
    points = quantile_points(measure_array(values.astype(np.float32)).distribution, fits, fits.student_t)
    np.testing.assert_allclose(points["value"], points["expected"], atol=1e-3)


def test_the_diagonal_spans_the_expected_numbers_and_nothing_needs_a_network(values, distribution):
    fits = fits_of(values)
    spec = quantile_plot(distribution, fits, fits.normal).to_dict()
    diagonal, points = (spec["datasets"][layer["data"]["name"]] for layer in spec["layer"])
    assert [row["expected"] for row in diagonal] == [row["value"] for row in diagonal]
    assert diagonal[0]["expected"] == min(row["expected"] for row in points)
    assert diagonal[1]["expected"] == max(row["expected"] for row in points)
    assert spec["layer"][1]["encoding"]["x"]["title"] == "expected of a normal"
    spec.pop("$schema")
    assert "http" not in json.dumps(spec)


def test_a_law_is_called_by_its_degrees_of_freedom():
    fits: DistributionFits = fits_of(np.random.default_rng(0).standard_t(5, 3000))
    assert law_words(fits.normal) == "a normal"
    assert law_words(fits.student_t) == f"a Student-t (df {fits.student_t.df:.3g})"
    assert math.isinf(fits.normal.df)
