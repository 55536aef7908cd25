"""The checkpoints known here: added, uploaded, scanned, bundled, removed."""

from __future__ import annotations

import hashlib
import io
import os
import time

import numpy as np
import pytest

from engine.errors import SourceError, SourceNotFoundError, WeightscopeError
from workflows import library, locations
from workflows.extract import extract
from workflows.uploads import safe_file_name


@pytest.fixture(autouse=True)
def bundled(tmp_path, monkeypatch, write_safetensors):
    """A folder of bundled checkpoints of the test's own: one checkpoint, and a folder without weights."""
    folder = tmp_path / "models"
    write_safetensors(folder / "starter" / "model.safetensors", {"w": np.ones((3, 3), np.float32)})
    (folder / "notes").mkdir()
    (folder / "README.md").write_text("not a checkpoint", encoding="utf-8")
    monkeypatch.setattr(locations, "BUNDLED", folder)
    return folder


def names(store) -> list[str]:
    return [known.name for known in library.locations(store)]


def test_bundled_checkpoints_come_first_and_need_no_adding(store, tiny):
    library.add_path(store, tiny)
    assert [(known.name, known.origin) for known in library.locations(store)] == [
        ("starter", "bundled"),
        ("tiny", "added"),
    ]


def test_a_bundled_checkpoint_stays_bundled_when_it_is_measured(store):
    outcome = extract("starter", store=store)
    (known,) = library.locations(store)
    assert (known.name, known.origin, known.content_hash) == ("starter", "bundled", outcome.content_hash)
    assert library.status(known) == "measured"


def test_a_bundled_checkpoint_loses_its_measurements_but_stays_known(store, bundled):
    with pytest.raises(WeightscopeError, match="comes with the product"):
        library.remove(store, "starter")
    extract("starter", store=store)
    library.remove(store, "starter")
    assert store.models() == [] and names(store) == ["starter"]
    assert (bundled / "starter" / "model.safetensors").exists()


def test_adding_a_path_twice_adds_it_once(store, tiny, monkeypatch):
    first = library.add_path(store, tiny)
    monkeypatch.chdir(tiny.parent)
    assert library.add_path(store, "tiny.safetensors") == first
    assert names(store) == ["starter", "tiny"]


def test_two_checkpoints_of_one_name_are_told_apart(store, tmp_path, write_safetensors):
    for folder in ("a", "b"):
        library.add_path(
            store, write_safetensors(tmp_path / folder / "same.safetensors", {"w": np.ones(2, np.float32)})
        )
    library.add_path(store, write_safetensors(tmp_path / "starter.safetensors", {"w": np.ones(2, np.float32)}))
    assert len(set(names(store))) == 4 and {"same", "same-2"} < set(names(store))


def test_a_name_a_path_and_a_new_path_are_all_understood(store, tiny):
    assert library.resolve(store, "starter").origin == "bundled"
    assert library.resolve(store, str(tiny)).name == "tiny"
    assert library.resolve(store, "tiny").uri == str(tiny)
    with pytest.raises(SourceNotFoundError, match="'tinny'"):
        library.resolve(store, "tinny")
    with pytest.raises(SourceNotFoundError):
        library.resolve(store, str(tiny.parent / "absent.safetensors"))


def test_a_file_named_like_its_kind_takes_the_folders_name(store, tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "my-bert" / "model" / "model.safetensors", {"w": np.ones(2, np.float32)})
    assert library.add_path(store, path).name == "my-bert"


def test_the_status_follows_the_file(store, tiny):
    known = library.add_path(store, tiny)
    assert library.status(known) == "new"
    extract("tiny", store=store)
    known = library.location(store, "tiny")
    assert library.status(known) == "measured"
    os.utime(tiny, (1, 1))
    assert library.status(known) == "changed"
    tiny.unlink()
    assert library.status(known) == "missing"
    with pytest.raises(SourceError):
        library.open_source(known)


def test_removing_forgets_measurements_but_never_touches_the_users_file(store, tiny):
    extract(str(tiny), store=store)
    library.remove(store, "tiny")
    assert store.models() == [] and names(store) == ["starter"] and tiny.exists()
    with pytest.raises(SourceNotFoundError):
        library.remove(store, "tiny")


def test_measurements_stay_while_another_location_has_the_same_content(store, tiny, tmp_path):
    twin = tmp_path / "twin.safetensors"
    twin.write_bytes(tiny.read_bytes())
    outcome = extract(str(tiny), store=store)
    extract(str(twin), store=store)
    library.remove(store, "tiny")
    assert [model.content_hash for model in store.models()] == [outcome.content_hash]
    library.remove(store, "twin", measurements=False)
    assert len(store.models()) == 1 and names(store) == ["starter"]


def upload(store, tiny, name="tiny.safetensors", limit_bytes=10**6, content=None):
    stream = io.BytesIO(tiny.read_bytes() if content is None else content)
    return library.add_upload(store, name, stream, limit_bytes=limit_bytes)


