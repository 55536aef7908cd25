"""What is stored of a model comes back as it was."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engine.errors import StorageError
from engine.measures.registry import MEASURES
from engine.measures.results import NUM_BINS, AxisProfile, Distribution, TensorReading
from engine.naming import Place
from engine.sources.base import TensorInfo
from storage.measures import MeasureEntry
from storage.records import TensorRecord, Thumbnail
from storage.store import Store
from tests.storage.made import SETTINGS, content_hash, make_model, make_tensor


def assert_same_arrays(found: object, expected: object) -> None:
    for field in dataclasses.fields(expected):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(b, np.ndarray):
            assert a.dtype == b.dtype, field.name
        np.testing.assert_array_equal(a, b, err_msg=field.name)


def test_every_kind_of_reading_comes_back_bit_for_bit(store):
    model = make_model()
    assert store.save_model(model, SETTINGS)
    for record in model.tensors:
        name = record.info.name
        assert_same_arrays(store.distribution(model.content_hash, name), record.reading.distribution)
        assert_same_arrays(store.axis_profile(model.content_hash, name, "row"), record.reading.rows)
        assert_same_arrays(store.axis_profile(model.content_hash, name, "column"), record.reading.columns)
        np.testing.assert_array_equal(store.thumbnail(model.content_hash, name), record.thumbnail.values)
    thumbnails = store.thumbnails(model.content_hash)
    assert list(thumbnails) == [record.info.name for record in model.tensors]
    for record in model.tensors:
        assert thumbnails[record.info.name].dtype == np.float32
        np.testing.assert_array_equal(thumbnails[record.info.name], record.thumbnail.values)


def test_the_summary_of_a_model_is_found_by_name_and_by_hash(store):
    model = make_model()
    store.save_model(model, SETTINGS)
    summary = store.model("small")
    assert summary == store.model(model.content_hash) == store.models()[0]
    assert (summary.num_tensors, summary.num_parameters, summary.num_bytes) == (6, 210, 840)
    assert abs(datetime.now(UTC) - summary.measured_at) < timedelta(minutes=5)
    assert store.model_config("small") == model.config
    assert store.model_metadata("small") == model.metadata
    assert store.model("nobody") is None


def test_the_wide_view_has_a_row_per_tensor_and_a_column_per_measure(store):
    model = make_model()
    store.save_model(model, SETTINGS)
    frame = store.tensor_stats("small")
    assert list(frame["tensor"]) == [record.info.name for record in model.tensors]
    assert set(MEASURES) <= set(frame.columns)
    for name in MEASURES:
        assert frame[name].tolist() == [record.reading.values[name] for record in model.tensors]
    assert frame["shape_text"].tolist() == ["5x7"] * 6
    assert [list(shape) for shape in frame["shape"]] == [[5, 7]] * 6
    assert frame["layer"].tolist() == [0, 0, 1, 1, 2, 2]


def test_undefined_is_null_and_infinite_stays_infinite(store):
    record = make_tensor("t", 0)
    values = dict.fromkeys(MEASURES, math.nan) | {"max": math.inf, "min": -math.inf}
    empty = Distribution(
        0, 0, 0, 0, 0, *[math.nan] * 3, *[math.nan] * 3, 0.0, 0.0, np.full(15, np.nan), np.zeros(NUM_BINS, np.int64),
        math.nan, math.nan,
    )  # fmt: skip
    record = dataclasses.replace(record, reading=TensorReading(empty, None, None, values))
    store.save_model(dataclasses.replace(make_model(), tensors=(record,)), SETTINGS)
    found = store.query("SELECT count(*) FILTER (value IS NULL), count(*) FILTER (isnan(value)) FROM measurement")
    assert found.table.to_pylist()[0] == dict(zip(found.columns, [len(MEASURES) - 2, 0], strict=True))
    assert store.tensor_stats("small")["max"][0] == math.inf
    assert store.tensor_stats("small")["min"][0] == -math.inf
    assert_same_arrays(store.distribution("small", "t"), empty)
    assert store.axis_profile("small", "t", "row") is None


@pytest.mark.parametrize("shape", [(), (0,), (3,), (0, 5), (5, 0), (2, 3, 4), (1, 2, 3, 4, 5)])
def test_tensors_of_any_number_of_dimensions_keep_their_shape(store, shape):
    info = TensorInfo("t", shape, "BF16", 2 * math.prod(shape), "model.safetensors")
    rows, columns = (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (0, 0)
    profiles = (AxisProfile(*np.zeros((2, n), np.float32), *np.zeros((2, n), np.int64)) for n in (rows, columns))
    reading = TensorReading(None, *profiles, dict.fromkeys(MEASURES, math.nan))
    thumbnail = Thumbnail(np.zeros((min(rows, 32), min(columns, 32)), np.float32))
    record = TensorRecord(info, Place(None, "other", "weight"), reading, thumbnail)
    store.save_model(dataclasses.replace(make_model(), tensors=(record,)), SETTINGS)
    row = store.tensor_stats("small").iloc[0]
    assert tuple(row["shape"]) == shape
    assert row["num_elements"] == math.prod(shape)
    assert store.tensor_stats("small")["layer"].isna().all()
    assert store.thumbnail("small", "t").shape == thumbnail.values.shape
    assert len(store.axis_profile("small", "t", "row").l2) == rows


def test_a_tensor_that_failed_is_a_row_with_its_reason(store):
    good, bad = make_tensor("good", 0), make_tensor("bad", 1)
    reading = TensorReading(None, None, None, dict.fromkeys(MEASURES, math.nan), error="it's broken; DROP TABLE model")
    bad = dataclasses.replace(bad, reading=reading, thumbnail=None)
    store.save_model(dataclasses.replace(make_model(), tensors=(good, bad)), SETTINGS)
    assert [(failure.tensor, failure.reason) for failure in store.failures("small")] == [("bad", reading.error)]
    frame = store.tensor_stats("small").set_index("tensor")
    assert frame.loc["bad", "failure"] == reading.error
    assert math.isnan(frame.loc["bad", "mean"])
    assert store.distribution("small", "bad") is None
    assert store.model_stats("small")["num_failed"].tolist() == [1]


def test_measuring_the_same_content_again_writes_nothing(store, rows_of):
    model = make_model()
    assert store.save_model(model, SETTINGS)
    before, bytes_before = rows_of(store.path), store.path.read_bytes()
    assert not store.save_model(dataclasses.replace(model, name="other name", uri="/elsewhere"), SETTINGS)
    assert rows_of(store.path) == before
    assert store.path.read_bytes() == bytes_before


def test_a_new_version_of_a_measure_replaces_the_numbers_of_the_old(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Entry:
        name: str
        unit: str = "1"
        version: int = 1
        title: str = "Title"
        description: str = "What it means."

    def reading_of(model, values):
        tensors = [
            dataclasses.replace(record, reading=dataclasses.replace(record.reading, values=dict(values)))
            for record in model.tensors
        ]
        return dataclasses.replace(model, tensors=tuple(tensors))

    first: dict[str, MeasureEntry] = {"spread": Entry("spread")}
    old = Store(tmp_path, measures=first)
    assert old.save_model(reading_of(make_model(), {"spread": 1.0}), SETTINGS)
    assert old.has_model(make_model().content_hash, SETTINGS)

    second = {"spread": Entry("spread", version=2), "peak": Entry("peak", unit="weight")}
    new = Store(tmp_path, measures=second)
    assert not new.has_model(make_model().content_hash, SETTINGS)
    assert "peak" not in new.tensor_stats("small")
    assert new.save_model(reading_of(make_model(), {"spread": 2.0, "peak": 3.0}), SETTINGS)
    assert new.has_model(make_model().content_hash, SETTINGS)
    assert not new.has_model(make_model().content_hash, "other settings")
    frame = new.tensor_stats("small")
    assert frame["spread"].tolist() == [2.0] * 6
    assert frame["peak"].tolist() == [3.0] * 6
    counted = new.query("SELECT DISTINCT measure, version FROM measurement ORDER BY measure").table.to_pydict()
    assert counted == {"measure": ["peak", "spread"], "version": [1, 2]}
    assert [summary.name for summary in new.models()] == ["small"]


def test_a_measure_that_nobody_registered_is_refused_whole(store):
    record = make_tensor("t", 0)
    reading = dataclasses.replace(record.reading, values=record.reading.values | {"unheard_of": 1.0})
    model = dataclasses.replace(make_model(), tensors=(dataclasses.replace(record, reading=reading),))
    with pytest.raises(StorageError, match="unheard_of"):
        store.save_model(model, SETTINGS)
    assert store.models() == []


def test_a_tensor_name_that_comes_twice_is_refused_whole(store):
    model = dataclasses.replace(make_model(), tensors=(make_tensor("t", 0), make_tensor("t", 1)))
    with pytest.raises(StorageError, match="twice"):
        store.save_model(model, SETTINGS)
    assert store.models() == []


def test_text_that_is_no_unicode_is_refused_with_a_clear_error(store):
    model = dataclasses.replace(make_model(), tensors=(make_tensor("lone \ud800 surrogate", 0),))
    with pytest.raises(StorageError, match="cannot be stored"):
        store.save_model(model, SETTINGS)
    assert store.models() == []


def test_another_content_of_the_same_name_gets_digits_of_its_hash(store):
    store.save_model(make_model("twin", "content one"), SETTINGS)
    store.save_model(make_model("twin", "content two"), SETTINGS)
    other = content_hash("content two")
    assert [summary.name for summary in store.models()] == ["twin", f"twin@{other[:8]}"]
    assert store.model(f"twin@{other[:8]}").content_hash == other


def test_deleting_a_model_leaves_nothing_of_it_and_all_of_the_others(store, rows_of):
    store.save_model(make_model("keep"), SETTINGS)
    before = {table: [row[1:] for row in rows] for table, rows in rows_of(store.path).items()}
    store.save_model(make_model("drop"), SETTINGS)
    assert store.delete_model("drop")
    after = {table: [row[1:] for row in rows] for table, rows in rows_of(store.path).items()}
    assert after == before
    assert not store.delete_model("drop")
    assert store.save_model(make_model("drop"), SETTINGS)


@pytest.mark.parametrize(
    "name",
    [
        "it's",
        'a "quoted" name',
        "x'; DROP TABLE model; --",
        "模型 🔬",
        "new\nline",
        "%s ? $1 {}",
        "a\\b",
        "",
        "nul\0in it",
    ],
)
def test_names_of_any_kind_are_only_names(store, name):
    model = make_model(name or "empty")
    model = dataclasses.replace(model, name=name, tensors=(make_tensor(name, 0), make_tensor(name + "2", 1)))
    store.save_model(model, SETTINGS)
    assert store.model(name).content_hash == model.content_hash
    assert store.tensor_stats(name)["tensor"].tolist() == [name, name + "2"]
    assert_same_arrays(store.distribution(name, name), model.tensors[0].reading.distribution)
    assert list(store.thumbnails(name)) == [name, name + "2"]
    assert store.delete_model(name)
    assert store.models() == []


def test_an_unknown_model_gives_empty_answers(store):
    assert store.tensor_stats("nobody").empty
    assert "layer" in store.tensor_stats("nobody")
    assert store.layer_stats("nobody").empty
    assert store.model_stats().empty
    assert store.thumbnails("nobody") == {}
    assert store.thumbnail("nobody", "t") is None
    assert store.failures("nobody") == []
    assert not store.has_model("nobody", SETTINGS)


def test_a_model_without_tensors_is_a_model(store):
    model = dataclasses.replace(make_model(), tensors=())
    assert store.save_model(model, SETTINGS)
    assert store.has_model(model.content_hash, SETTINGS)
    assert not store.save_model(model, SETTINGS)
    assert store.model_stats("small")["num_elements"].tolist() == [0]
