"""Comparisons and lineage are stored whole, found again, and go with their models."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from engine.compare.comparison import MEASURES, TensorComparison
from engine.compare.delta_spectrum import DeltaSpectrum
from engine.compare.difference import Difference
from engine.compare.matching import Match, Matching
from engine.errors import StorageError
from engine.naming import Place
from storage.comparisons import ComparisonRecord, LineageRecord
from storage.models import PAIR_TABLES
from tests.storage.made import SETTINGS, content_hash, make_model

FOUND = Difference(
    count=12, num_changed=3, is_bitwise=True, num_above=2, num_flips=1, num_nan_a=0, num_inf_a=0, num_nan_b=0,
    num_inf_b=0, num_excluded=0, l2_a=2.0, l2_b=2.5, l2_delta=0.5, product=4.9, max_abs=0.25, row=2, column=1,
    tolerance=1e-5,
)  # fmt: skip


def make_record(sentences=("3 weights changed.",)) -> ComparisonRecord:
    matches = tuple(
        Match(
            f"layers.{i}.q.weight",
            f"blk.{i}.q.weight",
            Place(i, "query", "weight"),
            (4, 3),
            (4, 3),
            "F32",
            "F32",
            "place",
        )
        for i in range(2)
    )
    rows = (
        TensorComparison(matches[0], FOUND, DeltaSpectrum(1.5, 1, 2, 3)),
        TensorComparison(matches[1], None, error="it's broken"),
    )
    matching = Matching(matches, ("layers.9.norm.weight",), ("blk.7.k.weight",), ("a note",))
    return ComparisonRecord(matching, rows, sentences, 1e-5, 1, "abc", 0.5)


@pytest.fixture
def pair(store):
    """Two measured models and their comparison."""
    for name in ("first", "second"):
        store.save_model(make_model(name), SETTINGS)
    store.save_comparison("first", content_hash("second"), make_record())
    return store


def test_a_comparison_comes_back_as_it_was(pair):
    found = pair.comparison("first", "second")
    assert (found.name_a, found.name_b, found.hash_b) == ("first", "second", content_hash("second"))
    assert (found.sentences, found.notes, found.tolerance) == (("3 weights changed.",), ("a note",), 1e-5)
    assert pair.comparison("second", "first") is None
    assert pair.comparison("first", "nobody") is None
    assert [one.name_b for one in pair.comparisons("second")] == ["second"]


def test_the_view_has_a_row_for_each_pair_and_each_tensor_alone(pair):
    frame = pair.comparison_stats("first", "second")
    assert frame["tensor_a"].tolist()[:3] == ["layers.0.q.weight", "layers.1.q.weight", "layers.9.norm.weight"]
    assert frame["tensor_b"].tolist()[3] == "blk.7.k.weight" and frame["layer"].tolist() == [0, 1, 9, 7]
    first = frame.iloc[0]
    expected = TensorComparison(make_record().matching.matches[0], FOUND, DeltaSpectrum(1.5, 1, 2, 3)).values()
    assert {name: first[name] for name in MEASURES} == pytest.approx(expected)
    assert (first["max_row"], first["max_column"], first["matched_by"]) == (2, 1, "place")
    assert frame["problem"].tolist()[1] == "it's broken" and math.isnan(frame["relative_change"].tolist()[1])


def test_every_measure_is_a_column_of_the_view(pair):
    assert set(MEASURES) <= set(pair.comparison_stats("first", "second").columns)


def test_comparing_again_replaces_the_rows(pair):
    pair.save_comparison("first", "second", make_record(("Nothing.",)))
    assert pair.comparison("first", "second").sentences == ("Nothing.",)
    assert len(pair.comparison_stats("first", "second")) == 4


def test_models_that_are_not_measured_have_no_comparison(pair):
    with pytest.raises(StorageError, match="nobody is not in the database"):
        pair.save_comparison("first", "nobody", make_record())
    assert len(pair.comparisons()) == 1
    assert pair.comparison_stats("first", "nobody").empty


def make_lineage() -> LineageRecord:
    return LineageRecord("derived", 0.99, 0.0, math.nan, "B comes from A.", {"units": 3, "nothing": math.nan}, 1)


def test_a_lineage_comes_back_as_it_was(pair):
    pair.save_lineage("first", "second", make_lineage())
    pair.save_lineage("first", "second", replace(make_lineage(), agreement=0.5))
    found = pair.lineage("first", "second")
    assert (found.verdict, found.agreement, found.words) == ("derived", 0.5, "B comes from A.")
    assert math.isnan(found.effect_size) and found.evidence == {"units": 3, "nothing": None}
    assert pair.lineage("second", "first") is None


@pytest.mark.parametrize("gone", ["first", "second"])
def test_a_deleted_model_takes_its_comparisons_along(pair, rows_of, gone):
    pair.save_lineage("first", "second", make_lineage())
    pair.delete_model(gone)
    rows = rows_of(pair.path)
    assert all(rows[table] == [] for table in PAIR_TABLES)
    assert len(pair.models()) == 1


def test_a_comparison_can_be_forgotten_alone(pair, rows_of):
    pair.save_lineage("first", "second", make_lineage())
    assert pair.delete_comparison("first", "second") and not pair.delete_comparison("first", "second")
    assert all(rows_of(pair.path)[table] == [] for table in PAIR_TABLES)
    assert len(pair.models()) == 2
