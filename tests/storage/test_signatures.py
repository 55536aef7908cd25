"""Signatures are stored whole, standardised together, searched by cosine, and gone with their model."""

from __future__ import annotations

import dataclasses
import math

import duckdb
import numpy as np
import pytest

from engine.discovery.signature import FEATURES, MODEL_FEATURES, VERSION, Signature, model_signature
from engine.discovery.signature.model import common_cosine
from engine.discovery.signature.registry import transformed
from engine.discovery.signature.standardisation import CLIP, fit_standardisation
from engine.errors import StorageError
from storage.neighbours import Among
from storage.signature_fit import GROWTH
from storage.signatures import SignatureRecord
from storage.store import Store
from storage.vectors import from_vectors, vectors
from tests.storage.made import SETTINGS, make_model

N = len(FEATURES)


def made_up(seed: int, share: float = 1.0) -> Signature:
    """Features of the right kinds; some are undefined."""
    random = np.random.default_rng(seed)
    values = np.exp(random.standard_normal(N))
    values[random.random(N) < 0.1] = np.nan
    return Signature(values, np.zeros(N) if share == 1 else values / 10, share)


def save(store, name: str, seed: int = 0, family: str = "llama") -> list[SignatureRecord]:
    """A model of five matrices, the last without a signature and the third from a sample."""
    model = dataclasses.replace(make_model(name, num_tensors=5, seed=seed), family=family)
    store.save_model(model, SETTINGS)
    records = [
        SignatureRecord(record.info.name, record.place, made_up(100 * seed + i, 0.25 if i == 2 else 1.0))
        for i, record in enumerate(model.tensors[:4])
    ]
    records.append(SignatureRecord(model.tensors[4].info.name, model.tensors[4].place, None, "It has 1 NaN."))
    store.save_signatures(name, records, "s1", elapsed_s=2.5)
    return records


def slow_neighbours(store, model: str, tensor: str) -> list[tuple[str, str, float]]:
    """Every other matrix with its cosine, in float64, most similar first."""
    table = store.signatures()
    standard = table.standard.astype(np.float64)
    own = (table.places["model"] == model) & (table.places["tensor"] == tensor)
    wanted = standard[own.to_numpy()][0]
    cosines = standard @ wanted / np.linalg.norm(standard, axis=1) / np.linalg.norm(wanted)
    rows = zip(table.places["model"], table.places["tensor"], cosines, own, strict=True)
    return sorted(((m, t, c) for m, t, c, is_own in rows if not is_own), key=lambda row: -row[2])


def test_signatures_come_back_as_they_were_taken(store):
    records = save(store, "a")
    table = store.signatures(["a"])
    kept = [record for record in records if record.signature is not None]
    assert table.names == tuple(FEATURES)
    assert table.places["tensor"].tolist() == [record.tensor for record in kept]
    assert table.places["layer"].tolist() == [record.place.layer for record in kept]
    assert table.places["role"].tolist() == [record.place.role for record in kept]
    assert table.places["share"].tolist() == [1, 1, 0.25, 1]
    assert set(table.places["family"]) == {"llama"}
    expected = np.array([record.signature.values for record in kept])
    np.testing.assert_allclose(table.values, expected.astype(np.float32), rtol=0)
    assert store.signature_problems("a") == {records[4].tensor: "It has 1 NaN."}


def test_errors_are_kept_of_samples_alone(store):
    save(store, "a")
    rows = store.query("SELECT tensor, errors IS NULL AS whole FROM signature_v1 ORDER BY position").table.to_pylist()
    assert [row["whole"] for row in rows] == [True, True, False, True, True]


def test_undefined_features_are_null_in_sql(store):
    records = save(store, "a")
    found = store.query(
        "SELECT tensor, feature, value, error FROM signature_values WHERE feature = 'kurtosis' ORDER BY tensor"
    ).table.to_pylist()
    column = list(FEATURES).index("kurtosis")
    expected = {r.tensor: r.signature.values[column] for r in records if r.signature is not None}
    assert {row["tensor"] for row in found} == set(expected)
    for row in found:
        value = math.nan if row["value"] is None else row["value"]
        assert value == pytest.approx(expected[row["tensor"]], rel=1e-6, nan_ok=True)


def test_a_models_own_signature_is_stored_with_it(store):
    records = [record for record in save(store, "a") if record.signature is not None]
    table = store.model_signatures()
    expected = model_signature([r.place for r in records], np.array([r.signature.values for r in records]))
    assert table.names == MODEL_FEATURES and table.places["model"].tolist() == ["a"]
    np.testing.assert_allclose(table.values[0], expected.astype(np.float32), rtol=0)
    row = store.query("SELECT * FROM model_signature_values WHERE value IS NOT NULL LIMIT 1").table.to_pylist()[0]
    assert row["aspect"] in ("level", "slope") and row["feature"] in FEATURES


