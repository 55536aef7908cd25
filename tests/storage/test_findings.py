"""Shared-pattern tests are kept whole, found again by models and settings, and leave with their models."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.discovery.cka import Cka
from engine.discovery.coding_gain import CodingGain
from engine.discovery.effect_sizes import Effect
from engine.discovery.shared_patterns import Concordance, PatternEffect, PatternTest, Variance
from engine.discovery.sharing_dividend import Dividend
from engine.discovery.subspace import Subspace
from engine.discovery.verdict import PairDividend, Verdict
from engine.errors import StorageError
from storage.findings import PatternModel, PatternRecord
from tests.storage.made import SETTINGS, make_model

NAMES = ("one", "two", "three")


@pytest.fixture
def hashes(store) -> list[str]:
    """Content hashes of three models in the store."""
    for seed, name in enumerate(NAMES):
        store.save_model(make_model(name, seed=seed), SETTINGS)
    return [store.model(name).content_hash for name in NAMES]


def record(hashes, **changes) -> PatternRecord:
    effect = Effect(0.5, 0.25, 0.75, 0.03, (0.4, 0.6))
    dividend = Dividend(
        "units", 0.01, 0.2, 0.029, 0.019, (0.018, 0.02), 0.01, 0.005, 0.015, {"query": 0.03}, 10, "init"
    )
    facts = {
        "models": tuple(
            PatternModel(each, i // 2, {"data": 'Iñtërnâtiônàl "quoted"'}) for i, each in enumerate(hashes)
        ),
        "verdict": Verdict("form", ("It is so.", "Because."), ("Not more.",)),
        "null_name": "row_column_gaussian",
        "settings": {"draws": 2},
        "settings_hash": "a" * 16,
        "version": 1,
        "pairs": (
            PairDividend(0, 1, True, dividend, CodingGain(5.0, 3.0, 2.0, 1.98, 0.01, 10, True), Cka(0.8, 0.5, (0.5,))),
            PairDividend(0, 2, False, dividend),
        ),
        "patterns": PatternTest(
            (PatternEffect("alpha", "query", effect, 0.04, 3.4, math.nan),),
            (Concordance("alpha", effect, 0.04),),
            (Variance("alpha", "position", 0.8, 0.1, math.nan), Variance("beta", "data", math.nan, 0.1, 0.5)),
            3,
            2,
        ),
        "subspace": Subspace((1, 2), (0.1, 0.2), (0.0, math.nan), 0.01, (0.0, 0.001), (0.5, 0.9), 10, 3, 2),
        "group_bits": 0.003,
        "tree": ((1, 0),),
        "power": 0.4,
        "elapsed_s": 2.5,
    }
    return PatternRecord(**(facts | changes))


def test_a_test_comes_back_as_it_was(store, hashes):
    number = store.save_pattern_test(record(hashes))
    found = store.pattern_test(number)
    assert [(m.name, m.content_hash, m.lineage) for m in found.models] == list(
        zip(NAMES, hashes, (0, 0, 1), strict=True)
    )
    assert found.models[0].labels == {"data": 'Iñtërnâtiônàl "quoted"'}
    assert (found.verdict, found.sentences, found.limits) == ("form", ("It is so.", "Because."), ("Not more.",))
    assert (found.settings, found.num_lineages, found.group_bits, found.power) == ({"draws": 2}, 2, 0.003, 0.4)
    effects = store.pattern_effects(number)
    assert effects["question"].tolist() == ["level", "agreement"]
    assert effects.loc[0, ["effect", "low", "high", "p_value", "q_value", "typical"]].tolist() == [
        0.5, 0.25, 0.75, 0.03, 0.04, 3.4,
    ]  # fmt: skip
    assert math.isnan(effects.loc[0, "typical_null"])
    assert store.pattern_variances(number)["factor"].tolist() == ["position"]
    pairs = store.pattern_pairs(number)
    assert pairs[["model_a", "model_b"]].values.tolist() == [["one", "three"], ["one", "two"]]
    related = pairs[pairs["is_related"]].iloc[0]
    assert (related["coded_gain"], related["cka"], related["is_in_tree"]) == (2.0, 0.8, True)
    assert pairs["coded_gain"].isna().tolist() == [True, False]
    subspace = store.pattern_subspace(number)
    np.testing.assert_array_equal(subspace["unrelated"], [0.0, np.nan])


def test_a_test_is_found_by_its_models_in_any_order_and_its_settings(store, hashes):
    number = store.save_pattern_test(record(hashes))
    assert store.find_pattern_test(hashes[::-1], "a" * 16).test == number
    assert store.find_pattern_test(NAMES, "a" * 16).test == number
    assert store.find_pattern_test(hashes[:2], "a" * 16) is None
    assert store.find_pattern_test(hashes, "b" * 16) is None
    assert store.find_pattern_test(["nobody"], "a" * 16) is None


def test_the_same_question_asked_again_takes_the_place_of_the_first(store, hashes):
    store.save_pattern_test(record(hashes))
    again = store.save_pattern_test(record(hashes[::-1]))
    other = store.save_pattern_test(record(hashes, settings_hash="b" * 16))
    assert [found.test for found in store.pattern_tests()] == [other, again]
    assert store.pattern_tests("nobody") == []


def test_a_test_without_any_numbers_is_kept_too(store, hashes):
    bare = record(hashes, pairs=(), patterns=None, subspace=None, group_bits=math.nan, power=math.nan)
    number = store.save_pattern_test(bare)
    assert math.isnan(store.pattern_test(number).group_bits)
    assert store.pattern_effects(number).empty
    assert store.pattern_pairs(number).empty


def test_a_model_that_nobody_measured_is_refused_and_nothing_is_written(store, hashes):
    with pytest.raises(StorageError, match="not in the database"):
        store.save_pattern_test(record([*hashes[:2], "f" * 64]))
    assert store.pattern_tests() == []


def test_deleting_one_of_its_models_or_the_test_leaves_nothing_of_it(store, hashes, rows_of):
    store.save_pattern_test(record(hashes))
    kept = store.save_pattern_test(record(hashes[:2], pairs=()))
    assert store.delete_model("three")
    assert [found.test for found in store.pattern_tests()] == [kept]
    assert store.delete_pattern_test(kept)
    assert not store.delete_pattern_test(kept)
    left = {table: rows for table, rows in rows_of(store.path).items() if table.startswith("pattern_") and rows}
    assert not left
