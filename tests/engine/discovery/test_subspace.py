"""Only models that had no part in drawing a subspace say anything about it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.discovery.subspace import explained, explained_by_mean, gram, lineages_of, subspace

SIZE = 4000


def noise(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, SIZE))


def test_shares_from_inner_products_are_those_of_projections():
    models = noise(0, 5)
    models -= models.mean(axis=1, keepdims=True)
    products = models @ models.T
    for count in (1, 2, 4):
        directions = np.linalg.svd(models[1:], full_matrices=False)[2][:count]
        expected = ((models[0] @ directions.T) ** 2).sum()
        assert explained(products, 0, [1, 2, 3, 4], count) == pytest.approx(expected, rel=1e-6)
    mean = models[1:].mean(axis=0)
    assert explained_by_mean(products, 0, [1, 2, 3, 4]) == pytest.approx((models[0] @ mean) ** 2 / (mean @ mean))
    assert explained(products, 0, [], 1) == 0.0


def test_independent_models_explain_nothing_of_each_other_though_in_sample_they_seem_to():
    found = subspace([gram(noise(1, 9))], [gram(noise(2, 9))], range(9), SIZE)
    assert max(found.unrelated) < 0.005
    assert max(found.null) < 0.005
    assert found.mean_only < 0.005
    assert found.in_sample[4] > 0.5
    assert not found.has_siblings


def test_a_common_subspace_is_found():
    basis = noise(3, 3)
    models = [np.random.default_rng(s).standard_normal(3) @ basis + 0.1 * noise(10 + s, 1)[0] for s in range(8)]
    found = subspace([gram(models)], [gram(noise(4, 8))], range(8), SIZE)
    assert found.unrelated[-1] > 0.9
    assert found.unrelated[0] < found.unrelated[2]


def test_siblings_explain_each_other_and_are_left_out_of_the_honest_number():
    starts = noise(5, 3)
    models = [starts[i // 2] + noise(20 + i, 1)[0] for i in range(6)]
    lineages = lineages_of(np.corrcoef(models))
    assert lineages == [0, 0, 1, 1, 2, 2]
    found = subspace([gram(models)], [gram(noise(6, 6))], lineages, SIZE)
    assert found.has_siblings
    assert found.left_out[-1] > 0.2
    assert max(found.unrelated) < 0.01


def test_models_of_one_lineage_leave_nobody():
    found = subspace([gram(noise(7, 3))], [gram(noise(8, 3))], [0, 0, 0], SIZE)
    assert all(math.isnan(share) for share in found.unrelated)
    assert math.isfinite(found.left_out[0])


def test_a_common_offset_is_no_direction():
    models = noise(9, 4) + 50
    assert max(subspace([gram(models)], [gram(noise(11, 4))], range(4), SIZE).unrelated) < 0.01


def test_relatives_of_relatives_are_relatives():
    table = np.eye(4)
    table[0, 3] = table[3, 0] = table[3, 1] = table[1, 3] = 0.5
    table[2, 0] = np.nan
    assert lineages_of(table) == [0, 0, 1, 0]
