"""Singular values against closed forms, numpy's decomposition, and what may not change them."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Cancelled, MeasureError
from engine.sources.base import TensorInfo
from engine.spectra import gram, singular_values
from engine.spectra.reading import has_spectrum, measure_array
from engine.spectra.registry import SPECTRAL_MEASURES
from engine.spectra.settings import SpectrumSettings

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def orthogonal(size: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(noise(size, size, seed=seed))[0]


def values_of(array: np.ndarray, **changes) -> dict[str, float]:
    return measure_array(array, SpectrumSettings(**changes)).values


def test_the_identity_has_all_directions_and_a_perfect_condition():
    found = values_of(np.eye(30, dtype=np.float32))
    assert found["condition_number"] == found["spectral_norm"] == 1
    assert found["spectral_entropy"] == pytest.approx(1)
    assert found["stable_rank"] == found["numerical_rank"] == found["nuclear_norm"] == 30
    assert found["effective_rank"] == pytest.approx(30)
    assert found["frobenius_norm"] == pytest.approx(math.sqrt(30))


def test_an_orthogonal_matrix_scaled_is_the_identity_scaled_and_has_no_tail():
    found = values_of(7 * orthogonal(50))
    assert found["spectral_norm"] == pytest.approx(7, rel=1e-12)
    assert found["condition_number"] == pytest.approx(1, rel=1e-10)
    assert found["stable_rank"] == pytest.approx(50, rel=1e-12)
    assert math.isnan(found["alpha"])


def test_a_single_direction_is_all_there_is_of_rank_one():
    u, v = noise(30), noise(40, seed=1)
    found = values_of(np.outer(u, v))
    assert found["spectral_norm"] == pytest.approx(np.linalg.norm(u) * np.linalg.norm(v), rel=1e-12)
    assert (found["numerical_rank"], found["condition_number"]) == (1, math.inf)
    assert found["stable_rank"] == pytest.approx(1) and found["effective_rank"] == pytest.approx(1)
    assert found["spectral_entropy"] == pytest.approx(0, abs=1e-12)


def test_a_zero_matrix_has_norms_and_rank_of_0_and_nothing_else():
    found = values_of(np.zeros((20, 30), np.float32))
    zero = {"spectral_norm", "frobenius_norm", "nuclear_norm", "numerical_rank"}
    assert {name for name, value in found.items() if value == 0} == zero
    assert all(math.isnan(value) for name, value in found.items() if name not in zero)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (40, 40), (300, 70), (70, 300), (16, 8, 3, 3)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int8, np.bool_])
def test_every_shape_and_type_agrees_with_numpy_to_1e_10(shape, dtype):
    array = (3 * noise(*shape) + 0.3).astype(dtype)
    expected = np.linalg.svd(array.astype(np.float64).reshape(shape[0], -1), compute_uv=False)
    found = measure_array(array).singular
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-10 * expected[0])
    matrix = array.astype(np.float64).reshape(shape[0], -1)
    np.testing.assert_allclose(found.row_squares, (matrix**2).sum(1), rtol=1e-12)
    np.testing.assert_allclose(found.column_squares, (matrix**2).sum(0), rtol=1e-12)
    assert measure_array(array).values["numerical_rank"] == np.linalg.matrix_rank(matrix)


@pytest.mark.parametrize("steepness", [3, 6, 9, 14])
def test_badly_conditioned_matrices_keep_their_small_values(steepness):
    expected = np.logspace(0, -steepness, 60)
    array = (orthogonal(60) * expected) @ orthogonal(60, seed=1)
    found = measure_array(array)
    np.testing.assert_allclose(found.singular.values, expected, rtol=0, atol=1e-10)
    assert found.values["numerical_rank"] == np.linalg.matrix_rank(array)
    if steepness == 3:
        assert found.values["condition_number"] == pytest.approx(1e3, rel=1e-9)


def test_a_product_of_low_rank_has_that_rank_and_dead_rows_hide_nothing():
    low = noise(300, 5) @ noise(5, 200, seed=1)
    assert values_of(low)["numerical_rank"] == 5
    dead = noise(60, 50)
    dead[::7], dead[:, 3] = 0, 0
    np.testing.assert_allclose(measure_array(dead).singular.values, np.linalg.svd(dead)[1], atol=1e-10)
    assert values_of(dead)["numerical_rank"] == np.linalg.matrix_rank(dead)


def test_blocks_change_nothing(monkeypatch):
    whole = [measure_array(noise(*shape)).singular.values for shape in ((500, 30), (30, 500))]
    monkeypatch.setattr(gram, "BLOCK_BYTES", 1)
    monkeypatch.setattr(gram.blocks, "__defaults__", (None, 7))
    monkeypatch.setattr(singular_values, "UNRESOLVED", 2.0)  # the reduction by QR too
    for values, shape in zip(whole, ((500, 30), (30, 500)), strict=True):
        np.testing.assert_allclose(measure_array(noise(*shape)).singular.values, values, rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(shapes, st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
def test_scale_transpose_and_permutation_do_what_they_must(shape, seed, scale):
    rng = np.random.default_rng(seed)
    array = rng.standard_normal(shape)
    base = measure_array(array)
    values = base.singular.values
    changed = {
        "transposed": (array.T, 1.0),
        "permuted": (array[rng.permutation(shape[0])][:, rng.permutation(shape[1])], 1.0),
        "scaled": (scale * array, scale),
    }
    for name, (other, factor) in changed.items():
        found = measure_array(other)
        np.testing.assert_allclose(found.singular.values, factor * values, rtol=0, atol=1e-10 * factor * values[0])
        for measure in ("stable_rank", "effective_rank", "spectral_entropy", "iid_spikes", "scaled_spikes"):
            np.testing.assert_allclose(
                found.values[measure], base.values[measure], rtol=1e-6, err_msg=f"{name} {measure}"
            )
    assert 1 - 1e-9 <= base.values["stable_rank"] <= min(shape) * (1 + 1e-12)
    assert 1 - 1e-9 <= base.values["effective_rank"] <= min(shape) * (1 + 1e-9)


@pytest.mark.parametrize("changes", [{}, {"precision": "float32"}, {"max_exact_side": 1}], ids=str)
def test_what_has_no_spectrum_says_why(changes):
    for array, words in (
        (np.array([[1, np.nan], [np.inf, 2]], np.float32), "2 NaN or infinite"),
        (noise(3, 3) * 1e200, "leave the range"),
        (noise(3, 3) * 1e-200, "leave the range"),
        (np.zeros((0, 5)), "no elements"),
        (np.zeros((2, 2), np.complex64), "real numbers"),
    ):
        with pytest.raises(MeasureError, match=words):
            measure_array(array, SpectrumSettings(**changes))


def test_float32_is_right_to_1e_4_and_says_what_it_cannot_tell_from_zero():
    array = noise(200, 150).astype(np.float32)
    exact, rough = measure_array(array), measure_array(array, SpectrumSettings(precision="float32"))
    np.testing.assert_allclose(
        rough.singular.values, exact.singular.values, atol=1e-4 * exact.singular.values[0], rtol=0
    )
    assert rough.singular.resolution > 1e-3 * rough.singular.values[0]
    low = (noise(100, 5) @ noise(5, 80, seed=1)).astype(np.float32)
    assert values_of(low, precision="float32")["numerical_rank"] == 5


def test_an_estimate_finds_what_stands_out_and_knows_its_error():
    array = noise(400, 300)
    spikes = np.array([120.0, 90.0, 70.0])
    array += (np.linalg.qr(noise(400, 3, seed=1))[0] * spikes) @ np.linalg.qr(noise(300, 3, seed=2))[0].T
    expected = np.linalg.svd(array, compute_uv=False)
    for each in (array, array.T):
        found = measure_array(each, SpectrumSettings(max_exact_side=100))
        singular = found.singular
        assert singular.is_estimate and len(singular.values) == 32
        off = (expected[:32] - singular.values) / singular.values
        assert (off > -1e-10).all(), "an estimate is never above"
        assert (off[:3] <= singular.errors[:3] + 1e-12).all() and singular.errors[:3].max() < 1e-3
        assert found.values["scaled_spikes"] == measure_array(array).values["scaled_spikes"] == 3
        assert found.values["frobenius_norm"] == pytest.approx(np.linalg.norm(array), rel=1e-12)
        assert found.values["stable_rank"] == pytest.approx(measure_array(array).values["stable_rank"], rel=1e-3)
        unknown = ("alpha", "nuclear_norm", "numerical_rank", "effective_rank", "spectral_entropy", "condition_number")
        assert all(math.isnan(found.values[name]) for name in unknown)


def test_an_estimate_that_spans_everything_is_exact():
    array = noise(90, 60)
    found = measure_array(array, SpectrumSettings(max_exact_side=50)).singular
    np.testing.assert_allclose(found.values, np.linalg.svd(array, compute_uv=False)[:32], rtol=1e-12)
    assert found.errors.max() < 1e-10


def test_bytes_are_counted_and_the_work_can_be_stopped():
    seen = []
    array = noise(3000, 300).astype(np.float32)
    measure_array(array, on_bytes=seen.append)
    assert sum(seen) == array.nbytes and len(seen) > 1

    def stop(_):
        raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        measure_array(array, on_bytes=stop)


def test_the_input_is_left_as_it_was():
    array = noise(50, 40)
    before = array.copy()
    array.flags.writeable = False
    measure_array(array)
    np.testing.assert_array_equal(array, before)


def test_only_matrices_have_a_spectrum_in_a_model():
    shapes_of = {(3, 4): True, (3, 2, 2): True, (5,): False, (): False, (1, 9): False, (9, 1): False, (0, 4): False}
    for shape, expected in shapes_of.items():
        assert has_spectrum(TensorInfo("w", shape, "F32", 4 * math.prod(shape), "f")) is expected, shape


def test_every_measure_gives_a_float_and_says_what_it_means():
    found = values_of(noise(40, 30))
    assert list(found) == list(SPECTRAL_MEASURES)
    for name, entry in SPECTRAL_MEASURES.items():
        assert type(found[name]) is float, name
        assert entry.title and entry.description and entry.unit in ("1", "weight", "weight²", "count")