def files_below(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_upload_is_kept_under_the_hash_of_its_bytes_and_measures(store, tiny, data):
    known = upload(store, tiny)
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert known.uri == str(data.resolve() / "uploads" / digest / "tiny.safetensors")
    assert (known.name, known.origin) == ("tiny", "uploaded")
    assert extract(known.name, store=store).content_hash == digest


def test_the_same_upload_twice_is_kept_once(store, tiny, data):
    assert upload(store, tiny) == upload(store, tiny, name="renamed.safetensors")
    assert len(files_below(data / "uploads")) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit_bytes": 100}, "larger than 100 B"),
        ({"content": b""}, "0 bytes"),
        ({"content": b"\xff" * 64}, "header claims"),
        ({"name": "model.txt", "content": b"some text"}, "no checkpoint"),
        ({"name": "model.pt", "content": b"\x80\x02cos\nsystem\n(S'true'\ntR."}, "model.pt"),
    ],
    ids=["too large", "empty", "no header", "unknown suffix", "pickle with code"],
)
def test_a_refused_upload_leaves_nothing(store, tiny, data, options, message):
    with pytest.raises(SourceError, match=message):
        upload(store, tiny, **options)
    assert files_below(data / "uploads") == [] and list((data / "uploads").iterdir()) == []
    assert names(store) == ["starter"]


def test_a_broken_stream_leaves_nothing(store, data):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        library.add_upload(store, "a.safetensors", Broken(), limit_bytes=100)
    assert list((data / "uploads").iterdir()) == []


def test_leftovers_of_killed_uploads_are_swept_after_a_day(store, tiny, data):
    for name, age_s in (("old", 2 * 86400), ("young", 60)):
        folder = data / "uploads" / f".incoming-{name}"
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age_s,) * 2)
    upload(store, tiny)
    assert [path.name for path in (data / "uploads").glob(".incoming-*")] == [".incoming-young"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("model.safetensors", "model.safetensors"),
        ("../../etc/passwd", "passwd"),
        ("C:\\fakepath\\a b.pt", "a_b.pt"),
        ("..", "upload"),
        ("", "upload"),
        (".hidden.bin", "hidden.bin"),
        ("größe\n\0.pt", "größe_.pt"),
        ("x" * 300 + ".safetensors", "x" * 100 + ".safetensors"),
    ],
)
def test_file_names_from_a_browser_are_made_harmless(sent, kept):
    assert safe_file_name(sent) == kept


def test_removing_an_upload_deletes_its_file_and_only_that(store, tiny, data, tmp_path, write_safetensors):
    first = upload(store, tiny)
    other = write_safetensors(tmp_path / "other.safetensors", {"w": np.ones(3, np.float32)})
    second = upload(store, other, name="other.safetensors")
    library.remove(store, second.name)
    assert len(files_below(data / "uploads")) == 1 and library.status(first) == "new"


def test_a_location_that_only_claims_to_be_uploaded_loses_no_file(store, tiny):
    from dataclasses import replace

    store.add_location(replace(library.add_path(store, tiny), origin="uploaded"))
    library.remove(store, "tiny")
    assert tiny.exists()


@pytest.fixture
def tree(tmp_path, write_safetensors):
    """A folder with single files, a model folder, shards, a broken file, a loop of links, and unrelated files."""
    top = tmp_path / "tree"
    one = {"w": np.ones((2, 2), np.float32)}
    write_safetensors(top / "a.safetensors", one)
    write_safetensors(top / "b.safetensors", {"v": np.ones(3, np.float32)})
    write_safetensors(top / "bert" / "model.safetensors", one)
    (top / "bert" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    for number in (1, 2):
        write_safetensors(top / "big" / f"model-0000{number}-of-00002.safetensors", {f"w{number}": one["w"]})
    (top / "broken.safetensors").write_bytes(b"nothing like it")
    (top / "readme.txt").write_text("text", encoding="utf-8")
    (top / "deep" / "er").mkdir(parents=True)
    (top / "deep" / "loop").symlink_to(top, target_is_directory=True)
    (top / "deep" / "er" / "dangling").symlink_to(top / "absent")
    return top


def test_a_scan_finds_each_checkpoint_once_and_says_what_it_passed_over(store, tree):
    found = library.scan_folder(store, tree)
    assert sorted(known.name for known in found.added) == ["a", "b", "bert", "big"]
    assert all(known.origin == "scanned" for known in found.added)
    assert found.known == ()
    assert [path.name for path, _reason in found.skipped] == ["broken.safetensors"]
    assert "broken.safetensors" in found.skipped[0][1]
    assert {known.name: known.num_tensors for known in found.added}["big"] == 2


def test_a_second_scan_adds_nothing(store, tree):
    first = library.scan_folder(store, tree)
    again = library.scan_folder(store, tree)
    assert again.added == () and sorted(one.uri for one in again.known) == sorted(one.uri for one in first.added)


def test_a_scan_is_bounded_in_depth_and_number_and_says_so(store, tmp_path, monkeypatch, write_safetensors):
    deep = tmp_path / "top" / "/".join("abcdefgh")
    write_safetensors(deep / "w.safetensors", {"w": np.ones(2, np.float32)})
    found = library.scan_folder(store, tmp_path / "top")
    assert found.added == () and "deeper than" in found.skipped[0][1]
    for number in range(4):
        write_safetensors(tmp_path / "top" / f"{number}.safetensors", {"w": np.ones(2, np.float32)})
    monkeypatch.setattr("workflows.folder_scan.MAX_CHECKPOINTS", 3)
    found = library.scan_folder(store, tmp_path / "top")
    assert len(found.added) == 3 and any("ended here" in reason for _path, reason in found.skipped)


def test_scanning_what_is_no_folder_is_said(store, tiny):
    for folder in (tiny, tiny.parent / "absent"):
        with pytest.raises(SourceNotFoundError, match="There is no folder"):
            library.scan_folder(store, folder)
