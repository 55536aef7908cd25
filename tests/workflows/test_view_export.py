"""Views as files: names that are safe, numbers that read back exactly, pictures that are those of the screen."""

import csv
import io
import re

import ml_dtypes
import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.sources
from engine.colour_maps import colour_image
from engine.colour_scales import signed_scale
from engine.heatmaps import Viewport
from figures.pictures import PictureFrame, plot_size
from storage.records import Location
from workflows import view_export
from workflows.product import signature
from workflows.view_export import (
    TensorView,
    csv_bytes,
    file_name,
    parquet_bytes,
    safe_name,
    source_line,
    table,
    view_of,
    view_picture,
    with_texts,
)

RNG = np.random.default_rng(0)
HOSTILE = '=cmd|"/C calc"!A0,<b>../../x'
ARRAYS = {
    "w": RNG.normal(0, 0.1, (30, 20)).astype(np.float32),
    "half": RNG.normal(0, 0.1, (6, 5)).astype(ml_dtypes.bfloat16),
    "double": RNG.normal(size=(4, 3)),
    "ids": (2**60 + np.arange(12)).reshape(3, 4),
    "kernel": RNG.normal(size=(4, 3, 2, 2)).astype(np.float32),
    "vector": RNG.normal(size=7).astype(np.float32),
    "scalar": np.array(-2.5, np.float32),
    "empty": np.zeros((0, 4), np.float32),
    HOSTILE: np.ones((2, 2), np.float32),
}
ARRAYS["w"][0, 0], ARRAYS["w"][1, 1], ARRAYS["w"][2, 2] = np.nan, np.inf, -np.inf


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    from safetensors.numpy import save_file

    path = tmp_path_factory.mktemp("view") / "tiny.safetensors"
    save_file(ARRAYS, path)
    with engine.sources.open(path) as opened:
        yield opened


def view(source, name="w", window=None, **fields):
    place = Location("tiny", source.uri, "added", "", "safetensors", 9, 1, 1, **fields)
    return view_of(place, source, source.info(name), None if window is None else Viewport(*window))


def values(name):
    array = ARRAYS[name]
    return array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(1, -1)


@pytest.mark.parametrize("name", [name for name in ARRAYS if name != "empty"])
def test_every_number_of_both_files_reads_back_as_the_stored_one(source, name):
    expected = values(name)
    wide = np.array(list(csv.reader(io.StringIO(csv_bytes(view(source, name)).decode()))))
    assert wide[0].tolist() == ["row", *map(str, range(expected.shape[1]))]
    assert wide[1:, 0].tolist() == [str(row) for row in range(expected.shape[0])]
    kind = expected.dtype if expected.dtype.kind == "i" else np.float64
    back = wide[1:, 1:].astype(kind).astype(expected.dtype)
    np.testing.assert_array_equal(back.astype(np.float64), expected.astype(np.float64))
    long = pyarrow.parquet.read_table(io.BytesIO(parquet_bytes(view(source, name))))
    rows, columns, numbers = (long[column].to_numpy() for column in ("row", "column", "value"))
    np.testing.assert_array_equal(numbers.astype(expected.dtype), expected[rows, columns])
    assert len(numbers) == expected.size and numbers.dtype in (np.float32, np.float64, np.int64)


def test_a_window_keeps_the_row_and_column_numbers_of_the_tensor(source):
    window = view(source, window=(5, 8, 10, 14))
    lines = csv_bytes(window).decode().splitlines()
    assert lines[0] == '"row","10","11","12","13"' and [line.split(",")[0] for line in lines[1:]] == ["5", "6", "7"]
    long = table(window)
    assert long["row"].to_pylist() == [5] * 4 + [6] * 4 + [7] * 4 and long["column"].to_pylist() == [10, 11, 12, 13] * 3


def test_sorted_lines_keep_their_numbers(source):
    rows, columns = np.arange(30)[::-1].copy(), RNG.permutation(20)
    from engine.sources.reordered import Reordered

    order = Reordered(source, source.info("w"), rows, columns)
    plain = view(source)
    shown = TensorView(plain.location, order, order.info("w"), Viewport(3, 6, 4, 9), rows, columns)
    long = table(shown)
    np.testing.assert_array_equal(
        long["value"].to_numpy(), ARRAYS["w"][long["row"].to_numpy(), long["column"].to_numpy()]
    )
    assert long["row"].to_pylist()[0] == 26 and file_name(shown, "csv").startswith("tiny.w.sorted.")
    assert csv_bytes(shown).decode().splitlines()[1].startswith("26,")


