"""The library: kept, given away, taken in with every bound checked, and held against another model."""

import io
import json
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import WeightscopeError
from storage.store import Store
from tests.workflows.discovery_made import folder_of
from workflows import pattern_library as library
from workflows import pattern_library_files as files
from workflows.signatures import signatures
from workflows.suggestions import suggest


@pytest.fixture(scope="module")
def _looked_at(tmp_path_factory):
    """A data folder in which two models were looked at from all sides; made once, for it takes a while."""
    from safetensors.numpy import save_file

    folder, store = tmp_path_factory.mktemp("library"), Store(tmp_path_factory.mktemp("data"))
    for name, seed in (("one", 0), ("twin", 5)):
        (folder / name).mkdir()
        made = folder_of(folder / name, lambda path, arrays: save_file(arrays, path), seed=seed)
        suggest(str(made), store=store)
        signatures(str(made), store=store)
    return store.folder


@pytest.fixture
def both(data, _looked_at):
    """A store with both models."""
    shutil.copytree(_looked_at, data, dirs_exist_ok=True)
    return Store(data)


@pytest.fixture
def one(both):
    """A store with one of them."""
    both.delete_model("twin")
    return both


@pytest.fixture
def other(tmp_path):
    return Store(tmp_path / "elsewhere")


def test_findings_are_kept_once_with_settings_models_and_note(one):
    found = library.candidates(one, "one")
    assert {"health", "forensics", "suggestion"} == {pattern.kind for pattern in found}
    assert len({pattern.key for pattern in found}) == len(found)
    library.keep(one, found[0], "because")
    library.keep(one, found[0], "because of <b>that</b>")
    (kept,) = one.patterns()
    assert kept.note == "because of <b>that</b>" and kept.settings == found[0].settings
    assert kept.content_hashes == (one.model("one").content_hash,)
    one.delete_model("one")
    assert len(one.patterns()) == 1  # the library outlives the model
    assert one.forget_pattern(kept.key) and not one.patterns()


def test_what_is_exported_is_taken_in_elsewhere_just_once(one, other):
    for pattern in library.candidates(one, "one"):
        library.keep(one, pattern)
    data = library.export_library(one)
    first = library.import_library(other, data, "theirs.zip")
    assert (first.num_patterns, first.num_signatures) == (first.of_patterns, 3)
    again = library.import_library(other, data, "theirs.zip")
    assert (again.num_patterns, again.num_signatures) == (0, 0)
    here = {pattern.key: (pattern.words, pattern.settings, pattern.kept_at) for pattern in one.patterns()}
    assert here == {pattern.key: (pattern.words, pattern.settings, pattern.kept_at) for pattern in other.patterns()}
    assert {pattern.origin for pattern in other.patterns()} == {"theirs.zip"}
    places, values = other.library_signatures()
    np.testing.assert_array_equal(values, one.signatures().values.astype(np.float32))
    assert other.library_signatures()[0]["tensor"].tolist() == sorted(places["tensor"])
    assert library.import_library(one, data, "back.zip").num_signatures == 0  # its own models are known here


def test_a_new_model_is_held_against_the_library_in_one_call(both):
    for pattern in library.candidates(both, "one"):
        library.keep(both, pattern)
    found = library.match(both, "twin")
    again = {(each.kept.kind, each.kept.name) for each in found.recurring}
    assert ("forensics", "never_updated") in again and ("health", "repeated_lines") in again
    repeated = next(each for each in found.recurring if each.kept.name == "repeated_lines")
    assert repeated.here.value == repeated.kept.value == 1
    assert not found.new and not found.absent
    assert found.nearest["model"].tolist() == ["one"] and found.nearest["matched"][0] == 1
    assert "known patterns recur" in library.match_words(found)[0]
    assert library.match(both, "one").recurring == ()  # a model does not recur in itself


def test_imported_models_are_among_the_nearest(one):
    places, values = one.signatures().places.rename(columns={"model": "model_name"}), one.signatures().values
    for number in range(2):
        strange = places.assign(content_hash=f"{number}" * 64, model_name=f"m{number}")
        one.add_library_signatures(strange, values if number else values + np.arange(75), "theirs.zip")
    found = library.nearest(one, "one")
    assert found["model"].tolist() == ["m1 @11111111", "m0 @00000000"]
    assert found["similarity"][0] == pytest.approx(1, abs=1e-5) and found["similarity"][1] < 0.99
    assert set(found["origin"]) == {"theirs.zip"}


def zipped(**members) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return target.getvalue()


