"""Sums and norms along the edges: those of numpy in float64, over the finite entries."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine.sources
from engine.folding import matrix_shape
from engine.margins import margins
from tests.engine.test_heatmaps import Matrix

KINDS = [
    *(np.float32, np.float64, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn),
    *(np.int8, np.int64, np.uint8, np.bool_),
]


def expected(array):
    matrix = array.reshape(matrix_shape(array.shape)).astype(np.float64)
    matrix = np.where(np.isfinite(matrix), matrix, 0.0)
    return matrix.sum(1), matrix.sum(0), np.sqrt((matrix**2).sum(1)), np.sqrt((matrix**2).sum(0))


def assert_agrees(found, array):
    for mine, slow in zip(
        (found.row_sums, found.column_sums, found.row_norms, found.column_norms), expected(array), strict=True
    ):
        assert mine.dtype == np.float64
        np.testing.assert_allclose(mine, slow, rtol=1e-12, atol=1e-12 * max(1.0, np.abs(slow).max(initial=0)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_gives_the_sums_and_norms_of_its_values_in_float64(kind, tmp_path, write_safetensors):
    array = (np.random.default_rng(0).standard_normal((37, 2100)) * 9).astype(kind)
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {"w": array})) as source:
        assert_agrees(margins(source, source.info("w")), array)


@pytest.mark.parametrize("shape", [(), (1,), (70_000,), (5, 3, 2, 2), (0, 4), (4, 0), (0,), (1, 1)])
def test_any_shape_is_taken_as_its_matrix(shape, tmp_path, write_safetensors):
    array = np.asarray(np.random.default_rng(1).standard_normal(shape), np.float32)
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {"w": array})) as source:
        assert_agrees(margins(source, source.info("w")), array)


def test_nan_and_infinities_enter_no_sum(tmp_path, write_safetensors):
    array = np.array([[1, np.nan, 2], [np.inf, -np.inf, np.nan]], np.float32)
    arrays = {"f": array, "b": array.astype(ml_dtypes.bfloat16)}
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", arrays)) as source:
        for name in arrays:
            found = margins(source, source.info(name))
            assert found.row_sums.tolist() == [3, 0] and found.column_sums.tolist() == [1, 0, 2]
            assert found.row_norms.tolist() == [np.sqrt(5), 0] and found.norm == pytest.approx(np.sqrt(5), rel=1e-15)


def test_the_numbers_do_not_depend_on_the_threads_nor_on_the_cut(tmp_path, write_safetensors, monkeypatch):
    array = np.random.default_rng(2).standard_normal((400, 700), dtype=np.float32)
    monkeypatch.setattr("engine.margins.READ_BYTES", 50_000)
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {"w": array})) as source:
        one, four = (margins(source, source.info("w"), threads=threads) for threads in (1, 4))
        for name in ("row_sums", "column_sums", "row_norms", "column_norms"):
            assert getattr(one, name).tobytes() == getattr(four, name).tobytes()
        assert_agrees(one, array)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999), rows=st.integers(1, 9), columns=st.integers(1, 2100), factor=st.floats(-100, 100))
def test_scaling_scales_and_transposing_exchanges(seed, rows, columns, factor):
    matrix = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    plain, turned = (margins(s, s.info("w")) for s in (Matrix(matrix), Matrix(np.ascontiguousarray(matrix.T))))
    np.testing.assert_allclose(plain.row_sums, turned.column_sums, atol=1e-10)
    np.testing.assert_allclose(plain.column_norms, turned.row_norms, rtol=1e-12)
    scaled = (matrix * np.float32(factor)).astype(np.float32)
    assert_agrees(margins(Matrix(scaled), Matrix(scaled).info("w")), scaled)
