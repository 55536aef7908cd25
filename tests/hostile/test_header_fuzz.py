"""Random and mutated headers: a valid opening or a SourceError, and never what the library would not accept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.dtypes import ELEMENT_TYPES
from engine.errors import SourceError
from engine.sources import open as open_source

fuzz = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))

PIECES = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"0", b"1", b"-1", b"4", b"1e3", b"null", b"true"),
    *(b'"dtype"', b'"shape"', b'"data_offsets"', b'"F32"', b'"F4"', b'"BOOL"', b'"a"', b'"b"', b"[0,4]", b"[]", b"[1]"),
    *(b'"__metadata__"', b'"\\u0000"', b"\xff", b"NaN", b"99999999999999999999", b'"\\ud800"', "é".encode()),
    b'"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}',
]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "x.safetensors"


def open_like_the_library(path: Path, content: bytes) -> None:
    """Opens and reads everything; whatever we accept, the library must accept and read as the same."""
    path.write_bytes(content)
    try:
        source = open_source(path)
    except SourceError as error:
        assert error.message and error.hint
        return
    with source:
        expected = dict(safetensors.deserialize(content))
        assert {info.name for info in source.infos()} == set(expected)
        for info in source.infos():
            theirs = expected[info.name]
            assert (info.dtype, list(info.shape)) == (theirs["dtype"], theirs["shape"])
            assert content[info.start : info.stop] == bytes(theirs["data"])
            assert source.read(info.name).shape == info.shape


def framed(header: bytes, data: bytes = b"data") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


@fuzz
@given(st.binary(max_size=200))
@example(b"")
def test_random_bytes(path, content):
    open_like_the_library(path, content)


@fuzz
@given(st.binary(max_size=200), st.binary(max_size=8))
def test_a_random_header_of_the_right_length(path, header, data):
    open_like_the_library(path, framed(b"{" + header, data))


@fuzz
@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_a_header_of_pieces_of_headers(path, pieces):
    open_like_the_library(path, framed(b"{" + b"".join(pieces)))


VALID = framed(
    json.dumps(
        {
            "__metadata__": {"format": "pt", "é": "\\ \u0001"},
            "a.weight": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
            "packed": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [8, 11]},
            "none": {"dtype": "I64", "shape": [0, 3], "data_offsets": [11, 11]},
            "scalar": {"dtype": "BF16", "shape": [], "data_offsets": [11, 13]},
        }
    ).encode(),
    bytes(range(13)),
)


@fuzz
@given(st.data())
def test_a_valid_file_with_some_bytes_changed_dropped_or_added(path, data):
    content = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["set", "flip", "drop", "insert", "copy"]))
        if kind == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "drop":
            del content[at : at + data.draw(st.integers(1, 20))]
        elif kind == "insert":
            content[at:at] = data.draw(st.sampled_from(PIECES))
        else:
            content[at:at] = content[at : at + data.draw(st.integers(1, 60))]
        if not content:
            break
    if data.draw(st.booleans()) and len(content) > 8 + 13:
        content[:8] = (len(content) - 8 - 13).to_bytes(8, "little")
    open_like_the_library(path, bytes(content))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["F32", "F4"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*ELEMENT_TYPES, "f32"]) | values,
        "shape": st.lists(st.integers(0, 5), max_size=4) | values,
        "data_offsets": st.lists(st.integers(0, 40), min_size=2, max_size=2).map(sorted) | values,
        "more": values,
    },
)


@fuzz
@given(
    st.dictionaries(st.text(max_size=4) | st.just("__metadata__"), entries | values, max_size=4), st.binary(max_size=40)
)
def test_any_json_object_as_header(path, header, data):
    open_like_the_library(path, framed(json.dumps(header).encode(), data))


@fuzz
@given(
    st.lists(st.tuples(st.sampled_from(sorted(ELEMENT_TYPES)), st.lists(st.integers(0, 4), max_size=5)), max_size=6),
    st.randoms(),
)
def test_every_consistent_header_is_accepted(path, tensors, random):
    header, at = {}, 0
    for number, (dtype, shape) in enumerate(tensors):
        bits = int(np.prod(shape, dtype=int)) * ELEMENT_TYPES[dtype].bits
        if bits % 8:
            continue
        header[f"t{number}"] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + bits // 8]}
        at += bits // 8
    names = list(header)
    random.shuffle(names)
    content = framed(json.dumps({name: header[name] for name in names}).encode(), random.randbytes(at))
    path.write_bytes(content)
    with open_source(path) as source:
        assert {info.name for info in source.infos()} == set(names)
    open_like_the_library(path, content)
