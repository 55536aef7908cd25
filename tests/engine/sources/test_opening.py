"""What `engine.sources.open` accepts, and which checkpoint it picks where there are several."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.errors import (
    MalformedHeaderError,
    SourceError,
    SourceNotFoundError,
    TensorNotFoundError,
    UnsafePathError,
    UnsupportedFormatError,
)
from engine.sources import open as open_source

ONE = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
TWO = {"b.weight": np.arange(4, dtype=np.int8)}


@pytest.fixture
def sharded(tmp_path, write_safetensors, write_index) -> Path:
    folder = tmp_path / "my-model"
    write_safetensors(folder / "model-00001-of-00002.safetensors", ONE, {"format": "pt", "one": "1"})
    write_safetensors(folder / "model-00002-of-00002.safetensors", TWO, {"format": "pt", "two": "2"})
    names = {"a.weight": "model-00001-of-00002.safetensors", "b.weight": "model-00002-of-00002.safetensors"}
    write_index(folder / "model.safetensors.index.json", names)
    return folder


def names(source) -> list[str]:
    return [info.name for info in source.infos()]


def test_a_folder_and_its_index_open_all_shards(sharded):
    for path in (sharded, str(sharded), sharded / "model.safetensors.index.json"):
        with open_source(path) as source:
            assert names(source) == ["a.weight", "b.weight"]
            assert source.name == "my-model" and source.format == "safetensors" and source.uri == str(path)
            assert [file.name for file in source.files] == sorted(f.name for f in sharded.glob("*.safetensors"))
            assert source.info("b.weight").file == "model-00002-of-00002.safetensors"
            assert np.array_equal(source.read("a.weight"), ONE["a.weight"])
            assert np.array_equal(source.read_rows("b.weight", 1, 3), [1, 2])
            assert source.metadata == {"format": "pt", "one": "1", "two": "2"}
            assert source.config == {}


def test_shards_without_an_index_open_together(sharded):
    (sharded / "model.safetensors.index.json").unlink()
    assert names(open_source(sharded)) == ["a.weight", "b.weight"]


def test_a_missing_shard_is_named(sharded):
    (sharded / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(SourceNotFoundError, match="model-00002-of-00002") as caught:
        open_source(sharded)
    assert caught.value.hint
    (sharded / "model.safetensors.index.json").unlink()
    with pytest.raises(SourceNotFoundError, match="1 of the 2 shards"):
        open_source(sharded)


def test_a_tensor_that_its_shard_does_not_hold_is_named(sharded, write_index):
    index = sharded / "model.safetensors.index.json"
    write_index(index, {**json.loads(index.read_text())["weight_map"], "c": "model-00001-of-00002.safetensors"})
    with pytest.raises(TensorNotFoundError, match="'c'"):
        open_source(sharded)


def test_the_index_decides_which_of_two_equal_names_counts(tmp_path, write_safetensors, write_index):
    write_safetensors(tmp_path / "one.safetensors", {"a": np.zeros(2), "extra": np.zeros(1)})
    write_safetensors(tmp_path / "two.safetensors", {"a": np.ones(2), "b": np.ones(1)})
    write_index(tmp_path / "model.safetensors.index.json", {"a": "two.safetensors", "extra": "one.safetensors"})
    with open_source(tmp_path) as source:
        assert sorted(names(source)) == ["a", "b", "extra"]
        assert source.read("a").tolist() == [1, 1]


def test_two_checkpoints_in_one_folder_are_not_mixed(tmp_path, write_safetensors):
    write_safetensors(tmp_path / "one.safetensors", ONE)
    write_safetensors(tmp_path / "two.safetensors", ONE)
    with pytest.raises(SourceError, match="two checkpoints") as caught:
        open_source(tmp_path)
    assert "one of the files" in caught.value.hint


def test_the_whole_model_comes_before_other_files(sharded, write_safetensors):
    write_safetensors(sharded / "model.safetensors", TWO)
    write_safetensors(sharded / "adapter_model.safetensors", ONE)
    assert names(open_source(sharded)) == ["b.weight"]


def test_of_several_indexes_the_standard_one_counts(sharded, write_index):
    index = sharded / "model.safetensors.index.json"
    other = index.rename(sharded / "model.fp16.safetensors.index.json")
    assert names(open_source(sharded)) == ["a.weight", "b.weight"]
    shutil.copy(other, sharded / "model.fp32.safetensors.index.json")
    with pytest.raises(SourceError, match="several") as caught:
        open_source(sharded)
    assert "model.fp32.safetensors.index.json" in caught.value.hint
    shutil.copy(other, index)
    assert names(open_source(sharded)) == ["a.weight", "b.weight"]


def test_safetensors_come_before_pytorch_files(tmp_path, write_safetensors):
    write_safetensors(tmp_path / "weights.safetensors", ONE)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not even a checkpoint")
    source = open_source(tmp_path)
    assert (source.format, names(source)) == ("safetensors", ["a.weight"])


def test_content_counts_more_than_the_suffix(tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "x.safetensors", ONE)
    for name in ("pytorch_model.bin", "no-suffix", "weights.dat"):
        copy = shutil.copy(path, tmp_path / name)
        assert open_source(copy).format == "safetensors"


def test_hidden_files_and_folders_named_like_weights_are_passed_over(tmp_path, write_safetensors):
    write_safetensors(tmp_path / "model-x.safetensors", ONE)
    (tmp_path / "._model-x.safetensors").write_bytes(b"resource fork")
    (tmp_path / "folder.safetensors").mkdir()
    assert names(open_source(tmp_path)) == ["a.weight"]


@pytest.mark.parametrize(
    "text", ["", "no/such/folder/here", "a\0b", "/no/such/file.safetensors", "x" * 5000, "~nobody-here/x"]
)
def test_what_is_not_there_is_not_found(text):
    with pytest.raises(SourceError) as caught:
        open_source(text)
    assert caught.value.hint


def test_other_formats_are_refused_with_a_list_of_those_that_are_read(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tmp_path / "x.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    (tmp_path / "empty").touch()
    for path in (tmp_path / "x.h5", tmp_path / "x.tflite", tmp_path / "empty", tmp_path):
        with pytest.raises(UnsupportedFormatError) as caught:
            open_source(path)
        assert ".safetensors" in caught.value.hint


def test_a_folder_of_folders_says_which_of_them_hold_weights(tmp_path, write_safetensors):
    write_safetensors(tmp_path / "unet" / "diffusion.safetensors", ONE)
    (tmp_path / "scheduler").mkdir()
    with pytest.raises(UnsupportedFormatError) as caught:
        open_source(tmp_path)
    assert "unet" in caught.value.hint and "scheduler" not in caught.value.hint


def test_a_file_is_named_by_itself_unless_its_name_says_nothing(tmp_path, write_safetensors):
    plain = write_safetensors(tmp_path / "tiny" / "v1.safetensors", ONE)
    generic = write_safetensors(tmp_path / "tiny" / "model.safetensors", ONE)
    assert open_source(plain).name == "v1"
    assert open_source(generic).name == open_source(tmp_path / "tiny").name == "tiny"


def test_the_config_beside_the_weights_is_read_when_asked_for(tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "model.safetensors", ONE)
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "llama", "n": [1, Infinity]}')
    assert open_source(path).config["model_type"] == "llama"
    for broken in ("{", "[1, 2]", "[" * 100_000, '{"a": \xff}'):
        config.write_text(broken, encoding="latin-1")
        source = open_source(tmp_path)
        assert names(source) == ["a.weight"]
        with pytest.raises(MalformedHeaderError) as caught:
            _ = source.config
        assert "config.json" in caught.value.message and caught.value.hint


def test_nothing_imports_torch_until_a_pytorch_file_is_opened(tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "model.safetensors", ONE)
    code = (
        "import sys, engine.sources, engine.naming; source = engine.sources.open(sys.argv[1]); "
        "source.read('a.weight'); source.content_hash(); assert not {'torch', 'huggingface_hub'} & set(sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, cwd=root)


# -- the hub cache


@pytest.fixture
def hub(tmp_path, monkeypatch, write_safetensors):
    """A cache with one sharded model, laid out as the hub's own library does it: links into blobs."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--ann--tiny-model"
    snapshot = repository / "snapshots" / ("c" * 40)
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    weight_map = {}
    for number, tensors in enumerate((ONE, TWO), 1):
        file = write_safetensors(tmp_path / "new", tensors)
        blob = file.rename(repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest())
        name = f"model-0000{number}-of-00002.safetensors"
        weight_map.update(dict.fromkeys(tensors, name))
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    index = repository / "blobs" / ("a" * 40)
    index.write_text(json.dumps({"weight_map": weight_map}))
    (snapshot / "model.safetensors.index.json").symlink_to(Path("../../blobs") / index.name)
    return snapshot