def test_what_is_stored_is_standardised_by_everything_measured(store):
    for number, name in enumerate("abcd"):
        save(store, name, number)
    store.refit_signatures()
    table = store.signatures()
    fitted = fit_standardisation(table.values)
    np.testing.assert_allclose(table.standard, fitted.apply(transformed(table.values)), atol=1e-5)
    fit = store.signature_fit()
    np.testing.assert_allclose(fit.tensors.centre, fitted.centre, atol=1e-12)
    assert (fit.version, fit.num_tensors, fit.num_models) == (VERSION, 16, 4)
    assert np.abs(table.standard).max() <= CLIP and np.isfinite(table.standard).all()


def test_a_fit_is_made_anew_when_half_as_many_matrices_have_come(store):
    fits, known = [], 0
    for number in range(7):
        save(store, f"m{number}", number)
        fit = store.signature_fit()
        is_due = not known or 4 * (number + 1) >= GROWTH * known
        known = 4 * (number + 1) if is_due else known
        assert fit.num_tensors == known
        fits.append(fit.fit)
    assert fits[0] == 1 and 3 <= fits[-1] < 7
    before = store.signatures().standard
    store.refit_signatures()
    assert store.signature_fit().fit == fits[-1] + 1
    assert store.signatures().standard.shape == before.shape
    assert not np.array_equal(store.signatures().standard, before)


def test_between_two_fits_new_signatures_take_the_units_there_are(store):
    for number in range(3):
        save(store, f"m{number}", number)
    store.refit_signatures()
    fit = store.signature_fit()
    save(store, "late", 9)
    assert store.signature_fit().fit == fit.fit
    table = store.signatures(["late"])
    np.testing.assert_allclose(table.standard, fit.tensors.apply(transformed(table.values)), atol=1e-5)


def test_neighbours_are_those_of_a_slow_search(store):
    for number in range(5):
        save(store, f"m{number}", number)
    tensor = store.signatures(["m1"]).places["tensor"][0]
    expected = slow_neighbours(store, "m1", tensor)
    found = store.similar_tensors("m1", tensor, Among(count=7, model="any"))
    assert list(zip(found["model"], found["tensor"], strict=True)) == [(m, t) for m, t, _ in expected[:7]]
    np.testing.assert_allclose(found["similarity"], [c for _, _, c in expected[:7]], atol=1e-5)
    by_vector = store.similar_to(store.signatures(["m1"]).standard[0], count=3)
    assert by_vector["similarity"][0] == pytest.approx(1, abs=1e-5)
    assert by_vector["tensor"][0] == tensor and by_vector["model"][0] == "m1"


@pytest.mark.parametrize("model", ["any", "same", "other"])
@pytest.mark.parametrize("role", ["any", "same", "other"])
@pytest.mark.parametrize("family", ["any", "same", "other"])
def test_neighbours_are_looked_for_where_they_were_asked_for(store_of_families, model, role, family):
    store = store_of_families
    tensor = store.signatures(["m0"]).places["tensor"][1]
    roles = dict(zip(*(store.signatures().places[name] for name in ("tensor", "role")), strict=True))
    families = {"m0": "llama", "m1": "llama", "m2": "bert"}

    def fits(which: str, is_same: bool) -> bool:
        return which == "any" or (which == "same") is is_same

    expected = [
        (m, t)
        for m, t, _ in slow_neighbours(store, "m0", tensor)
        if fits(model, m == "m0") and fits(role, roles[t] == roles[tensor]) and fits(family, families[m] == "llama")
    ]
    found = store.similar_tensors("m0", tensor, Among(count=20, model=model, role=role, family=family))
    assert list(zip(found["model"], found["tensor"], strict=True)) == expected
    assert list(found.columns) == ["model", "family", "tensor", "layer", "role", "stack", "similarity"]


@pytest.fixture(scope="module")
def store_of_families(tmp_path_factory):
    """Two families in three models; only read."""
    store = Store(tmp_path_factory.mktemp("families"))
    for number, family in enumerate(("llama", "llama", "bert")):
        save(store, f"m{number}", number, family)
    return store


def test_typical_signatures_have_no_direction_and_are_never_found(store):
    save(store, "a")
    model = make_model("flat", num_tensors=2, seed=5)
    store.save_model(model, SETTINGS)
    nothing = Signature(np.full(N, np.nan), np.zeros(N), 1.0)
    names = [record.info.name for record in model.tensors]
    store.save_signatures("flat", [SignatureRecord(r.info.name, r.place, nothing) for r in model.tensors], "s1")
    assert store.similar_tensors("flat", names[0]).empty
    tensor = store.signatures(["a"]).places["tensor"][0]
    found = store.similar_tensors("a", tensor, Among(count=50, model="any"))
    assert set(found["model"]) == {"a"} and np.isfinite(found["similarity"]).all()


