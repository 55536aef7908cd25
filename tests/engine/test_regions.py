"""Rectangles of tensors: exact statistics, and where the extremes are."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine.sources
from engine.errors import MeasureError
from engine.heatmaps import Viewport
from engine.regions import region
from tests.engine.test_heatmaps import Matrix


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 99), numbers=st.tuples(*[st.integers(-5, 60)] * 4))
def test_a_rectangle_has_the_statistics_of_numpy(seed, numbers):
    matrix = np.random.default_rng(seed).standard_normal((41, 33)).astype(np.float32)
    source = Matrix(matrix)
    found = region(source, source.info("w"), Viewport(*numbers), threads=1)
    view = Viewport(*numbers).clipped((41, 33))
    entries = matrix[view.row_start : view.row_stop, view.column_start : view.column_stop].astype(np.float64)
    got = found.distribution
    assert (got.count, got.minimum, got.maximum) == (entries.size, entries.min(), entries.max())
    assert got.mean == pytest.approx(entries.mean(), rel=1e-12, abs=1e-15)
    assert got.m2 == pytest.approx(entries.var(), rel=1e-10, abs=1e-18)
    assert matrix[found.minimum_at] == entries.min() and matrix[found.maximum_at] == entries.max()
    norm = float(np.linalg.norm(matrix.astype(np.float64)))
    assert found.share_of_energy(norm) == pytest.approx((entries**2).sum() / norm**2, rel=1e-12)


def test_the_first_of_equal_extremes_is_named_and_broken_entries_are_counted():
    matrix = np.array([[9, np.nan, 2, 2], [np.inf, -1, 0, -1], [5, 2, -np.inf, 0]], np.float32)
    source = Matrix(matrix)
    found = region(source, source.info("w"), Viewport(0, 3, 1, 4))
    assert found.maximum_at == (0, 2) and found.minimum_at == (1, 1)
    got = found.distribution
    assert (got.count, got.num_nan, got.num_posinf, got.num_neginf, got.num_zero) == (9, 1, 0, 1, 2)


def test_a_rectangle_without_a_finite_entry_has_no_extremes():
    source = Matrix(np.full((3, 3), np.nan, np.float32))
    found = region(source, source.info("w"), Viewport(0, 2, 0, 2))
    assert found.minimum_at is None and found.maximum_at is None
    assert found.distribution.num_nan == 4 and np.isnan(found.share_of_energy(0.0))


@pytest.mark.parametrize("kind", [np.float32, ml_dtypes.bfloat16, np.float64, np.int64, ml_dtypes.float8_e4m3fn])
@pytest.mark.parametrize("shape", [(30, 20), (57,), (), (6, 3, 2, 2)])
def test_every_type_and_shape_can_be_selected_in(kind, shape, tmp_path, write_safetensors):
    array = np.asarray(np.random.default_rng(0).standard_normal(shape) * 5).astype(kind)
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {"w": array})) as source:
        found = region(source, source.info("w"), Viewport(0, 5, 0, 11))
        matrix = array.reshape(1, 1) if shape == () else array.reshape(1 if len(shape) == 1 else shape[0], -1)
        assert found.distribution.maximum == matrix[:5, :11].astype(np.float64).max()
        assert float(matrix[found.maximum_at]) == found.distribution.maximum


def test_a_tensor_without_entries_has_no_rectangle(tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "m.safetensors", {"w": np.zeros((0, 4), np.float32)})
    with engine.sources.open(path) as source, pytest.raises(MeasureError, match="no entries"):
        region(source, source.info("w"), Viewport(0, 1, 0, 1))