def test_a_model_in_the_hub_cache_opens_by_its_name(hub):
    for name in ("ann/tiny-model", "ann/tiny-model@main", "ann/tiny-model@" + "c" * 40, hub):
        with open_source(name) as source:
            assert names(source) == ["a.weight", "b.weight"]
            assert (source.name, source.uri) == ("tiny-model", str(hub))
            assert np.array_equal(source.read("b.weight"), TWO["b.weight"])


def test_a_model_that_the_cache_lacks_is_not_found(hub):
    for name in ("ann/other-model", "ann/tiny-model@nobody", "ann/..", "a--b/c"):
        with pytest.raises(SourceNotFoundError) as caught:
            open_source(name)
        assert caught.value.hint


def test_the_hash_of_a_cached_model_is_that_of_its_plain_copy(hub, tmp_path):
    plain = shutil.copytree(hub, tmp_path / "plain")  # follows the links
    done = []
    assert open_source(hub).content_hash(done.append) == open_source(plain).content_hash()
    assert sum(done) == sum(file.stat().st_size for file in plain.glob("*.safetensors"))


def test_a_cached_hash_is_taken_from_the_name_without_reading(hub):
    blob = next((hub.parents[1] / "blobs").glob("?" * 64))
    name = next(file.name for file in hub.iterdir() if file.resolve() == blob)
    fake = blob.rename(blob.parent / ("f" * 64))
    (hub / name).unlink()
    (hub / name).symlink_to(fake)
    assert open_source(hub / name).content_hash() == "f" * 64


def test_a_link_out_of_the_cache_is_refused(hub, tmp_path):
    name = "model-00001-of-00002.safetensors"
    elsewhere = shutil.copy(hub / name, tmp_path / "elsewhere.safetensors")
    (hub / name).unlink()
    (hub / name).symlink_to(elsewhere)
    with pytest.raises(UnsafePathError, match="leads out"):
        open_source("ann/tiny-model")
