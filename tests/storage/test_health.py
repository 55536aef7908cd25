"""Findings come back as they were stored, replace what was there, and go with their model."""

import numpy as np
import pytest

from engine.errors import StorageError
from engine.health.findings import Finding
from engine.measures.registry import settings_hash
from storage.store import Store
from tests.storage.made import make_model

FINDINGS = [
    Finding("non_finite", "error", "w", "1 NaN.", 1.0, 0.0, "row", (3, 5), 2),
    Finding("super_weights", "note", "w", "“Largest”; it's 175 σ.", 175.0, 30.0, weight=(99, 856)),
    Finding("mixed_types", "warning", "", "Two types."),
]


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store(tmp_path / "data")
    made.save_model(make_model(), settings_hash())
    return made


def test_findings_come_back_as_they_were(store):
    name = store.models()[0].name
    assert store.health_check(name) is None
    store.save_findings(name, FINDINGS, "a:1", has_spectra=False)
    assert store.health_check(name) == ("a:1", False)
    assert [repr(each) for each in store.findings(name)] == [repr(each) for each in FINDINGS]
    store.save_findings(name, FINDINGS[:1], "a:2", has_spectra=True)
    assert store.health_check(name) == ("a:2", True)
    assert len(store.findings(name)) == 1


def test_a_healthy_model_has_a_check_and_no_finding(store):
    name = store.models()[0].name
    store.save_findings(name, [], "a:1", has_spectra=False)
    assert store.health_check(name) is not None
    assert store.findings(name) == []


def test_findings_go_with_their_model(store):
    name = store.models()[0].name
    store.save_findings(name, FINDINGS, "a:1", has_spectra=False)
    store.delete_model(name)
    assert store.query("SELECT * FROM finding").num_rows == 0
    assert store.query("SELECT * FROM health_check").num_rows == 0
    with pytest.raises(StorageError, match="not in the database"):
        store.save_findings(name, FINDINGS, "a:1", has_spectra=False)


def test_evidence_of_all_tensors_is_that_of_each(store):
    name = store.models()[0].name
    values, profiles = store.all_values(name), store.axis_profiles(name)
    for tensor in store.tensor_stats(name)["tensor"]:
        assert values[tensor].keys() == store.tensor_values(name, tensor).keys()
        one = store.axis_profile(name, tensor, "row")
        assert (one is None) == ((tensor, "row") not in profiles)
        if one is not None:
            assert np.array_equal(one.l2, profiles[tensor, "row"].l2)
            assert np.array_equal(one.num_zero, profiles[tensor, "row"].num_zero)
