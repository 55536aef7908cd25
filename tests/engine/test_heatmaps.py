"""Windows of tensors as grids: right entries, right places, bounded reading."""

import subprocess
import sys
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine.sources
from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.heatmaps import Viewport, entry_text, exact_value, full_view, largest_entry, read_grid, thumbnail
from engine.pooling import pool
from engine.sources.base import Source, TensorInfo


class Repeated(Source):
    """A tensor of any size whose rows are all one row, so that it takes no memory; it remembers what was read."""

    uri, name, format, files, fingerprint, metadata, config = "", "repeated", "none", (), "1", {}, {}

    def __init__(self, row: np.ndarray, num_rows: int, dtype: str) -> None:
        self.row, self.rows_read, self.most_rows = row, set(), 0
        self._info = TensorInfo("w", (num_rows, row.size), dtype, num_rows * row.nbytes, "f")

    def infos(self):
        return (self._info,)

    def info(self, name):
        return self._info

    def read(self, name):
        raise AssertionError("a window never needs the whole tensor")

    def read_rows(self, name, start, stop):
        self.most_rows = max(self.most_rows, stop - start)
        self.rows_read.update((start, stop))
        return np.repeat(self.row[None], stop - start, axis=0)

    def content_hash(self, on_bytes=None):
        raise AssertionError("not needed")

    def close(self):
        pass


SHAPES = {"matrix": (30, 20), "vector": (57,), "scalar": (), "kernel": (6, 3, 2, 2), "empty": (0, 4), "hollow": (4, 0)}


@pytest.fixture(scope="module")
def tensors():
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture
def source(tensors, tmp_path, write_safetensors):
    arrays = {name: np.asarray(array).reshape(SHAPES[name]) for name, array in tensors.items()}
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", arrays)) as opened:
        yield opened


@pytest.mark.parametrize("name", SHAPES)
def test_a_view_that_fits_is_every_entry_in_its_place(source, tensors, name):
    grid = read_grid(source, source.info(name), full_view(source.info(name), 100, 100))
    np.testing.assert_array_equal(grid.values, tensors[name].reshape(matrix_shape(SHAPES[name])))
    assert grid.is_exact
    assert grid.row_edges.tolist() == list(range(grid.values.shape[0] + 1))
    assert grid.column_edges.tolist() == list(range(grid.values.shape[1] + 1))


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_every_cell_of_any_window_is_the_signed_extreme_of_the_entries_its_edges_name(data):
    rng = np.random.default_rng(1)
    shape = data.draw(st.sampled_from([(41, 33), (1, 64), (64, 1), (7, 90)]))
    matrix = rng.standard_normal(shape).astype(np.float32)
    opened = Vector(matrix[0]) if shape[0] == 1 else Matrix(matrix)
    numbers = st.integers(-5, 95)
    window = Viewport(
        *(data.draw(numbers) for _ in range(4)), data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    )
    grid = read_grid(opened, opened.info("w"), window)
    clipped = window.clipped(shape)
    assert 1 <= grid.values.shape[0] <= window.max_rows and 1 <= grid.values.shape[1] <= window.max_columns
    assert grid.row_start <= clipped.row_start < clipped.row_stop <= grid.row_stop <= shape[0]
    assert grid.column_start <= clipped.column_start < clipped.column_stop <= grid.column_stop <= shape[1]
    for i, (top, bottom) in enumerate(zip(grid.row_edges[:-1], grid.row_edges[1:], strict=True)):
        for j, (left, right) in enumerate(zip(grid.column_edges[:-1], grid.column_edges[1:], strict=True)):
            block = matrix[top:bottom, left:right]
            assert grid.values[i, j] == block.ravel()[np.argmax(np.abs(block))]


class Matrix(Repeated):
    """A matrix in memory."""

    def __init__(self, matrix):
        super().__init__(matrix[0], matrix.shape[0], "F32")
        self.matrix = matrix

    def read_rows(self, name, start, stop):
        return self.matrix[start:stop]


class Vector(Matrix):
    """A vector in memory."""

    def __init__(self, vector):
        super().__init__(vector.reshape(-1, 1))
        self._info = TensorInfo("w", vector.shape, "F32", vector.nbytes, "f")

    def read_rows(self, name, start, stop):
        return self.matrix[start:stop, 0]


def test_cells_begin_at_multiples_of_their_size_so_that_a_dragged_window_shows_the_same_cells(source):
    info = source.info("matrix")
    one, other = (read_grid(source, info, Viewport(top, top + 20, 0, 20, 5, 5)) for top in (0, 4))
    assert one.row_step == other.row_step == 4
    np.testing.assert_array_equal(one.values[1:], other.values[:-1])


def test_only_the_wanted_rows_are_read_and_never_many_at_once():
    huge = Repeated(np.arange(4096, dtype=np.float32), 128_256, "F32")
    grid = read_grid(huge, huge.info("w"), Viewport(1000, 1200, 5, 9, 512, 512))
    assert min(huge.rows_read) == 1000 and max(huge.rows_read) == 1200
    np.testing.assert_array_equal(grid.values, np.repeat([[5, 6, 7, 8]], 200, axis=0))


