"""A tensor with its lines in another order is a source like any other."""

import ml_dtypes
import numpy as np
import pytest

import engine.sources
from engine.errors import TensorNotFoundError
from engine.heatmaps import Viewport, exact_value, full_view, largest_entry, read_grid
from engine.sources.reordered import Reordered


@pytest.mark.parametrize(
    "kind", [np.float32, ml_dtypes.bfloat16, np.int64, ml_dtypes.float8_e4m3fn, np.bool_, np.complex64]
)
@pytest.mark.parametrize("shape", [(30, 20), (57,), (6, 3, 2, 2)])
def test_every_entry_is_where_the_orders_put_it(kind, shape, tmp_path, write_safetensors):
    rng = np.random.default_rng(0)
    array = (rng.standard_normal(shape) * 3).astype(kind)
    matrix = array.reshape(1 if len(shape) == 1 else shape[0], -1)
    rows, columns = rng.permutation(matrix.shape[0]), rng.permutation(matrix.shape[1])
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {"w": array})) as source:
        for r, c in ((rows, columns), (rows, None), (None, columns), (None, None)):
            sorted_ = Reordered(source, source.info("w"), r, c)
            wanted = matrix if r is None else matrix[r]
            wanted = wanted if c is None else wanted[:, c]
            assert sorted_.read("w").dtype == array.dtype and sorted_.read("w").tobytes() == wanted.tobytes()
            assert sorted_.info("w").shape == matrix.shape
            assert exact_value(sorted_, sorted_.info("w"), 0, 5) == wanted[0, 5]


def test_its_overview_hides_no_outlier_and_its_fingerprint_tells_orders_apart(tmp_path, write_safetensors):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((3000, 40), dtype=np.float32)
    matrix[1234, 17] = -50
    rows = rng.permutation(3000)
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", {"w": matrix})) as source:
        plain, turned = Reordered(source, source.info("w"), rows), Reordered(source, source.info("w"), rows[::-1])
        grid = read_grid(plain, plain.info("w"), full_view(plain.info("w"), 100, 10))
        assert grid.values.min() == -50
        row, column = largest_entry(plain, plain.info("w"), Viewport(0, 3000, 0, 40))
        assert (rows[row], column) == (1234, 17)
        assert len({plain.fingerprint, turned.fingerprint, source.fingerprint}) == 3
        with pytest.raises(TensorNotFoundError, match="Only 'w'"):
            plain.info("x")
        plain.close()
        assert source.read("w")[1234, 17] == -50
