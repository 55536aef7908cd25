"""CKA is one for the same computation, zero for nothing in common, and undefined where nothing varies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.discovery.activations import compared
from engine.discovery.cka import linear_cka
from engine.errors import MeasureError

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((40, 12))


def test_what_is_turned_scaled_and_shifted_computes_the_same():
    turn = np.linalg.qr(RANDOM.standard_normal((12, 12)))[0]
    assert linear_cka(X, 3 * X @ turn + 5) == pytest.approx(1)


def test_features_without_anything_in_common_give_zero_however_many_there_are():
    found = [linear_cka(*RANDOM.standard_normal((2, 30, 300))) for _ in range(60)]
    assert abs(np.mean(found)) < 0.02


def test_it_is_the_debiased_estimator_of_its_source():
    def hsic(k: np.ndarray, other: np.ndarray) -> float:  # Song et al. 2012, equation 5, word by word
        n, one = len(k), np.ones(len(k))
        k, other = k - np.diag(np.diag(k)), other - np.diag(np.diag(other))
        whole = np.trace(k @ other) + (one @ k @ one) * (one @ other @ one) / ((n - 1) * (n - 2))
        return (whole - 2 / (n - 2) * (one @ k @ other @ one)) / (n * (n - 3))

    y = X[:, :5] ** 2 + RANDOM.standard_normal((40, 5))
    k, other = X @ X.T, y @ y.T
    expected = hsic(k, other) / math.sqrt(hsic(k, k) * hsic(other, other))
    assert linear_cka(X, y) == pytest.approx(expected)


def test_what_does_not_vary_has_none():
    assert math.isnan(linear_cka(X, np.ones((40, 3))))


@pytest.mark.parametrize("shapes", [((3, 2), (3, 2)), ((8, 2), (9, 2)), ((8,), (8, 2))])
def test_other_tables_are_refused(shapes):
    with pytest.raises(MeasureError, match="row for each"):
        linear_cka(*(np.zeros(shape) for shape in shapes))


def test_random_starts_stand_beside_the_models():
    starts = [[RANDOM.standard_normal((40, 6)) for _ in range(2)] for _ in range(2)]
    found = compared([X, X], starts, 0, 1)
    assert found.value == pytest.approx(1)
    assert found.null == pytest.approx(np.mean([linear_cka(a, b) for a, b in zip(*starts, strict=True)]))
    assert found.excess == found.value - found.null