def test_models_are_compared_by_what_both_have(store_of_families):
    store = store_of_families
    table = store.model_signatures()
    known = ~np.isnan(table.values)
    found = store.similar_models("m0")
    expected = {
        name: common_cosine(table.standard[0], table.standard[i], known[0], known[i])
        for i, name in enumerate(table.places["model"])
        if i
    }
    assert dict(zip(found["model"], found["similarity"], strict=True)) == pytest.approx(expected, abs=1e-5)
    assert found["similarity"].is_monotonic_decreasing
    common = (known[0] & known[1]).mean()
    assert found.set_index("model")["common"]["m1"] == pytest.approx(common, abs=1e-6)
    assert store.similar_models("m0", Among(family="other"))["model"].tolist() == ["m2"]
    assert store.similar_models("m0", Among(count=1)).shape == (1, 4)


def test_signatures_are_replaced_whole_and_known_by_their_settings(store):
    records = save(store, "a")
    assert store.has_signatures("a") and store.has_signatures("a", "s1") and not store.has_signatures("a", "s2")
    store.save_signatures("a", records[:2], "s2")
    assert store.has_signatures("a", "s2") and len(store.signatures(["a"]).places) == 2
    assert store.signature_problems("a") == {}


def test_a_model_without_any_matrix_has_an_empty_signature(store):
    store.save_model(make_model("a"), SETTINGS)
    store.save_signatures("a", [], "s1")
    assert store.has_signatures("a") and store.signatures().values.shape == (0, N)
    assert np.isnan(store.model_signatures().values).all()
    assert store.similar_models("a").empty


def test_deleting_a_model_leaves_no_orphans(store, rows_of):
    save(store, "a")
    before = rows_of(store.path)
    save(store, "b", 1)
    store.delete_model("b")
    after = rows_of(store.path)
    for table in ("signature_v1", "signature_index_v1", "model_signature_v1"):
        assert len(after[table]) == len(before[table]) > 0
    store.delete_model("a")
    assert not any(rows_of(store.path)[f"{name}_v1"] for name in ("signature", "signature_index", "model_signature"))
    assert store.signatures().places.empty


def test_measuring_again_forgets_signatures_of_old_readings(store):
    save(store, "a")
    model = make_model("a", num_tensors=5, seed=0)
    store.save_model(model, "other settings")
    assert not store.has_signatures("a")


def test_hostile_names_are_only_names(store):
    name = "a'; DROP TABLE model; --"
    records = save(store, name)
    assert not store.similar_tensors(name, records[0].tensor, Among(model="same")).empty
    with pytest.raises(StorageError, match="has no signature"):
        store.similar_tensors(name, "x' OR '1'='1")


def test_what_cannot_be_done_says_why(store):
    with pytest.raises(StorageError, match="not in the database"):
        store.save_signatures("nobody", [], "s1")
    with pytest.raises(StorageError, match="has no signature"):
        store.similar_models("nobody")
    with pytest.raises(StorageError, match="any, the same or other"):
        Among(role="some")
    assert store.signature_fit() is None
    assert not store.has_signatures("nobody") and store.signatures().values.shape == (0, N)


def test_a_failed_save_writes_nothing(store, rows_of):
    records = save(store, "a")
    before = rows_of(store.path)
    with pytest.raises(StorageError, match="cannot be stored"):
        store.save_signatures("a", [dataclasses.replace(records[0], tensor="\ud800")], "s1")
    assert rows_of(store.path) == before


def test_the_dictionary_says_what_each_number_is(store):
    save(store, "a")
    with duckdb.connect(str(store.path), read_only=True) as connection:
        found = connection.execute(
            "SELECT name, unit, feature_group, transform FROM signature_feature "
            "WHERE subject = 'tensor' ORDER BY position"
        ).fetchall()
        models = connection.execute("SELECT count(*) FROM signature_feature WHERE subject = 'model'").fetchone()
    assert found == [(f.name, f.unit, f.group, f.transform) for f in FEATURES.values()]
    assert models == (len(MODEL_FEATURES),)


def test_the_schema_has_the_length_of_the_vector(store):
    columns = {c.name: c.type for t in store.tables() if t.name == f"signature_v{VERSION}" for c in t.columns}
    assert columns["features"] == columns["errors"] == f"FLOAT[{N}]"
    columns = {c.name: c.type for t in store.tables() if t.name == f"model_signature_v{VERSION}" for c in t.columns}
    assert columns["features"] == columns["known"] == f"FLOAT[{len(MODEL_FEATURES)}]"


def test_vectors_keep_their_numbers_and_turn_what_is_undefined_into_null():
    values = np.array([[1.5, np.nan, -2], [np.inf, 0, 3]])
    column = vectors(values)
    assert column.to_pylist() == [[1.5, None, -2.0], [None, 0.0, 3.0]]
    import pyarrow as pa

    np.testing.assert_array_equal(from_vectors(pa.chunked_array([column]), 3), [[1.5, np.nan, -2], [np.nan, 0, 3]])
    sliced = pa.chunked_array([column.slice(1)])
    np.testing.assert_array_equal(from_vectors(sliced, 3), [[np.nan, 0, 3]])
    assert vectors(values, missing=[True, False]).to_pylist()[0] is None