def test_a_large_window_leaves_as_pooled_cells_with_their_ranges(source, monkeypatch):
    monkeypatch.setattr(view_export, "MOST_ENTRIES", 100)
    monkeypatch.setattr(view_export, "POOLED_SIDE", 8)
    large = view(source)
    assert not large.is_exact
    plain = pyarrow.csv.ConvertOptions(null_values=[])  # NaN is a number here
    for long in (
        pyarrow.parquet.read_table(io.BytesIO(parquet_bytes(large))),
        pyarrow.csv.read_csv(io.BytesIO(csv_bytes(large)), convert_options=plain),
    ):
        assert long.column_names == ["row_start", "row_stop", "column_start", "column_stop", "value"]
        assert 1 < len(long) <= 64
        for line in long.to_pylist():
            cell = ARRAYS["w"][line["row_start"] : line["row_stop"], line["column_start"] : line["column_stop"]]
            largest = cell.flat[np.argmax(np.where(np.isnan(cell), np.inf, np.abs(cell)))]
            assert np.isnan(line["value"]) == np.isnan(cell).any()
            assert np.isnan(line["value"]) or np.float32(line["value"]) == largest
    assert b"largest magnitude" in table(large).schema.metadata[b"cell"]


def test_a_very_wide_window_leaves_as_one_line_per_entry(source, monkeypatch):
    monkeypatch.setattr(view_export, "MOST_WIDE_COLUMNS", 10)
    assert csv_bytes(view(source)).decode().splitlines()[0] == '"row","column","value"'


def test_a_tensor_without_entries_gives_files_without_lines(source):
    empty = view(source, "empty")
    assert len(table(empty)) == 0 and len(csv_bytes(empty).decode().splitlines()) == 1
    assert view_picture(empty, signed_scale(1.0), "grey", PictureFrame(width=400)).width == 400


def test_no_cell_of_a_csv_can_be_taken_for_a_formula(source):
    number = re.compile(r"(-?\d+(\.\d+)?(e[+-]?\d+)?|-?inf|nan)", re.IGNORECASE)
    for name in (HOSTILE, "w", "double"):
        for line in csv.reader(io.StringIO(csv_bytes(view(source, name)).decode())):
            assert all(number.fullmatch(cell) or cell == "row" for cell in line)


def test_file_names_say_what_is_inside(source):
    assert file_name(view(source), "png") == "tiny.w.png"
    assert file_name(view(source, window=(0, 8, 0, 20)), "png") == "tiny.w.rows0-8.png"
    assert file_name(view(source, window=(0, 8, 3, 4)), "csv", note="pooled") == "tiny.w.rows0-8.columns3-4.pooled.csv"


@given(st.text(max_size=400))
def test_file_names_are_safe_whatever_the_tensor_is_called(text):
    name = safe_name(text, "csv")
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.csv", name) and ".." not in name and len(name) <= 160


def test_the_picture_of_a_view_is_that_of_its_numbers(source):
    frame = PictureFrame(width=400)
    height, width = plot_size(8, 8, frame)
    picture = np.asarray(view_picture(view(source, window=(10, 18, 4, 12)), signed_scale(0.2), "blue-red", frame))
    cell = colour_image(ARRAYS["w"][10:18, 4:12], signed_scale(0.2), "blue-red")
    expected = cell.repeat(height // 8, axis=0).repeat(width // 8, axis=1)
    assert height % 8 == width % 8 == 0
    places = np.argwhere((picture[: -height + 1, : -width + 1] == expected[0, 0]).all(axis=-1))
    assert any(np.array_equal(picture[y : y + height, x : x + width], expected) for y, x in places)


def test_the_texts_of_a_picture_say_what_and_where_from(source):
    known = view(source, window=(0, 8, 0, 20), content_hash="0123456789abcdef" * 4)
    frame = with_texts(known, signed_scale(1.0), PictureFrame())
    assert frame.title == "w" and frame.source == f"tiny · content 0123456789ab · {signature()}"
    assert frame.subtitle == "F32 · 30 × 20 · rows 0–7 · columns 0–19"
    large = view_of(known.location, source, source.info("w"))
    assert "largest |w|" in with_texts(large, signed_scale(1.0), PictureFrame(width=320, body_height=40)).subtitle
    hub = Location("gpt2", "hf://owner/gpt2@abcdef", "hub", "", "safetensors", 1, 1, 1)
    assert source_line(hub) == f"gpt2 · revision abcdef · {signature()}"


def test_the_same_view_gives_the_same_bytes(source):
    assert csv_bytes(view(source)) == csv_bytes(view(source))
    assert parquet_bytes(view(source)) == parquet_bytes(view(source))
