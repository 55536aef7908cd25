"""A model on the hub is read as if it were here. With `--online`, the first tests ask the real hub."""

from __future__ import annotations

import os

import numpy as np
import pytest

import engine.sources
from engine.errors import (
    MalformedHeaderError,
    SourceError,
    SourceNotFoundError,
    TensorNotFoundError,
    TruncatedFileError,
    UnsupportedFormatError,
)
from engine.heatmaps import Viewport, full_view, read_grid
from engine.measures.reading import measure_tensor
from engine.sources.hub import HEADER_GUESS_BYTES, WINDOW_BYTES
from engine.sources.hub_access import HubName
from engine.sources.hub_files import weight_files


@pytest.fixture
def downloaded(hub_model, tmp_path):
    """The same model, fetched whole by huggingface_hub, opened as local files."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        hub_model.name,
        endpoint=os.environ.get("HF_ENDPOINT"),
        cache_dir=tmp_path / "oracle",
        allow_patterns=["*.safetensors*", "config.json"],
    )
    with engine.sources.open(folder) as source:
        yield source


def test_everything_equals_the_downloaded_files(hub_model, downloaded):
    with engine.sources.open(hub_model.uri) as remote:
        assert remote.infos() == downloaded.infos()
        assert remote.metadata == downloaded.metadata
        assert remote.config == downloaded.config
        assert remote.content_hash() == downloaded.content_hash()
        assert (remote.name, remote.uri, remote.format) == (hub_model.name.split("/")[1], hub_model.uri, "safetensors")
        for info in remote.infos():
            expected, found = downloaded.read(info.name), remote.read(info.name)
            assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
            assert found.shape == info.shape and not found.flags.writeable


def test_rows_equal_the_downloaded_rows(hub_model, downloaded):
    with engine.sources.open(hub_model.uri) as remote:
        for info in remote.infos():
            if info.shape and info.shape[0] > 2:
                for start, stop in ((0, 1), (1, info.shape[0] - 1), (info.shape[0] - 1, info.shape[0]), (2, 2)):
                    expected = downloaded.read_rows(info.name, start, stop)
                    assert remote.read_rows(info.name, start, stop).tobytes() == expected.tobytes()


def test_heatmaps_and_statistics_equal_those_of_the_downloaded_files(hub_model, downloaded):
    with engine.sources.open(hub_model.uri) as remote:
        for info in remote.infos()[:4]:
            there, here = (measure_tensor(source, info) for source in (remote, downloaded))
            np.testing.assert_equal(there.values, here.values)
            view = full_view(info, 16, 16)
            np.testing.assert_array_equal(
                read_grid(remote, info, view).values, read_grid(downloaded, info, view).values
            )


def test_an_unknown_model_and_revision_are_named(hub_model):
    with pytest.raises(SourceNotFoundError, match="no revision"):
        engine.sources.open(f"{hub_model.uri}@no-such-branch")
    with pytest.raises(SourceNotFoundError, match="has no model"):
        engine.sources.open("hf://weightscope-tests/no-such-model-2c1b")


def test_a_sharded_model_is_opened_with_two_requests_a_shard_and_no_data(sharded, sharded_on_hub, hub_server):
    with engine.sources.open(sharded_on_hub) as remote, engine.sources.open(sharded) as local:
        assert remote.infos() == local.infos()
        assert remote.content_hash() == local.content_hash()
        assert remote.config == local.config
    for number in (1, 2, 3):
        asked = [each for each in hub_server.requests if f"model-0000{number}-of" in each.path]
        assert [each.method for each in asked] == ["HEAD", "GET"]


def test_a_header_longer_than_the_guess_takes_one_request_more(hub_server, tmp_path, write_safetensors):
    arrays = {f"layers.{i}.{'x' * 300}": np.full(4, i, np.float32) for i in range(1000)}
    path = write_safetensors(tmp_path / "model.safetensors", arrays)
    hub_server.add("o/long", {"model.safetensors": path})
    assert int.from_bytes(path.read_bytes()[:8], "little") > HEADER_GUESS_BYTES
    with engine.sources.open("hf://o/long") as source:
        assert len(source.infos()) == 1000
        assert [each.method for each in hub_server.requests if "model.safetensors" in each.path] == [
            "HEAD",
            "GET",
            "GET",
        ]
        np.testing.assert_array_equal(source.read(source.infos()[7].name), arrays[source.infos()[7].name])


def test_rows_fetch_their_bytes_and_no_others(sharded_on_hub, hub_server):
    with engine.sources.open(sharded_on_hub) as source:
        before = hub_server.served_bytes()
        source.read_rows("model.embed_tokens.weight", 100, 150)
        assert hub_server.served_bytes() - before == 50 * 64 * 2


def test_a_view_of_a_few_rows_fetches_only_these(sharded_on_hub, hub_server):
    with engine.sources.open(sharded_on_hub) as source:
        before = hub_server.served_bytes()
        read_grid(source, source.info("lm_head.weight"), Viewport(10, 30, 0, 64))
        assert hub_server.served_bytes() - before == 20 * 64 * 4


def test_reading_everything_in_order_fetches_every_byte_once(sharded_on_hub, hub_server):
    with engine.sources.open(sharded_on_hub) as source:
        before, num_before = hub_server.served_bytes(), len(hub_server.requests)
        for info in source.infos():
            source.read(info.name)
            if info.shape:
                source.read_rows(info.name, 0, info.shape[0])
        assert hub_server.served_bytes() - before == source.num_bytes
        assert len(hub_server.requests) - num_before == 3  # small neighbours come together


def test_a_large_tensor_is_held_alone_and_let_go(hub_server, tmp_path, write_safetensors):
    arrays = {name: np.arange(WINDOW_BYTES // 4 + 10, dtype=np.float32) for name in ("a", "b")}
    hub_server.add("o/large", {"model.safetensors": write_safetensors(tmp_path / "model.safetensors", arrays)})
    with engine.sources.open("hf://o/large") as source:
        np.testing.assert_array_equal(source.read("a"), arrays["a"])
        assert source._window.data.nbytes == arrays["a"].nbytes
        held = []
        source.on_fetch = lambda _: held.append(source._window)
        np.testing.assert_array_equal(source.read("b"), arrays["b"])
        assert held and set(held) == {None}  # the first was let go before the second was fetched
        assert source._window.data.nbytes == arrays["b"].nbytes


def test_a_tensor_in_many_pieces_is_put_together(hub_server, tmp_path, write_safetensors, monkeypatch):
    monkeypatch.setattr("engine.sources.hub_ranges.PIECE_BYTES", 10_007)
    array = np.random.default_rng(1).integers(0, 256, size=(700, 301), dtype=np.uint8)
    hub_server.add("o/pieces", {"model.safetensors": write_safetensors(tmp_path / "model.safetensors", {"w": array})})
    with engine.sources.open("hf://o/pieces") as source:
        told = []
        source.on_fetch = told.append
        np.testing.assert_array_equal(source.read("w"), array)
        assert sum(told) == array.nbytes


def test_packed_types_are_cut_at_any_row(hub_server, tmp_path, write_raw):
    header = {}
    at = 0
    for name, dtype, bits in (("f4", "F4", 4), ("f6", "F6_E2M3", 6)):
        num_bytes = 9 * 4 * bits // 8
        header[name] = {"dtype": dtype, "shape": [9, 4], "data_offsets": [at, at + num_bytes]}
        at += num_bytes
    header["odd"] = {"dtype": "F4", "shape": [6, 5], "data_offsets": [at, at + 15]}
    data = np.random.default_rng(2).integers(0, 256, size=at + 15, dtype=np.uint8).tobytes()
    path = write_raw(tmp_path / "model.safetensors", header, data)
    hub_server.add("o/packed", {"model.safetensors": path})
    with engine.sources.open("hf://o/packed") as remote, engine.sources.open(path) as local:
        for name in header:
            for start in range(6):
                for stop in range(start, 7 if name != "odd" else 6):
                    expected = local.read_rows(name, start, stop)
                    np.testing.assert_array_equal(
                        remote.read_rows(name, start, stop).view(np.uint8), expected.view(np.uint8)
                    )
            np.testing.assert_array_equal(remote.read(name).view(np.uint8), local.read(name).view(np.uint8))


def test_impossible_rows_and_names_are_refused_without_a_request(sharded_on_hub, hub_server):
    with engine.sources.open(sharded_on_hub) as source:
        before = len(hub_server.requests)
        with pytest.raises(TensorNotFoundError, match="Did you mean"):
            source.read("model.norm.weigth")
        with pytest.raises(SourceError, match="rows 3 … 99999"):
            source.read_rows("lm_head.weight", 3, 99999)
        with pytest.raises(SourceError, match="scalar"):
            source.read_rows("scalar", 0, 1)
        assert len(hub_server.requests) == before


def test_a_revision_is_read_at_the_commit_it_had_when_it_was_opened(hub_server, tmp_path, write_safetensors):
    old = write_safetensors(tmp_path / "1.safetensors", {"w": np.zeros(5, np.float32)})
    new = write_safetensors(tmp_path / "2.safetensors", {"w": np.ones(5, np.float32)})
    first = hub_server.add("o/moving", {"model.safetensors": old})
    with engine.sources.open("hf://o/moving") as source:
        second = hub_server.add("o/moving", {"model.safetensors": new})
        np.testing.assert_array_equal(source.read("w"), np.zeros(5))
        assert source.fingerprint == first
    with engine.sources.open(f"hf://o/moving@{first}") as source:
        np.testing.assert_array_equal(source.read("w"), np.zeros(5))
    with engine.sources.open("hf://o/moving@main") as source:
        assert (source.fingerprint, source.uri) == (second, "hf://o/moving")
        np.testing.assert_array_equal(source.read("w"), np.ones(5))


def test_pull_requests_and_long_listings_are_read(hub_server, tmp_path, write_safetensors):
    hub_server.page_size = 7
    weights = write_safetensors(tmp_path / "model.safetensors", {"w": np.ones(5, np.float32)})
    extra = {f"notes-{i:03d}.txt": "x" for i in range(40)}
    hub_server.add("o/many", {"model.safetensors": weights} | extra, revision="refs/pr/3")
    with engine.sources.open("hf://o/many@refs/pr/3") as source:
        assert len(source.listing.files) == 41
        assert source.document("notes-007.txt") == b"x" and source.document("nothing.txt") is None


def test_a_file_whose_hash_the_hub_does_not_list_is_read_for_it(hub_server, tmp_path, write_safetensors, monkeypatch):
    monkeypatch.setattr("tests.hub.server.LARGE", ())
    path = write_safetensors(tmp_path / "model.safetensors", {"w": np.ones((50, 50), np.float32)})
    hub_server.add("o/plain", {"model.safetensors": path})
    with engine.sources.open("hf://o/plain") as remote, engine.sources.open(path) as local:
        counted = []
        assert remote.content_hash(counted.append) == local.content_hash()
        assert sum(counted) == path.stat().st_size


def test_hostile_headers_on_the_hub_are_refused_as_those_of_files(hub_server, tmp_path, write_raw):
    overlapping = {
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
    }
    whole = {"a": {"dtype": "F32", "shape": [1 << 20], "data_offsets": [0, 4 << 20]}}
    cases = {
        "huge": ((1 << 60).to_bytes(8, "little") + b"{}", MalformedHeaderError),
        "long": ((1 << 20).to_bytes(8, "little") + b"{}", TruncatedFileError),
        "short": (b"\x02\0\0", TruncatedFileError),
        "nothing": (b"", TruncatedFileError),
        "html": (b"<!DOCTYPE html><html>" * 9, MalformedHeaderError),
        "overlap": (write_raw(tmp_path / "1", overlapping, b"\0" * 12), SourceError),
        "cut": (write_raw(tmp_path / "2", whole, b"\0" * 100), TruncatedFileError),
    }
    for name, (data, error) in cases.items():
        hub_server.add(f"o/{name}", {"model.safetensors": data})
        before = hub_server.served_bytes()
        with pytest.raises(error, match=r"model\.safetensors"):
            engine.sources.open(f"hf://o/{name}")
        assert hub_server.served_bytes() - before < 1 << 20


def test_an_index_may_name_only_shards_that_are_there(hub_server, sharded):
    files = {path.name: path for path in sharded.iterdir()}
    hub_server.add("o/missing", {name: path for name, path in files.items() if "00002" not in name})
    with pytest.raises(SourceNotFoundError, match=r"model-00002-of-00003\.safetensors"):
        engine.sources.open("hf://o/missing")
    for shard in ("../../etc/passwd", "/etc/passwd", "https://elsewhere/x.safetensors"):
        index = f'{{"weight_map": {{"w": "{shard}"}}}}'
        hub_server.add("o/away", {"model.safetensors.index.json": index})
        with pytest.raises(SourceNotFoundError, match="not beside it"):
            engine.sources.open("hf://o/away")


def test_a_repository_without_safetensors_says_what_it_has(hub_server):
    hub_server.add("o/torch", {"pytorch_model.bin": b"x" * 10, "config.json": "{}"})
    with pytest.raises(UnsupportedFormatError, match=r"pytorch_model\.bin.*workflows download o/torch"):
        engine.sources.open("hf://o/torch")
    hub_server.add("o/pipeline", {"unet/model.safetensors": b"x", "vae/model.safetensors": b"x"})
    with pytest.raises(UnsupportedFormatError, match="unet, vae"):
        engine.sources.open("hf://o/pipeline")


@pytest.mark.parametrize("text", ["", "name", "a/b/c", "a/b@", "../b", "a/b@../../refs", "a b/c", "https://x/y/z"])
def test_what_is_no_name_is_refused_without_a_request(text, hub_server):
    with pytest.raises(SourceNotFoundError):
        engine.sources.open(f"hf://{text}")
    assert not hub_server.requests


def test_names_are_equal_for_equal_models():
    names = {HubName.parse(text).uri for text in ("o/n", "hf://o/n", "o/n@main", "hf://o/n@main")}
    assert names == {"hf://o/n"}
    assert HubName.parse("hf://o/n@refs/pr/1") == HubName("o/n", "refs/pr/1")


@pytest.mark.parametrize(
    "names",
    [
        ["model.safetensors", "model.fp16.safetensors", "pytorch_model.bin"],
        ["model.safetensors", "model.safetensors.index.json", "model-00001-of-00001.safetensors"],
        ["consolidated.safetensors", "model-00001-of-00001.safetensors", "model.safetensors.index.json"],
        ["part-1.safetensors", "part-2.safetensors"],
        ["adapter_model.safetensors", "training_args.bin"],
    ],
)
def test_the_same_files_are_chosen_on_the_hub_as_in_a_folder(names, hub_server, tmp_path, write_safetensors):
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, name in enumerate(names):
        if name.endswith(".json"):
            (folder / name).write_text('{"weight_map": {"w1": "model-00001-of-00001.safetensors"}}')
        elif name.endswith(".safetensors"):
            number = 1 if "of-00001" in name else number
            write_safetensors(folder / name, {f"w{number}": np.ones(number + 1, np.float32)})
        else:
            (folder / name).write_bytes(b"x")
    hub_server.add("o/choice", {path.name: path for path in folder.iterdir()})
    with engine.sources.open("hf://o/choice") as remote, engine.sources.open(folder) as local:
        assert remote.infos() == local.infos()


def test_hidden_files_and_folders_hold_no_weights():
    assert weight_files([".model.safetensors", "onnx/model.safetensors", "model.onnx"], "safetensors") == []
