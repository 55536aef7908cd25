"""Spectra are stored beside the other readings of a model, replaced alone, and gone with it."""

from __future__ import annotations

import math

import duckdb
import numpy as np
import pytest

from engine.errors import StorageError
from engine.measures.registry import MEASURES
from engine.spectra.reading import measure_array, no_reading
from engine.spectra.registry import SPECTRAL_MEASURES
from engine.spectra.settings import SpectrumSettings
from storage.spectra import SpectrumRecord
from tests.storage.made import SETTINGS, make_model


def make_spectra(model, seed: int = 0) -> list[SpectrumRecord]:
    """One exact, one estimate, one without a spectrum; of the model's first three tensors."""
    rng = np.random.default_rng(seed)
    first, second, third = (record.info.name for record in model.tensors[:3])
    readings = [
        measure_array(rng.standard_normal((40, 30))),
        measure_array(rng.standard_normal((60, 50)), SpectrumSettings(max_exact_side=40)),
        no_reading("It has 1 NaN or infinite values."),
    ]
    return [
        SpectrumRecord(first, 40, 30, readings[0]),
        SpectrumRecord(second, 60, 50, readings[1]),
        SpectrumRecord(third, 5, 7, readings[2]),
    ]


@pytest.fixture
def model(store):
    made = make_model()
    store.save_model(made, SETTINGS)
    return made


def others(rows: dict[str, list[tuple]]) -> dict[str, list[tuple]]:
    """Everything but spectra, without the numbers of rows."""
    kept = {}
    for table, lines in rows.items():
        plain = [line[1:] for line in lines]
        kept[table] = [line for line in plain if not set(SPECTRAL_MEASURES) & set(map(str, line))]
    return {table: lines for table, lines in kept.items() if table != "spectrum"}


def test_spectra_come_back_bit_for_bit(store, model):
    records = make_spectra(model)
    store.save_spectra(model.content_hash, records, "s1")
    for record in records:
        found = store.spectrum("small", record.tensor)
        assert (found.num_rows, found.num_columns) == (record.num_rows, record.num_columns)
        assert found.problem == record.reading.problem
        np.testing.assert_equal(found.values, record.reading.values)
        singular = record.reading.singular
        if singular is None:
            assert len(found.singular_values) == len(found.errors) == 0
        else:
            np.testing.assert_array_equal(found.singular_values, singular.values)
            np.testing.assert_array_equal(found.errors, singular.errors)
            assert found.is_estimate == singular.is_estimate
    assert store.spectrum("small", model.tensors[3].info.name) is None
    assert store.spectrum("nobody", "w") is None


def test_the_table_of_a_model_has_places_and_every_measure(store, model):
    assert store.spectral_stats("small").empty
    records = make_spectra(model)
    store.save_spectra("small", records, "s1")
    frame = store.spectral_stats("small")
    assert frame["tensor"].tolist() == [record.tensor for record in records]
    assert frame["layer"].tolist() == [0, 0, 1] and frame["role"].tolist() == ["key", "query", "key"]
    assert frame["is_estimate"].tolist() == [False, True, False]
    for name in SPECTRAL_MEASURES:
        expected = [record.reading.values[name] for record in records]
        np.testing.assert_array_equal(frame[name].astype(float), expected, err_msg=name)


def test_the_views_show_spectral_columns_after_all_others(store, model):
    assert "alpha" not in store.tensor_stats("small")
    store.save_spectra("small", make_spectra(model), "s1")
    frame = store.tensor_stats("small")
    columns = [name for name in frame.columns if name in (*MEASURES, *SPECTRAL_MEASURES)]
    assert columns == [*MEASURES, *SPECTRAL_MEASURES]
    assert frame["stable_rank"].notna().tolist() == [True, True, False, False, False, False]
    assert store.layer_stats("small")["scaled_spikes"].dropna().tolist() == [0.0, 0.0]
    with duckdb.connect(str(store.path), read_only=True) as connection:
        bare = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND coalesce(comment, '') = ''"
        assert connection.execute(bare).fetchall() == []


def test_saving_again_replaces_spectra_and_touches_nothing_else(store, model, rows_of):
    store.save_spectra("small", make_spectra(model), "s1")
    before = rows_of(store.path)
    store.save_spectra("small", make_spectra(model, seed=1)[:1], "s2")
    after = rows_of(store.path)
    assert others(after) == others(before)
    assert len(after["spectrum"]) == 1
    assert len(store.spectral_stats("small")) == 1
    assert store.has_spectra("small", "s2") and not store.has_spectra("small", "s1")


def test_a_model_knows_whether_its_spectra_were_taken(store, model):
    assert not store.has_spectra("small") and not store.has_spectra("nobody")
    store.save_spectra("small", [], "s1")
    assert store.has_spectra("small") and store.has_spectra(model.content_hash, "s1")
    assert store.has_model(model.content_hash, SETTINGS), "the other readings count as before"
    assert not store.save_model(model, SETTINGS), "and are not taken again"
    assert store.has_spectra("small")


def test_spectra_go_with_their_model_and_leave_no_orphans(store, model, rows_of):
    store.save_spectra("small", make_spectra(model), "s1")
    store.save_model(model, "other settings")
    assert rows_of(store.path)["spectrum"] == [] and not store.has_spectra("small")
    store.save_spectra("small", make_spectra(model), "s1")
    store.delete_model("small")
    rows = rows_of(store.path)
    assert [rows[table] for table in ("spectrum", "measurement", "model_measure", "tensor")] == [[], [], [], []]


def test_spectra_of_what_is_not_there_are_refused_whole(store, model, rows_of):
    before = rows_of(store.path)
    with pytest.raises(StorageError, match="not in the database"):
        store.save_spectra("nobody", make_spectra(model), "s1")
    strange = [*make_spectra(model), SpectrumRecord("lost", 2, 2, no_reading("x"))]
    with pytest.raises(StorageError, match="no tensor lost"):
        store.save_spectra("small", strange, "s1")
    assert rows_of(store.path) == before


def test_an_infinite_condition_is_kept_and_an_undefined_number_is_null(store, model):
    name = model.tensors[0].info.name
    store.save_spectra("small", [SpectrumRecord(name, 4, 4, measure_array(np.ones((4, 4))))], "s1")
    found = store.query("SELECT measure, value FROM measurement WHERE measure IN ('alpha', 'condition_number')").table
    assert dict(zip(*found.to_pydict().values(), strict=True)) == {"alpha": None, "condition_number": math.inf}
