"""Null models keep what they say they keep, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from engine.discovery.initialisation import InitialLaw, default_law, initial_law
from engine.discovery.nulls import DEFAULT_NULL, NULLS, null_matrix, row_column_gaussian
from engine.errors import MeasureError


def trained_like(seed: int = 0, shape: tuple[int, int] = (60, 90)) -> np.ndarray:
    """Rows and columns of different scale, and one strong direction."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal(shape) * np.exp(0.7 * random.standard_normal(shape[0]))[:, None]
    noise *= np.exp(0.7 * random.standard_normal(shape[1]))
    return noise + 3 * np.outer(random.standard_normal(shape[0]), random.standard_normal(shape[1]))


@pytest.mark.parametrize("name", NULLS)
def test_a_null_has_the_shape_depends_only_on_its_seed_and_leaves_the_matrix_alone(name):
    matrix = trained_like()
    before = matrix.copy()
    first, again, other = (null_matrix(name, matrix, seed) for seed in (1, 1, 2))
    assert first.shape == matrix.shape
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(matrix, before)
    assert abs(np.corrcoef(first.ravel(), matrix.ravel())[0, 1]) < 0.1


def test_the_default_null_has_exactly_the_row_and_column_energies():
    assert DEFAULT_NULL == "row_column_gaussian"
    matrix = trained_like()
    matrix[3] = 0
    null = row_column_gaussian(matrix, 5)
    for axis in (0, 1):
        np.testing.assert_allclose((null**2).sum(axis), (matrix**2).sum(axis), rtol=1e-6, atol=0)
    assert not null[3].any()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 1000))
def test_small_matrices_have_the_energies_too(rows, columns, seed):
    matrix = trained_like(seed, (rows, columns))
    null = row_column_gaussian(matrix, seed)
    energy = (matrix**2).sum()
    for axis in (0, 1):
        np.testing.assert_allclose((null**2).sum(axis), (matrix**2).sum(axis), atol=1e-6 * energy)


def test_within_its_scales_the_default_null_is_gaussian():
    matrix = trained_like(shape=(200, 200))
    null = row_column_gaussian(matrix, 0)
    r, c = (null**2).sum(1), (null**2).sum(0)
    assert kstest((null / np.sqrt(np.outer(r, c) / r.sum())).ravel(), "norm").pvalue > 1e-3


def test_shuffled_entries_are_the_same_entries_and_lose_the_spectrum():
    matrix = trained_like()
    null = null_matrix("entry_shuffle", matrix, 0)
    np.testing.assert_array_equal(np.sort(null, axis=None), np.sort(matrix, axis=None))
    assert np.linalg.norm(null, 2) < 0.7 * np.linalg.norm(matrix, 2)


def test_permuted_lines_keep_norms_and_singular_values():
    matrix = trained_like()
    null = null_matrix("line_permutation", matrix, 0)
    for axis in (0, 1):
        norms = (np.sort(np.linalg.norm(each, axis=axis)) for each in (null, matrix))
        np.testing.assert_allclose(*norms, rtol=1e-12)
    np.testing.assert_allclose(*(np.linalg.svd(each, compute_uv=False) for each in (null, matrix)), rtol=1e-9)


@pytest.mark.parametrize("shape", [(60, 90), (90, 20), (30, 30)])
def test_a_rotation_keeps_the_singular_values_and_loses_the_norms(shape):
    matrix = trained_like(shape=shape)
    null = null_matrix("haar_rotation", matrix, 0)
    np.testing.assert_allclose(*(np.linalg.svd(each, compute_uv=False) for each in (null, matrix)), rtol=1e-9)
    assert abs(np.corrcoef(np.linalg.norm(null, axis=0), np.linalg.norm(matrix, axis=0))[0, 1]) < 0.6


def test_rotations_are_uniform_and_prefer_no_sign():
    ones = np.zeros((3, 3))
    ones[0, 0] = 1.0
    entries = np.array([null_matrix("haar_rotation", ones, seed)[0, 0] for seed in range(600)])
    assert abs(entries.mean()) < 0.05  # E = 0, standard error 0.0136
    assert entries.std() == pytest.approx(1 / 3, abs=0.04)  # a product of two coordinates on the sphere


def test_types_stay_as_wide_as_they_need_to_be():
    matrix = trained_like()
    for name in NULLS:
        assert null_matrix(name, matrix, 0).dtype == np.float64
        assert null_matrix(name, matrix.astype(np.float32), 0).dtype == np.float32


def test_a_zero_matrix_stays_zero_where_the_null_keeps_energy():
    zeros = np.zeros((5, 7), np.float32)
    for name in ("row_column_gaussian", "entry_shuffle", "line_permutation", "haar_rotation"):
        assert not null_matrix(name, zeros, 0).any()


def test_what_is_no_null_and_no_matrix_is_refused():
    with pytest.raises(MeasureError, match="no null model 'coin'"):
        null_matrix("coin", np.eye(3), 0)
    with pytest.raises(MeasureError, match=r"got shape \(3,\)"):
        null_matrix("entry_shuffle", np.ones(3), 0)


def test_a_random_start_follows_the_models_config():
    law = initial_law((400, 500), {"initializer_range": 0.02}, "llama", "query")
    null = null_matrix("random_init", np.ones((400, 500)), 0, law)
    assert null.std() == pytest.approx(0.02, rel=0.01)
    assert kstest((null / 0.02).ravel(), "norm").pvalue > 1e-3
    assert "initializer_range 0.02" in law.origin


def test_without_a_config_it_is_what_torch_does():
    torch = pytest.importorskip("torch")
    law = default_law((300, 200))
    torch.manual_seed(0)
    weights = torch.nn.Linear(200, 300).weight.detach().numpy()
    drawn = law.draw((300, 200), np.random.default_rng(0))
    assert abs(weights).max() <= law.scale and abs(drawn).max() <= law.scale
    assert law.std == pytest.approx(weights.std(), rel=0.01)
    assert drawn.std() == pytest.approx(weights.std(), rel=0.01)
    assert initial_law((300, 200), {}) == law


@pytest.mark.parametrize(
    ("family", "role", "config", "std"),
    [
        ("gpt2", "ffn_out", {"initializer_range": 0.02, "n_layer": 8}, 0.02 / 4),
        ("gpt2", "ffn_in", {"initializer_range": 0.02, "n_layer": 8}, 0.02),
        ("bart", "key", {"init_std": 0.05}, 0.05),
        ("llava", "query", {"text_config": {"initializer_range": 0.03}}, 0.03),
        ("t5", "query", {"d_kv": 64}, 1 / math.sqrt(64 * 100)),
        ("t5", "ffn_in", {}, 0.1),
        ("t5", "token_embedding", {}, 1.0),
        ("", "token_embedding", {}, 1.0),
        ("", "query", {"initializer_range": "wide"}, 0.1 / math.sqrt(3)),
        ("", "query", {"initializer_range": -1}, 0.1 / math.sqrt(3)),
    ],
)
def test_families_start_by_their_own_rules(family, role, config, std):
    assert initial_law((50, 100), config, family, role).std == pytest.approx(std)


def test_a_uniform_law_fills_its_range():
    drawn = InitialLaw("uniform", 0.5, "test").draw((100, 100), np.random.default_rng(0))
    assert kstest(drawn.ravel(), "uniform", (-0.5, 1.0)).pvalue > 1e-3