def parquet(rows, schema=files._PATTERN_SCHEMA) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), target, compression="zstd")
    return target.getvalue()


GOOD = dict.fromkeys(files._TEXTS, "x") | {
    "key": "a" * 32,
    "kind": "health",
    "numbers": "{}",
    "settings": "{}",
    "value": 1.0,
    "kept_at": None,
    "model_names": ["m"],
    "content_hashes": ["b" * 64],
}


def test_the_good_row_is_taken_in_so_that_the_bad_ones_mean_something(other):
    assert library.import_library(other, zipped(patterns__parquet=parquet([GOOD]))).num_patterns == 1


@pytest.mark.parametrize(
    "change",
    [
        {"key": "../../etc"},
        {"kind": "code"},
        {"words": "x" * 4001},
        {"words": None},
        {"numbers": "[1]"},
        {"numbers": "{"},
        {"settings": "[" * 60_000},
        {"model_names": []},
        {"model_names": ["a", "b"]},
        {"model_names": [None]},
        {"content_hashes": ["zz"]},
        {"content_hashes": None},
    ],
)
def test_a_row_that_is_not_as_it_should_be_refuses_the_whole_file(other, change):
    data = zipped(patterns__parquet=parquet([GOOD, GOOD | {"key": "c" * 32} | change]))
    with pytest.raises(WeightscopeError, match="was not taken in"):
        library.import_library(other, data, "bad.zip")
    assert other.patterns() == []


def test_files_that_are_no_library_are_refused(other, tmp_path):
    schema = pa.schema([("key", pa.string())])
    bad = [
        b"",
        b"PK\x03\x04 no zip",
        zipped(),
        zipped(patterns__parquet=b"PAR1 nothing PAR1"),
        zipped(patterns__parquet=parquet([{"key": "x"}], schema)),
        zipped(patterns__parquet=parquet([GOOD]), evil__py=b"print(1)"),
        zipped(signatures_v1__parquet=parquet([GOOD])),
        zipped(patterns__parquet=parquet([GOOD])[:-20]),
    ]
    for data in bad:
        with pytest.raises(WeightscopeError, match="was not taken in"):
            library.import_library(other, data, "bad.zip")
    with pytest.raises(WeightscopeError, match="no file"):
        library.import_library(other, tmp_path / "nowhere.zip")
    assert other.patterns() == []


def test_a_long_text_repeated_a_million_times_is_not_unfolded(other, monkeypatch):
    monkeypatch.setattr(files, "MOST_TABLE_BYTES", 50_000_000)
    data = zipped(patterns__parquet=parquet([GOOD | {"words": "x" * 100_000}] * 1000))
    assert len(data) < 100_000
    with pytest.raises(WeightscopeError, match="unfolds"):
        library.import_library(other, data, "bomb.zip")


def test_too_many_rows_and_too_large_files_are_refused(other, monkeypatch):
    data = zipped(patterns__parquet=parquet([GOOD] * 11))
    monkeypatch.setattr(files, "MOST_PATTERNS", 10)
    with pytest.raises(WeightscopeError, match="11 rows"):
        library.import_library(other, data, "many.zip")
    monkeypatch.setattr(files, "MOST_FILE_BYTES", 1000)
    with pytest.raises(WeightscopeError, match="bytes"):
        library.import_library(other, data, "large.zip")


def test_signatures_of_no_model_or_twice_are_refused(other):
    row = {"content_hash": "d" * 64, "model_name": "m", "family": "f", "tensor": "t", "layer": None, "role": "query"}
    row |= {"stack": "", "features": [float("inf")] * 75}

    def taken(*rows):
        return library.import_library(
            other, zipped(signatures_v1__parquet=parquet(list(rows), files._SIGNATURE_SCHEMA))
        )

    assert taken(row).num_signatures == 1
    assert np.isnan(other.library_signatures()[1]).all()  # no number is what is not finite
    for bad in ([row, row], [row | {"content_hash": "x"}], [row | {"features": None}], [row | {"tensor": None}]):
        with pytest.raises(WeightscopeError, match="was not taken in"):
            taken(*bad)


def test_the_command_lists_writes_reads_and_matches(one, command, tmp_path):
    library.keep(one, library.candidates(one, "one")[0])
    assert "one:" in command("library").stdout
    assert len(json.loads(command("library", "--json").stdout)) == 1
    target = tmp_path / "mine.zip"
    assert command("library", "export", str(target)).returncode == 0
    assert "0 patterns and 0 signatures are new" in command("library", "import", str(target)).stdout
    assert command("library", "match", "one").stdout.startswith("one: 0 known patterns recur")
