"""Numbers of heads and their circuits against the product that is never made, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine.sources
from engine.attention import circuits
from engine.attention.blocks import attention_blocks
from engine.attention.heads import HeadWeights, split_heads
from engine.attention.numbers import HEAD_NUMBERS, circuit_factors, circuit_singular_values, head_numbers


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 12),
    width=st.integers(1, 8),
    columns=st.integers(1, 12),
    power=st.integers(-9, 9),
    seed=st.integers(0, 99),
)
def test_singular_values_from_the_factors_are_those_of_the_product(rows, width, columns, power, seed):
    rng = np.random.default_rng(seed)
    left, right = rng.normal(size=(rows, width)) * 10.0**power, rng.normal(size=(width, columns))
    ours = circuits.product_singular_values(left, right)
    theirs = np.linalg.svd(left @ right, compute_uv=False)[: len(ours)]
    np.testing.assert_allclose(ours[: len(theirs)], theirs, atol=1e-10 * theirs[0])


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4, 1e8, np.inf])
def test_factors_of_any_condition_lose_no_accuracy(condition):
    rng = np.random.default_rng(0)
    basis, turn = np.linalg.qr(rng.normal(size=(40, 6)))[0], np.linalg.qr(rng.normal(size=(6, 6)))[0]
    left = basis * np.geomspace(1, 1 / min(condition, 1e300), 6) @ turn
    if condition == np.inf:
        left[:, 3] = left[:, 1]
    right = rng.normal(size=(6, 30))
    theirs = np.linalg.svd(left @ right, compute_uv=False)[:6]
    np.testing.assert_allclose(circuits.product_singular_values(left, right), theirs, atol=1e-12 * theirs[0])


def test_circuits_of_a_real_model_agree_with_numpy(minilm_path):
    source = engine.sources.open(minilm_path)
    block = attention_blocks(source.infos())[2]
    weights = HeadWeights(source, split_heads(source, block))
    numbers = head_numbers(weights)
    for head in (7,):
        for circuit in ("qk", "ov"):
            left, right = circuit_factors(weights, circuit, head)
            theirs = np.linalg.svd(left @ right, compute_uv=False)
            np.testing.assert_allclose(
                circuit_singular_values(weights, circuit)[head], theirs[:32], atol=1e-10 * theirs[0]
            )
            assert theirs[32] < 1e-12 * theirs[0]  # the rank is the head's width
            assert numbers[f"{circuit}_spectral"][head] == pytest.approx(theirs[0], rel=1e-10)
            assert numbers[f"{circuit}_norm"][head] == pytest.approx(np.linalg.norm(left @ right), rel=1e-10)
        output, value = circuit_factors(weights, "ov", head)
        eigenvalues = np.linalg.eigvals(output @ value)
        assert numbers["copying"][head] == pytest.approx(eigenvalues.real.sum() / np.abs(eigenvalues).sum(), abs=1e-6)
    query = source.read(block.weights["query"].name).astype(np.float64)
    assert numbers["query_norm"][3] == pytest.approx(np.linalg.norm(query[96:128]), rel=1e-12)


def test_a_permuted_gguf_has_the_numbers_of_its_original(real_dir):
    """llama.cpp reorders the rows of queries and keys inside a head, both alike."""
    gguf = engine.sources.open(real_dir / "stories260K-gguf" / "stories260K.gguf")
    hub = engine.sources.open(real_dir / "stories260K-hf")
    is_reordered = False
    for ours, theirs in zip(attention_blocks(gguf.infos()), attention_blocks(hub.infos()), strict=True):
        first, second = (HeadWeights(s, split_heads(s, b)) for s, b in ((gguf, ours), (hub, theirs)))
        assert first.heads.num_heads == 8 and first.heads.num_kv_heads == 4 == second.heads.num_kv_heads
        for name, values in head_numbers(first).items():
            np.testing.assert_allclose(values, head_numbers(second)[name], rtol=1e-9, err_msg=name)
        for head in range(8):
            rows = [weights.matrix("query", head) for weights in (first, second)]
            is_reordered |= not np.array_equal(*rows)
            np.testing.assert_array_equal(*(np.sort(matrix, axis=0) for matrix in rows))
    assert is_reordered


@pytest.mark.parametrize("name", ["stories260K-Q8_0.gguf", "stories260K-Q4_0.gguf"])
def test_a_quantised_file_has_nearly_the_numbers_of_its_original(name, real_dir):
    quantised = engine.sources.open(real_dir / "stories260K-gguf-derived" / name)
    original = engine.sources.open(real_dir / "stories260K-gguf" / "stories260K.gguf")
    found = [
        head_numbers(HeadWeights(source, split_heads(source, attention_blocks(source.infos())[1])))
        for source in (quantised, original)
    ]
    np.testing.assert_allclose(found[0]["query_norm"], found[1]["query_norm"], rtol=0.02)
    np.testing.assert_allclose(found[0]["ov_spectral"], found[1]["ov_spectral"], rtol=0.15)


def test_ranks_of_equal_directions_are_their_number():
    sigma = np.full(5, 3.0)
    assert circuits.stable_rank(sigma) == pytest.approx(5) == pytest.approx(circuits.effective_rank(sigma))
    assert circuits.frobenius_norm(sigma) == pytest.approx(3 * 5**0.5)
    one = np.array([2.0, 0.0, 0.0])
    assert circuits.stable_rank(one) == 1 == circuits.effective_rank(one)


def test_a_zero_circuit_has_no_rank():
    assert np.isnan(circuits.stable_rank(np.zeros(4))) and np.isnan(circuits.effective_rank(np.zeros(4)))


def test_a_head_that_copies_scores_one_and_one_that_removes_minus_one():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(10, 4)))[0]
    assert circuits.copying(basis.T, basis) == pytest.approx(1)
    assert circuits.copying(basis.T, -basis) == pytest.approx(-1)
    turn = np.kron(np.eye(2), [[0, -1], [1, 0]])  # eigenvalues ±i
    assert circuits.copying(basis.T, basis @ turn) == pytest.approx(0, abs=1e-12)


def test_copying_is_undefined_without_eigenvalues():
    assert np.isnan(circuits.copying(np.zeros((2, 6)), np.zeros((6, 2))))
    assert np.isnan(circuits.copying(np.ones((2, 5)), np.ones((6, 2))))  # reads one stack, writes another
    assert np.isnan(circuits.copying(np.full((2, 6), np.nan), np.ones((6, 2))))
    assert np.isnan(circuits.copying(np.eye(2, 6), np.eye(6, 2, 1) * 0 + np.eye(6)[:, [5, 0]]))  # nilpotent


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_broken_weights_have_no_circuit(broken):
    left, right = np.ones((6, 2)), np.ones((2, 6))
    left[1, 1] = broken
    assert np.isnan(circuits.product_singular_values(left, right)).all()


@pytest.mark.parametrize(("rows", "columns", "size"), [(37, 53, 8), (5, 7, 16), (64, 64, 64), (1, 300, 9)])
def test_a_pooled_product_is_the_pooled_whole_product(rows, columns, size):
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(rows, 3)), rng.normal(size=(3, columns))
    cells, row_step, column_step = circuits.pooled_product(left, right, size)
    whole = (left @ right).astype(np.float32)
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            block = whole[i * row_step : (i + 1) * row_step, j * column_step : (j + 1) * column_step]
            assert abs(cells[i, j]) == np.abs(block).max() and cells[i, j] in block


def test_every_number_has_words_and_a_value_for_every_head(minilm_path):
    source = engine.sources.open(minilm_path)
    numbers = head_numbers(HeadWeights(source, split_heads(source, attention_blocks(source.infos())[0])))
    assert numbers.keys() == HEAD_NUMBERS.keys()
    for name, values in numbers.items():
        assert values.shape == (12,) and np.isfinite(values).all(), name
        assert HEAD_NUMBERS[name].title and HEAD_NUMBERS[name].description.endswith(".")
    for circuit in ("qk", "ov"):
        assert ((numbers[f"{circuit}_stable_rank"] >= 1) & (numbers[f"{circuit}_stable_rank"] <= 32)).all()
        assert (numbers[f"{circuit}_effective_rank"] <= 32).all()
    assert (np.abs(numbers["copying"]) <= 1).all()
