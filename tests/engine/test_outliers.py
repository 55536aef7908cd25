"""Outlying rows, columns and weights against the obvious full sort."""

import numpy as np
import pytest

import engine.sources
from engine import outliers
from engine.measures.reading import measure_array
from engine.measures.results import AxisProfile
from engine.outliers import largest_weights, outlying_lines


@pytest.fixture
def planted(tmp_path, write_safetensors):
    weights = np.random.default_rng(0).normal(size=(300, 70)).astype(np.float32)
    weights[17] *= 9
    weights[:, 3] *= 7
    weights[200, 11] = -60.0
    weights[5, 5] = np.nan
    weights[6, 6] = np.inf
    source = engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {"w": weights, "v": weights[7]}))
    return source, weights


def test_the_largest_weights_are_those_of_a_full_sort(planted):
    source, weights = planted
    reading = measure_array(weights)
    found = largest_weights(source, source.info("w"), reading.rows, reading.values["std"], count=25)
    magnitude = np.where(np.isfinite(weights), np.abs(weights), 0)
    expected = np.argsort(-magnitude.ravel(), kind="stable")[:25]
    assert [weight.row * 70 + weight.column for weight in found] == expected.tolist()
    assert [weight.value for weight in found] == weights.ravel()[expected].astype(float).tolist()
    assert found[0].sigmas == pytest.approx(magnitude.max() / reading.values["std"])


def test_a_vector_is_read_as_one_row(planted):
    source, weights = planted
    found = largest_weights(source, source.info("v"), None, 1.0, count=3)
    assert [weight.row for weight in found] == [0, 0, 0]
    assert [weight.column for weight in found] == np.argsort(-np.abs(weights[7]))[:3].tolist()


def test_planted_rows_and_columns_are_listed_first(planted):
    _, weights = planted
    reading = measure_array(weights)
    assert outlying_lines(reading.rows)[0].index == 17
    assert outlying_lines(reading.columns)[0].index == 3
    norms = np.sqrt(np.nansum(np.where(np.isfinite(weights), weights, 0).astype(np.float64) ** 2, axis=1))
    spread = 1.482602218505602 * np.median(np.abs(norms - np.median(norms)))
    assert outlying_lines(reading.rows)[0].score == pytest.approx((norms[17] - np.median(norms)) / spread, rel=1e-5)


def test_equal_lines_and_no_lines_have_no_outlier():
    equal = AxisProfile(np.ones(5, np.float32), np.ones(5, np.float32), np.zeros(5, np.int64), np.zeros(5, np.int64))
    assert outlying_lines(equal) == []
    empty = AxisProfile(*(np.zeros(0, t) for t in (np.float32, np.float32, np.int64, np.int64)))
    assert outlying_lines(empty) == []


def test_long_rows_are_looked_at_in_pieces_and_of_equal_weights_the_first_are_listed(
    tmp_path, write_safetensors, monkeypatch
):
    monkeypatch.setattr(outliers, "PIECE", 16)
    values = np.tile(np.array([0.0, 2.0, -2.0, 1.0, 0.0], np.float32), 20)
    values[[37, 90]] = [-5.0, 7.0]
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {"v": values})) as source:
        found = largest_weights(source, source.info("v"), None, 1.0, count=6)
        everything = largest_weights(source, source.info("v"), None, 1.0, count=200)
    expected = np.argsort(-np.abs(values), kind="stable")
    assert [weight.column for weight in found] == expected[:6].tolist()
    assert [weight.column for weight in everything] == expected[: np.count_nonzero(values)].tolist()
