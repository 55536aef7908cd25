"""Maps keep what they say they keep, and noise gives maps too."""

import numpy as np
import pytest

from engine.discovery.projections import METHODS, project, same_covariance_null, trustworthiness
from engine.errors import MeasureError


@pytest.fixture(scope="module")
def groups():
    """Three groups of 30 in 12 dimensions, far apart."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(centre, 1, (30, 12)) for centre in (-8, 0, 8)])


def test_pca_is_the_best_plane_and_says_how_much_it_explains():
    rng = np.random.default_rng(1)
    table = rng.standard_normal((200, 5)) * (10, 3, 1, 0.5, 0.1)
    found = project(table, "PCA")
    values = np.linalg.eigvalsh(np.cov(table.T))[::-1]
    np.testing.assert_allclose(found.points.var(axis=0, ddof=1), values[:2], rtol=1e-10)
    np.testing.assert_allclose(found.explained, values[:2] / values.sum(), rtol=1e-10)
    np.testing.assert_allclose(found.points, project(table[::-1], "PCA").points[::-1], atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_points_that_are_close_stay_close_and_the_same_seed_gives_the_same_map(groups, method):
    found = project(groups, method, seed=3)
    assert found.points.shape == (90, 2) and np.isfinite(found.points).all()
    assert found.trustworthiness > 0.7
    centres = found.points.reshape(3, 30, 2).mean(axis=1)
    nearest = np.linalg.norm(found.points[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == np.repeat(np.arange(3), 30)).all()
    assert (project(groups, method, seed=3).points == found.points).all()


def test_trustworthiness_is_one_for_the_table_itself_and_a_half_for_a_random_layout():
    rng = np.random.default_rng(2)
    table = rng.standard_normal((300, 2))
    assert trustworthiness(table, table)[0] == pytest.approx(1)
    assert trustworthiness(table, rng.standard_normal((300, 2)))[0] == pytest.approx(0.5, abs=0.06)
    assert np.isnan(trustworthiness(table[:3], table[:3])[0])


def test_the_null_has_the_mean_and_covariance_of_the_table():
    rng = np.random.default_rng(3)
    table = rng.standard_normal((4000, 3)) @ np.array([[2, 0, 0], [1, 1, 0], [0, 0.5, 0.2]]) + (5, 0, -1)
    null = same_covariance_null(table, seed=1)
    np.testing.assert_allclose(null.mean(axis=0), table.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(np.cov(null.T), np.cov(table.T), rtol=0.12, atol=0.05)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(3, 4), (4, 1), (6, 40)])
def test_few_signatures_are_laid_out_all_the_same(method, shape):
    points = project(np.random.default_rng(4).standard_normal(shape), method).points
    assert points.shape == (shape[0], 2) and np.isfinite(points).all()


@pytest.mark.parametrize("table", [np.ones((2, 3)), np.ones(5), np.full((5, 2), np.nan), np.ones((5, 0))])
def test_what_cannot_be_laid_out_is_refused(table):
    with pytest.raises(MeasureError):
        project(table, "PCA")


def test_an_unknown_map_is_refused():
    with pytest.raises(MeasureError, match="no map"):
        project(np.eye(5), "astrology")
