"""A model leaves as a zip and comes back; a zip that means harm leaves nothing behind."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.errors import SourceError, TrainingError, UnsafePathError, UnsafePickleError
from storage.store import Store
from workflows import library
from workflows.model_zip import add_model_zip, model_zip, write_zip
from workflows.trained_models import copy_weights, publish

LIMIT = 1 << 20


@pytest.fixture
def model(tmp_path, write_safetensors) -> Path:
    """A folder with the files of a model and of a training that goes on."""
    folder = tmp_path / "book"
    write_safetensors(folder / "model.safetensors", {"w": np.arange(12, dtype=np.float32).reshape(3, 4)}, {"a": "b"})
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "README.md").write_text("# book")
    (folder / "training_state.json").write_text("{}")
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1" / "model.safetensors").write_bytes(b"later")
    return folder


def packed(members: dict[str, bytes], **attributes) -> io.BytesIO:
    """A zip of these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = attributes.get("mode", stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
    file.seek(0)
    return file


def files_of(model: Path, prefix: str = "book/") -> dict[str, bytes]:
    names = ("model.safetensors", "config.json", "tokenizer.json")
    return {prefix + name: (model / name).read_bytes() for name in names}


def kept(store: Store) -> list[Path]:
    return [path for path in store.folder.rglob("*") if path.is_file() and path.suffix != ".duckdb"]


def test_a_model_comes_back_from_its_zip_as_it_was(store, model):
    known = library.add_path(store, model)
    file = model_zip(store, known)
    with file.open("rb") as stream:
        back = add_model_zip(Store(store.folder / "other"), "book.zip", stream, limit_bytes=LIMIT)
    folder = Path(back.uri)
    assert (back.origin, back.name) == ("uploaded", "book")
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert all((folder / path.name).read_bytes() == path.read_bytes() for path in folder.iterdir())


def test_the_same_model_gives_the_same_bytes(model):
    first, second = io.BytesIO(), io.BytesIO()
    write_zip(model, "book", first)
    for file in model.iterdir():
        file.touch()
    write_zip(model, "book", second)
    assert first.getvalue() == second.getvalue()


@pytest.mark.parametrize("prefix", ["", "book/", "My model (2)/"])
def test_a_zip_of_files_or_of_one_folder_is_taken(store, model, prefix):
    members = files_of(model, prefix) | {"__MACOSX/._x": b"", f"{prefix}.DS_Store": b""}
    known = add_model_zip(store, "a book.zip", packed(members), limit_bytes=LIMIT)
    assert known.name == "a_book"
    assert library.status(known) == "new"


def test_the_same_zip_is_kept_once_and_goes_when_it_is_removed(store, model):
    data = packed(files_of(model)).getvalue()
    first, second = (add_model_zip(store, "book.zip", io.BytesIO(data), limit_bytes=LIMIT) for _ in range(2))
    assert first.uri == second.uri
    library.remove(store, first.name)
    assert kept(store) == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("../model2.safetensors", UnsafePathError),
        ("/etc/passwd.json", UnsafePathError),
        ("book/../../x.json", UnsafePathError),
        ("book\\..\\x.json", UnsafePathError),
        ("C:x.json", UnsafePathError),
        ("book/deep/er/x.json", UnsafePathError),
        ("book/.hidden.json", UnsafePathError),
        ("book/pytorch_model.bin", UnsafePickleError),
        ("book/arrays.npz", UnsafePickleError),
        ("book/modeling.py", SourceError),
        ("other/x.json", SourceError),
        ("book/CONFIG.json", SourceError),
    ],
)
def test_members_that_are_no_plain_files_of_one_model_are_refused(store, model, name, error):
    with pytest.raises(error):
        add_model_zip(store, "book.zip", packed(files_of(model) | {name: b"{}"}), limit_bytes=LIMIT)
    assert kept(store) == []


def test_a_link_is_refused(store, model):
    link = packed(files_of(model) | {"book/x.json": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777)
    with pytest.raises(UnsafePathError, match="link"):
        add_model_zip(store, "book.zip", link, limit_bytes=LIMIT)
    assert kept(store) == []


def test_a_bomb_is_refused_before_it_unfolds(store, model):
    bomb = packed(files_of(model) | {"book/x.json": bytes(4 * LIMIT)})
    assert len(bomb.getvalue()) < LIMIT
    with pytest.raises(SourceError, match="unfolds to"):
        add_model_zip(store, "book.zip", bomb, limit_bytes=LIMIT)
    assert kept(store) == []


def test_a_size_that_lies_is_found_out(store, model):
    data = bytearray(packed(files_of(model) | {"book/x.json": bytes(1000)}).getvalue())
    at = data.rfind(b"PK\x01\x02")  # the last entry of the table: its unpacked size is 24 bytes in
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    with pytest.raises(SourceError):
        add_model_zip(store, "book.zip", io.BytesIO(bytes(data)), limit_bytes=LIMIT)
    assert kept(store) == []


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_zip_without_a_needed_file_is_no_model(store, model, missing):
    members = files_of(model)
    del members[f"book/{missing}"]
    with pytest.raises(SourceError):
        add_model_zip(store, "book.zip", packed(members), limit_bytes=LIMIT)
    assert kept(store) == []


@pytest.mark.parametrize("sent", [b"", b"PK", b"no zip at all" * 100])
def test_what_is_no_zip_is_refused(store, sent):
    with pytest.raises(SourceError):
        add_model_zip(store, "book.zip", io.BytesIO(sent), limit_bytes=LIMIT)
    assert kept(store) == []


def test_weights_keep_their_bytes_when_metadata_is_added(model, tmp_path):
    from safetensors import safe_open

    source, target = model / "model.safetensors", tmp_path / "copy.safetensors"
    copy_weights(source, target, {"weightscope.run": "é"})
    with safe_open(source, "np") as before, safe_open(target, "np") as after:
        assert after.metadata() == before.metadata() | {"weightscope.run": "é"}
        assert np.array_equal(before.get_tensor("w"), after.get_tensor("w"))
    assert int.from_bytes(target.read_bytes()[:8], "little") % 8 == 0


def test_a_model_appears_whole_or_not_at_all(store, model):
    def broken(folder: Path) -> str:
        raise OSError("the disk is full")

    with pytest.raises(TrainingError, match="disk is full"):
        publish(store, "novel", model, {}, broken)
    home = store.folder / "trained" / "novel"
    assert list(home.iterdir()) == []
    known = publish(store, "novel", model, {"weightscope.run": "r"}, lambda folder: "# novel")
    assert known.origin == "trained"
    assert json.loads((home / "config.json").read_text()) == {"model_type": "llama"}
    assert sorted(path.name for path in home.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
