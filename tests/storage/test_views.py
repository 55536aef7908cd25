"""The generated views sum up as they say, and everything has a comment."""

from __future__ import annotations

import dataclasses
import math

import duckdb
import numpy as np
import pytest

from engine.errors import StorageError
from engine.measures.reading import measure_array
from engine.measures.registry import MEASURES
from engine.naming import Place
from engine.sources.base import TensorInfo
from storage.records import TensorRecord
from storage.store import Store
from tests.storage.made import SETTINGS, make_model

EXACT = ("count", "zeros", "zero_fraction", "min", "max", "abs_max", "mean", "l1_norm", "l2_norm", "rms")


def measured(name: str, array: np.ndarray, layer: int | None, role: str) -> TensorRecord:
    info = TensorInfo(name, array.shape, "F32", array.nbytes, "model.safetensors")
    return TensorRecord(info, Place(layer, role, "weight"), measure_array(array, threads=1), None)


def test_a_layers_numbers_are_those_of_its_tensors_joined(store):
    rng = np.random.default_rng(5)
    arrays = [rng.normal(size=(n, 6)).astype(np.float32) for n in (4, 9, 3)]
    arrays[0][0, :3] = 0
    records = [measured(f"t{i}", array, [0, 0, None][i], "query") for i, array in enumerate(arrays)]
    store.save_model(dataclasses.replace(make_model(), tensors=tuple(records)), SETTINGS)

    frame = store.layer_stats("small")
    assert frame["layer"].isna().tolist() == [True, False]
    joined = measure_array(np.concatenate(arrays[:2]), threads=1).values
    for name in EXACT:
        assert frame[name][1] == pytest.approx(joined[name], rel=1e-12), name
    assert frame["num_tensors"].tolist() == [1, 2]
    assert frame["num_elements"].tolist() == [18, 78]

    whole = store.model_stats("small").iloc[0]
    everything = measure_array(np.concatenate(arrays), threads=1).values
    for name in EXACT:
        assert whole[name] == pytest.approx(everything[name], rel=1e-12), name
    assert (whole["num_tensors"], whole["num_elements"], whole["num_layers"]) == (3, 96, 1)


def test_an_undefined_number_does_not_pull_the_mean_of_its_layer(store):
    arrays = [np.ones((2, 2), np.float32), np.array([[1.0, -1, 5, 0]], np.float32)]
    records = [measured(f"t{i}", array, 0, "query") for i, array in enumerate(arrays)]
    assert math.isnan(records[0].reading.values["kurtosis"])
    store.save_model(dataclasses.replace(make_model(), tensors=tuple(records)), SETTINGS)
    expected = records[1].reading.values["kurtosis"]
    assert store.layer_stats("small")["kurtosis"].tolist() == [pytest.approx(expected)]


def test_every_table_view_and_column_has_a_comment(store):
    store.save_model(make_model(), SETTINGS)
    with duckdb.connect(str(store.path), read_only=True) as connection:
        tables = connection.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall()
        views = connection.execute("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall()
        columns = connection.execute(
            "SELECT table_name || '.' || column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
    assert len(tables) >= 13
    generated = {"tensor_stats", "layer_stats", "model_stats"}
    written = {"comparison_stats", "signature_values", "model_signature_values", "pattern_dividends"}
    assert {name for name, _ in views} == generated | written
    assert len(columns) > 3 * len(MEASURES)
    assert [name for name, comment in [*tables, *views, *columns] if not comment] == []


def test_the_dictionary_of_measures_is_there_from_the_first_use(store):
    found = store.query("SELECT name, unit, version, title, description FROM measure ORDER BY position").table
    expected = [(m.name, m.unit, m.version, m.title, m.description) for m in MEASURES.values()]
    assert [tuple(row.values()) for row in found.to_pylist()] == expected


def test_a_measure_with_the_name_of_another_column_is_refused(tmp_path):
    measures = {"dtype": dataclasses.replace(next(iter(MEASURES.values())), name="dtype")}
    with pytest.raises(StorageError, match="dtype"):
        Store(tmp_path / "data", measures=measures).models()
    assert not (tmp_path / "data" / "weightscope.duckdb").exists()


def test_measures_with_odd_names_make_columns(tmp_path):
    entry = next(iter(MEASURES.values()))
    names = ["it's", 'a "b"', "x; DROP TABLE model", "select"]
    measures = {name: dataclasses.replace(entry, name=name, title=name) for name in names}
    store = Store(tmp_path, measures=measures)
    record = make_model(num_tensors=1)
    reading = dataclasses.replace(record.tensors[0].reading, values={name: float(i) for i, name in enumerate(names)})
    tensors = (dataclasses.replace(record.tensors[0], reading=reading),)
    store.save_model(dataclasses.replace(record, tensors=tensors), SETTINGS)
    assert store.tensor_stats("small")[names].to_numpy().tolist() == [[0.0, 1.0, 2.0, 3.0]]