def test_an_overview_of_a_gigabyte_takes_bounded_memory():
    row = np.random.default_rng(0).standard_normal(4096).astype(ml_dtypes.bfloat16)
    huge = Repeated(row, 128_256, "BF16")
    read_grid(huge, huge.info("w"), Viewport(0, 100, 0, 4096, 10, 10))  # compile first
    tracemalloc.start()
    grid = read_grid(huge, huge.info("w"), full_view(huge.info("w")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 << 20
    np.testing.assert_array_equal(grid.values, np.repeat(pool(row[None], 1, 1024), grid.values.shape[0], axis=0))


def test_the_two_hundred_largest_weights_of_a_tall_matrix_are_all_in_the_overview():
    rng = np.random.default_rng(7)
    matrix = rng.standard_normal((30_522, 384), dtype=np.float32) * 0.05
    opened = Matrix(matrix)
    grid = read_grid(opened, opened.info("w"), full_view(opened.info("w")))
    order = np.argsort(-np.abs(matrix).ravel())[:200]
    rows, columns = np.unravel_index(order, matrix.shape)
    shown = grid.values[rows // grid.row_step, columns // grid.column_step]
    assert np.mean(np.abs(shown) >= np.abs(matrix[rows, columns])) == 1.0
    assert np.isin(np.abs(shown), np.abs(matrix[rows, columns])).all()
    assert grid.values.nbytes <= 1_000_000


def test_wide_types_keep_their_stored_entries_where_the_grid_is_exact(tmp_path, write_safetensors):
    ids = np.array([[2**53 + 1, -(2**60) - 1]], np.int64)
    doubles = np.array([[0.1, 1e-310]], np.float64)
    path = write_safetensors(tmp_path / "m.safetensors", {"ids": ids, "doubles": doubles})
    with engine.sources.open(path) as opened:
        for name, array in {"ids": ids, "doubles": doubles}.items():
            grid = read_grid(opened, opened.info(name), full_view(opened.info(name)))
            np.testing.assert_array_equal(grid.stored, array)
            value = exact_value(opened, opened.info(name), 0, 1)
            assert value == array[0, 1] and value.dtype == array.dtype
        assert read_grid(opened, opened.info("ids"), Viewport(0, 1, 0, 2, 1, 1)).stored is None
        assert str(exact_value(opened, opened.info("ids"), 0, 0)) == "9007199254740993"


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.float32, np.float64])
def test_an_entrys_text_reads_back_as_exactly_that_entry(dtype):
    for value in (np.random.default_rng(0).standard_normal(200) * 0.1).astype(dtype):
        assert np.array(np.float64(entry_text(value))).astype(dtype) == value
    assert entry_text(np.array(np.nan, dtype)[()]) == "NaN"


def test_whole_numbers_truth_values_and_infinities_are_spelled_plainly():
    values = [np.uint8(7), np.int64(-(2**60) - 1), np.bool_(True), np.float32(np.inf), np.float16(-np.inf)]
    assert [entry_text(value) for value in values] == ["7", "-1152921504606846977", "True", "+Inf", "-Inf"]


@pytest.mark.parametrize("place", [(-1, 0), (30, 0), (0, 20), (0, -1)])
def test_an_entry_outside_the_tensor_is_refused_by_name(source, place):
    with pytest.raises(MeasureError, match=r"'matrix' has no entry .* 30 × 20"):
        exact_value(source, source.info("matrix"), *place)


def test_the_largest_entry_of_a_window_is_found_where_it_lies(source, tensors):
    matrix = tensors["matrix"]
    for top, bottom, left, right in [(0, 30, 0, 20), (3, 9, 2, 5), (29, 30, 19, 20)]:
        block = np.abs(matrix[top:bottom, left:right])
        row, column = np.unravel_index(np.argmax(block), block.shape)
        found = largest_entry(source, source.info("matrix"), Viewport(top, bottom, left, right))
        assert found == (top + row, left + column)
    vector = tensors["vector"]
    assert largest_entry(source, source.info("vector"), Viewport(0, 1, 10, 57)) == (0, 10 + np.argmax(abs(vector[10:])))


def test_the_largest_entry_is_a_nan_before_an_infinity_before_any_number():
    matrix = np.array([[1.0, -np.inf, 9.0], [np.inf, 2.0, 3.0]], np.float32)
    opened = Matrix(matrix)
    assert largest_entry(opened, opened.info("w"), Viewport(0, 2, 0, 3)) == (1, 0)  # +Inf, as in pooling
    matrix[1, 2] = -np.float32(np.nan)
    assert largest_entry(opened, opened.info("w"), Viewport(0, 2, 0, 3)) == (1, 2)


def test_a_window_without_entries_has_no_largest_one(source):
    with pytest.raises(MeasureError, match="no entries"):
        largest_entry(source, source.info("empty"), full_view(source.info("empty")))


@pytest.mark.parametrize("name", SHAPES)
def test_a_thumbnail_has_at_most_32_cells_a_side_and_keeps_the_largest_weight(source, tensors, name):
    picture = thumbnail(source, source.info(name))
    assert picture.dtype == np.float32 and max(picture.shape) <= 32
    if tensors[name].size:
        assert np.abs(picture).max() == np.abs(tensors[name]).max()


def test_a_real_embedding_shows_all_its_outliers(minilm_path):
    with engine.sources.open(minilm_path) as opened:
        info = opened.info("embeddings.word_embeddings.weight")
        grid = read_grid(opened, info, full_view(info))
        weights = np.abs(opened.read(info.name))
        threshold = np.partition(weights.ravel(), -200)[-200]
        for row, column in np.argwhere(weights >= threshold):
            assert abs(grid.values[row // grid.row_step, column // grid.column_step]) >= weights[row, column]


def test_importing_the_engine_does_not_import_numba():
    code = "import sys, engine.heatmaps, engine.colour_limits; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
