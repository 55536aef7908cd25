"""Odd signatures are found, with the features that make them odd."""

import numpy as np
import pytest

from engine.discovery.anomalies import anomalies
from engine.errors import MeasureError


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    mixed = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 6))
    mixed[7] += 30 * mixed.std(axis=0) * np.array([0, 0, 1, 0, 0, 0])
    return mixed


def test_a_planted_oddity_comes_first_with_its_feature(table):
    found = anomalies(table)
    assert found.is_robust and found.num_dimensions == 6
    assert found.distances.argmax() == 7 and found.isolation.argmax() == 7
    assert found.p_values[7] < 1e-6
    assert abs(max(found.reasons[7], key=lambda reason: abs(reason.z)).z) > 20
    assert max(found.reasons[7], key=lambda reason: abs(reason.z)).feature == 2


def test_the_shares_of_all_features_add_up(table):
    import engine.discovery.anomalies as module

    narrow = table[:, :5]  # as many features as reasons are named
    assert module.NUM_REASONS == 5
    for reasons in anomalies(narrow).reasons[:50]:
        assert sum(reason.share for reason in reasons) == pytest.approx(1, abs=1e-9)


def test_ordinary_signatures_have_uniform_p_values():
    found = anomalies(np.random.default_rng(1).standard_normal((1000, 4)))
    assert (found.p_values < 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert (found.p_values < 0.5).mean() == pytest.approx(0.5, abs=0.06)


def test_ten_times_as_many_oddities_do_not_hide_each_other():
    rng = np.random.default_rng(2)
    table = rng.standard_normal((300, 3))
    table[:30] += 12
    found = anomalies(table)
    assert set(np.argsort(-found.distances)[:30]) == set(range(30))


def test_units_of_a_feature_do_not_matter(table):
    wide = anomalies(table * np.array([1, 1e6, 1, 1e-6, 1, 1]))
    np.testing.assert_allclose(wide.distances, anomalies(table).distances, rtol=1e-6)


def test_few_signatures_say_that_the_estimate_is_not_robust():
    found = anomalies(np.random.default_rng(3).standard_normal((12, 30)))
    assert not found.is_robust and found.num_dimensions == 2
    assert np.isfinite(found.distances).all()


def test_constant_features_and_constant_tables_are_no_trouble():
    table = np.random.default_rng(4).standard_normal((50, 3))
    table[:, 1] = 5
    assert np.isfinite(anomalies(table).distances).all()
    assert (anomalies(np.ones((50, 3))).distances == 0).all()


def test_too_few_or_undefined_are_refused():
    for bad in (np.ones((7, 3)), np.full((20, 3), np.nan)):
        with pytest.raises(MeasureError):
            anomalies(bad)
