"""Groups are found where there are some, and held against noise."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster
from sklearn.metrics import adjusted_rand_score

from engine.discovery.clusters import METHODS, NOISE, cluster, dendrogram_linkage, similarity_matrix
from engine.errors import MeasureError

TRUE = np.repeat([0, 1, 2], [40, 30, 20])


@pytest.fixture(scope="module")
def groups():
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 6, (3, 8))
    return centres[TRUE] + rng.standard_normal((90, 8))


@pytest.mark.parametrize("method", METHODS)
def test_planted_groups_are_found_and_no_null_is_as_separated(groups, method):
    found = cluster(groups, method)
    kept = found.labels != NOISE
    assert found.num_groups == 3
    assert adjusted_rand_score(TRUE[kept], found.labels[kept]) > 0.95 and kept.mean() > 0.8
    assert np.bincount(found.labels[kept]).tolist() == sorted(np.bincount(found.labels[kept]), reverse=True)
    assert found.silhouette > 0.4
    assert found.p_value == pytest.approx(0.05)


def test_groups_in_noise_are_no_finding():
    rng = np.random.default_rng(5)
    p_values = [cluster(rng.standard_normal((60, 6)), "k-means", num_groups=3, seed=n).p_value for n in range(12)]
    assert sum(p <= 0.05 for p in p_values) <= 3  # 12 draws at 5 %: more than 3 happens 4 times in 10,000


def test_the_number_of_groups_can_be_asked_for(groups):
    assert cluster(groups, "agglomerative", num_groups=5, null_draws=0).num_groups == 5
    assert np.isnan(cluster(groups, "agglomerative", num_groups=5, null_draws=0).p_value)
    for bad in (1, 90, -2):
        with pytest.raises(MeasureError):
            cluster(groups, "k-means", num_groups=bad)


def test_cosines_are_those_of_numpy_and_a_row_of_zeros_is_at_a_right_angle():
    table = np.random.default_rng(1).standard_normal((7, 4))
    table[3] = 0
    found = similarity_matrix(table)
    a, b = table[0], table[5]
    assert found[0, 5] == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)), abs=1e-15)
    assert (np.diag(found) == 1).all() and (found == found.T).all()
    assert found[3, 0] == 0


def test_the_dendrogram_joins_what_points_the_same_way():
    table = np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 3], [-1, -1]], np.float64)
    labels = fcluster(dendrogram_linkage(table), 3, "maxclust")
    assert labels[0] == labels[1] and labels[2] == labels[3] and len(set(labels)) == 3


def test_all_points_in_one_place_are_one_group_or_none():
    found = cluster(np.ones((20, 3)), "HDBSCAN", null_draws=0)
    assert found.num_groups <= 1 and np.isnan(found.silhouette)
