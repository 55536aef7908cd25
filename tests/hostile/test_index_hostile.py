"""Index files that lie or point elsewhere, and random ones."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import MalformedHeaderError, SourceError, SourceNotFoundError, UnsafePathError
from engine.sources import open as open_source


@pytest.fixture
def index(tmp_path, write_safetensors):
    write_safetensors(tmp_path / "outside.safetensors", {"a": np.zeros(1)})
    write_safetensors(tmp_path / "model" / "inside.safetensors", {"a": np.zeros(1)})
    return tmp_path / "model" / "model.safetensors.index.json"


def refuse(path, expected: type[SourceError]) -> SourceError:
    with pytest.raises(expected) as caught:
        open_source(path)
    assert type(caught.value) is expected
    assert path.name in caught.value.message and caught.value.hint and str(caught.value).isprintable()
    return caught.value


def test_the_good_index_opens(index, write_index):
    for name in ("inside.safetensors",):
        assert len(open_source(write_index(index, {"a": name})).infos()) == 1


UNSAFE = [
    *("../outside.safetensors", "../../etc/passwd", "/etc/passwd", "./inside.safetensors", "x/../inside.safetensors"),
    *("..\\outside.safetensors", "C:\\weights.bin", "C:weights.bin", "\\\\server\\share", "//server/share", "~/x\\"),
    *("", ".", "..", "/", "a//b", "inside.safetensors/", "inside.safetensors\0", "in\nside", " inside.safetensors"),
    *("inside.safetensors ", "a?b", "file:///etc/passwd", "inside.safetensors:stream", "..\u0000/x", "x/" * 3000 + "y"),
]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_name_that_is_not_plain_is_unsafe(name, index, write_index):
    with pytest.raises((UnsafePathError, SourceNotFoundError)) as caught:
        open_source(write_index(index, {"a": name}))
    if name != "x/" * 3000 + "y":
        assert type(caught.value) is UnsafePathError
    assert caught.value.hint


def test_an_absolute_name_is_unsafe_even_of_the_right_file(index, write_index):
    refuse(write_index(index, {"a": str(index.parent / "inside.safetensors")}), UnsafePathError)


def test_a_link_out_of_the_folder_is_unsafe_and_one_inside_is_not(index, write_index):
    (index.parent / "link.safetensors").symlink_to(index.parent.parent / "outside.safetensors")
    refuse(write_index(index, {"a": "link.safetensors"}), UnsafePathError)
    (index.parent / "folder").symlink_to(index.parent.parent)
    refuse(write_index(index, {"a": "folder/outside.safetensors"}), UnsafePathError)
    (index.parent / "near.safetensors").symlink_to("inside.safetensors")
    assert len(open_source(write_index(index, {"a": "near.safetensors"})).infos()) == 1
    (index.parent / "loop.safetensors").symlink_to("loop.safetensors")
    with pytest.raises(SourceError):
        open_source(write_index(index, {"a": "loop.safetensors"}))


def test_a_folder_that_only_looks_like_a_hub_cache_opens_no_other_door(tmp_path, index, write_index):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "rev"
    shutil.copytree(index.parent, snapshot)
    (snapshot / "link.safetensors").symlink_to(tmp_path / "outside.safetensors")
    refuse(write_index(snapshot / index.name, {"a": "link.safetensors"}), UnsafePathError)


def test_a_folder_or_a_device_as_shard_is_refused(index, write_index):
    (index.parent / "folder.safetensors").mkdir()
    refuse(write_index(index, {"a": "folder.safetensors"}), SourceNotFoundError)
    if hasattr(os, "mkfifo"):
        os.mkfifo(index.parent / "pipe.safetensors")
        refuse(write_index(index, {"a": "pipe.safetensors"}), SourceNotFoundError)
        with pytest.raises(SourceError):
            open_source(index.parent / "pipe.safetensors")


BROKEN = {
    "nothing": b"",
    "not JSON": b"{weight_map}",
    "a list": b"[]",
    "no map": b"{}",
    "map is a list": b'{"weight_map": ["a"]}',
    "map is empty": b'{"weight_map": {}}',
    "file is a number": b'{"weight_map": {"a": 1}}',
    "file is null": b'{"weight_map": {"a": null}}',
    "name twice": b'{"weight_map": {"a": "inside.safetensors", "a": "inside.safetensors"}}',
    "map twice": b'{"weight_map": {"a": "inside.safetensors"}, "weight_map": {}}',
    "not UTF-8": b'{"weight_map": {"\xff": "inside.safetensors"}}',
    "half a character": b'{"weight_map": {"\\ud800": "inside.safetensors"}}',
    "control characters": b'{"weight_map": {"a\\u0000": "inside.safetensors"}}',
    "deep": b'{"weight_map":' + b"[" * 100_000,
    "deep and closed": b'{"weight_map":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "endless number": b'{"weight_map": ' + b"9" * 100_000 + b"}",
    "too many items": b'{"weight_map": [' + b"0," * 1_000_001 + b"0]}",
    "too long": b'{"weight_map": {}' + b" " * 64_000_000 + b"}",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_index_is_malformed(name, index):
    index.write_bytes(BROKEN[name])
    tracemalloc.start()
    try:
        refuse(index, MalformedHeaderError)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(BROKEN[name]) + (16 << 20)
    finally:
        tracemalloc.stop()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(UNSAFE),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)
documents = values | st.fixed_dictionaries(
    {"weight_map": values | st.dictionaries(st.text(max_size=3) | st.just("a"), values | st.just("inside.safetensors"))}
)
fuzz = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def open_or_refuse(index, content: bytes) -> None:
    index.write_bytes(content)
    try:
        with open_source(index) as source:
            assert [info.name for info in source.infos()] == ["a"]
            assert [file.name for file in source.files] == ["inside.safetensors"]
    except SourceError as error:
        assert error.message and error.hint


@fuzz
@given(documents)
def test_any_json_as_index_opens_or_is_refused(index, document):
    open_or_refuse(index, json.dumps(document).encode())


@fuzz
@given(st.data())
def test_a_good_index_with_bytes_changed_opens_or_is_refused(index, data):
    content = bytearray(b'{"metadata": {"total_size": 8}, "weight_map": {"a": "inside.safetensors"}}')
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"../", b"/"])
        )
    open_or_refuse(index, bytes(content))
