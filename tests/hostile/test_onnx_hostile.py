"""ONNX files that lie: each gives its named error with a hint, in bounded memory, and no other file is touched."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from engine.errors import (
    MalformedHeaderError,
    SourceError,
    SourceNotFoundError,
    TensorLayoutError,
    TruncatedFileError,
    UnsafePathError,
    UnsupportedFormatError,
)
from engine.sources import open as open_source
from engine.sources.onnx_wire import MAX_FIELDS
from tests.engine.sources.writers import onnx_model
from tests.hostile.mutations import FUZZ, mutated, open_and_read_all

MIB = 1 << 20
FLOAT = TensorProto.FLOAT


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content % 2**64)
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name: str | bytes = b"a", dims=(4,), kind=FLOAT, data: bytes = field(9, bytes(16))) -> bytes:
    name = name if isinstance(name, bytes) else name.encode()
    return b"".join(field(1, n) for n in dims) + field(2, kind) + field(8, name) + data


def model(*initializers: bytes, graph: bytes = b"") -> bytes:
    return field(1, 8) + field(7, b"".join(field(5, item) for item in initializers) + graph)


def nested(depth: int) -> bytes:
    """A graph in a node in a graph …"""
    inner = b""
    for _ in range(depth):
        inner = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, inner)))
    return inner


TYPED = b"".join(varint(5 << 3) + varint(1) for _ in range(4))

FILES = {
    "nothing": (b"", UnsupportedFormatError),
    "text": (b"hello world, this is text", MalformedHeaderError),
    "no graph": (field(1, 8) + field(2, b"pytorch"), UnsupportedFormatError),
    "a graph that is a number": (field(7, 5), UnsupportedFormatError),
    "graph longer than the file": (field(1, 8) + b"\x3a\xff\x01", TruncatedFileError),
    "graph of 2**63 bytes": (field(1, 8) + b"\x3a" + varint(2**63) + bytes(50), TruncatedFileError),
    "tensor longer than its graph": (
        field(1, 8) + field(7, b"\x2a\x7f" + bytes(5)) + field(6, bytes(200)),
        TruncatedFileError,
    ),
    "a number without end": (b"\x08" + b"\xff" * 30, MalformedHeaderError),
    "a number cut short": (field(7, b"") + b"\x08\xff", TruncatedFileError),
    "field number 0": (field(7, b"\x02\x00"), MalformedHeaderError),
    "field number 2**40": (field(7, varint(2**40 << 3 | 2) + b"\x00"), MalformedHeaderError),
    "a group": (field(7, b"\x0b\x0c"), MalformedHeaderError),
    "wire type 7": (field(7, b"\x0f"), MalformedHeaderError),
    "graphs 100 deep": (model(graph=nested(100)), MalformedHeaderError),
    "no name": (model(tensor(b"")), MalformedHeaderError),
    "name twice": (model(tensor(), tensor()), MalformedHeaderError),
    "name with a zero byte": (model(tensor("a\0b")), MalformedHeaderError),
    "name with terminal codes": (model(tensor("a\x1b[31m")), MalformedHeaderError),
    "name not UTF-8": (model(tensor(b"\xff\xfe")), MalformedHeaderError),
    "name of 5000 characters": (model(tensor("n" * 5000)), MalformedHeaderError),
    "node name not UTF-8": (
        model(graph=field(1, field(3, b"\xff") + field(5, field(1, b"body") + field(6, field(5, tensor()))))),
        MalformedHeaderError,
    ),
    "33 dimensions": (model(tensor(dims=(1,) * 33)), TensorLayoutError),
    "a negative dimension": (model(tensor(dims=(-4,))), TensorLayoutError),
    "two negative dimensions": (model(tensor(dims=(-2, -2))), TensorLayoutError),
    "size overflows": (model(tensor(dims=(2**62, 4))), TensorLayoutError),
    "size overflows to nothing": (model(tensor(dims=(2**32, 2**32))), TensorLayoutError),
    "empty but of endless width": (model(tensor(dims=(0, 2**62, 2**62))), TensorLayoutError),
    "larger than its data": (model(tensor(dims=(5,))), TensorLayoutError),
    "smaller than its data": (model(tensor(dims=(3,))), TensorLayoutError),
    "no data": (model(tensor(data=b"")), TensorLayoutError),
    "a terabyte of typed data": (model(tensor(dims=(2**40,), kind=6, data=field(5, b"\x01" * 4))), TensorLayoutError),
    "typed data too short": (model(tensor(kind=6, data=field(5, b"\x01" * 3))), TensorLayoutError),
    "typed data too long": (model(tensor(kind=6, data=field(5, b"\x01" * 5))), TensorLayoutError),
    "typed data in the wrong field": (model(tensor(kind=6, data=field(7, b"\x01" * 4))), TensorLayoutError),
    "half a float": (model(tensor(dims=(1,), data=field(4, b"\x01\x02"))), TensorLayoutError),
    "an unknown element type": (model(tensor(kind=99)), UnsupportedFormatError),
    "the undefined element type": (model(tensor(kind=0)), UnsupportedFormatError),
    "segments": (model(tensor(data=field(3, field(1, 0) + field(2, 4)) + field(9, bytes(16)))), UnsupportedFormatError),
}


@pytest.mark.parametrize("name", FILES)
def test_a_lying_file_gives_its_named_error(name, tmp_path):
    content, expected = FILES[name]
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "x.onnx")
    error = caught.value
    assert type(error) is expected, error
    assert "x.onnx" in error.message and error.hint
    assert len(str(error)) < 1000 and str(error).isprintable()


def test_the_good_files_of_these_tests_open(tmp_path):
    good = [
        model(tensor()),
        model(tensor(kind=6, data=TYPED)),
        model(tensor(dims=(0,), data=b"")),
        model(graph=nested(10)),
    ]
    assert all(open_and_read_all(tmp_path / "x.onnx", content) for content in good)


def test_typed_data_that_the_package_cannot_decode_is_named_on_reading(tmp_path):
    endless = field(5, (b"\xff" * 10 + b"\x01") * 4)  # four numbers of eleven bytes
    (tmp_path / "x.onnx").write_bytes(model(tensor(kind=6, data=endless)))
    with pytest.raises(SourceError) as caught, open_source(tmp_path / "x.onnx") as source:
        source.read("a")
    assert isinstance(caught.value, MalformedHeaderError) and caught.value.hint


def test_every_cut_of_a_good_file_is_an_error(tmp_path):
    arrays = {"a": np.ones((2, 3), np.float32), "b": np.ones(5, np.int8)}
    whole = onnx_model([numpy_helper.from_array(array, name) for name, array in arrays.items()]).SerializeToString()
    opset = whole.rindex(b"\x42")  # after the graph come only the operator sets
    assert open_and_read_all(tmp_path / "x.onnx", whole)
    for length in range(opset):
        assert not open_and_read_all(tmp_path / "x.onnx", whole[:length])


def external(path, **said) -> None:
    """A model whose one tensor says this of its external data."""
    proto = TensorProto(name="a", dims=[4], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    for name, value in said.items():
        proto.external_data.add(key=name, value=value)
    path.write_bytes(onnx_model([proto]).SerializeToString())


@pytest.mark.parametrize(
    "location",
    [
        *("../secret", "../../secret", "a/../../secret", "/etc/hostname", "//etc/hostname", "..", ".", ""),
        *("..\\secret", "C:\\secret", "C:secret", "a/./b", "a//b", " secret", "data ", "n" * 5000, "a\0b", "a\x1b[31m"),
        *("././../secret", "./../secret", "http://example.org/x", "data?x", "*"),
    ],
)
def test_external_data_outside_the_folder_is_refused(location, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(16))
    (tmp_path / "model").mkdir()
    external(tmp_path / "model" / "x.onnx", location=location)
    with pytest.raises(UnsafePathError) as caught:
        open_source(tmp_path / "model" / "x.onnx")
    assert caught.value.hint and str(caught.value).isprintable()


def test_external_data_through_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(16))
    (tmp_path / "model").mkdir()
    try:
        (tmp_path / "model" / "data").symlink_to(tmp_path / "secret")
        (tmp_path / "model" / "loop").symlink_to(tmp_path / "model" / "loop")
    except OSError:
        pytest.skip("no links here")
    external(tmp_path / "model" / "x.onnx", location="data")
    with pytest.raises(UnsafePathError, match="out of its folder"):
        open_source(tmp_path / "model" / "x.onnx")
    external(tmp_path / "model" / "x.onnx", location="loop")
    with pytest.raises(SourceError):
        open_source(tmp_path / "model" / "x.onnx")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"location": "missing"}, SourceNotFoundError),
        ({"location": "folder"}, SourceNotFoundError),
        ({}, UnsafePathError),
        ({"location": "data", "offset": "-16"}, MalformedHeaderError),
        ({"location": "data", "offset": "1e3"}, MalformedHeaderError),
        ({"location": "data", "offset": "9" * 5000}, MalformedHeaderError),
        ({"location": "data", "offset": "٣"}, MalformedHeaderError),
        ({"location": "data", "offset": "many"}, MalformedHeaderError),
        ({"location": "data", "length": "-1"}, MalformedHeaderError),
        ({"location": "data", "offset": "1"}, TruncatedFileError),
        ({"location": "data", "offset": str(10**17)}, TruncatedFileError),
        ({"location": "data", "length": "15"}, TensorLayoutError),
        ({"location": "data", "length": str(2**59)}, TensorLayoutError),
    ],
)
def test_external_data_that_lies_is_refused(said, expected, tmp_path):
    (tmp_path / "data").write_bytes(bytes(16))
    (tmp_path / "folder").mkdir()
    external(tmp_path / "x.onnx", **said)
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "x.onnx")
    assert type(caught.value) is expected, caught.value
    assert caught.value.hint and str(caught.value).isprintable() and len(str(caught.value)) < 1000


def test_unknown_keys_of_external_data_are_ignored_without_a_word(tmp_path, recwarn):
    (tmp_path / "data").write_bytes(struct.pack("<4f", 1, 2, 3, 4))
    external(tmp_path / "x.onnx", location="data", length="16", offset="0", checksum="00", **{"__class__": "x"})
    assert open_source(tmp_path / "x.onnx").read("a").tolist() == [1, 2, 3, 4]
    assert not recwarn.list


BOMBS = {
    "fields": field(7, field(13, b"") * (5 * MIB)),
    "nodes": field(7, field(1, b"") * (5 * MIB)),
    "dimensions": field(7, field(5, field(1, 1) * (5 * MIB))),
    "a name": field(7, field(5, field(8, b"n" * (20 * MIB)))),
    "a long text around the graph": field(6, b"x" * (20 * MIB)) + field(7, b""),
    "typed numbers one by one": field(7, field(5, tensor(kind=6, data=TYPED * (2 * MIB)))),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_quickly_in_bounded_memory(name, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.sources.onnx_wire.MAX_FIELDS", MAX_FIELDS // 8)
    path = tmp_path / "x.onnx"
    path.write_bytes(BOMBS[name])
    open_and_read_all(tmp_path / "y.onnx", model(tensor()))  # the package is imported before memory is watched
    tracemalloc.start()
    try:
        with pytest.raises(SourceError) as caught:
            open_source(path)
        assert isinstance(caught.value, MalformedHeaderError | TensorLayoutError) and caught.value.hint
        assert tracemalloc.get_traced_memory()[1] < 160 * MIB
    finally:
        tracemalloc.stop()


def test_a_large_initializer_costs_no_memory(tmp_path):
    """Two gigabytes of a sparse file: the most that a protobuf can hold."""
    size = (1 << 31) - 4096
    head = field(1, 1) + field(1, size // 4) + field(2, FLOAT) + field(8, b"w") + varint(9 << 3 | 2) + varint(size)
    graph = varint(5 << 3 | 2) + varint(len(head) + size) + head
    whole = field(1, 8) + varint(7 << 3 | 2) + varint(len(graph) + size) + graph
    path = tmp_path / "x.onnx"
    path.write_bytes(whole)
    with path.open("r+b") as file:
        file.truncate(len(whole) + size)
    tracemalloc.start()
    try:
        with open_source(path) as source:
            assert source.info("w").shape == (1, size // 4) and source.info("w").stop == path.stat().st_size
            assert not source.read("w")[0, -1000:].any()
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def valid() -> list[bytes]:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(3, dtype=np.int8)}
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    initializers.append(helper.make_tensor("typed", TensorProto.FLOAT16, [3], [1, 2, 3]))
    initializers.append(helper.make_tensor("packed", TensorProto.INT4, [3], [1, 2, -3]))
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(64, np.float32)))
    body = helper.make_graph([constant], "body", [], [], initializers[:1])
    nodes = [constant, helper.make_node("If", ["x"], ["y"], name="if", then_branch=body, else_branch=body)]
    return [onnx_model(initializers, nodes).SerializeToString(), onnx_model(initializers[2:]).SerializeToString()]


VALID = valid()


def test_the_files_to_mutate_are_good(tmp_path):
    assert all(open_and_read_all(tmp_path / "x.onnx", content) for content in VALID)


@FUZZ
@given(mutated(VALID))
def test_a_valid_file_with_some_bytes_changed(tmp_path_factory, content):
    open_and_read_all(tmp_path_factory.getbasetemp() / "fuzz.onnx", content)


@FUZZ
@given(st.binary(max_size=200))
def test_random_bytes_as_a_graph(tmp_path_factory, content):
    open_and_read_all(tmp_path_factory.getbasetemp() / "random.onnx", field(1, 8) + field(7, content))


@FUZZ
@given(
    st.binary(max_size=60),
    st.lists(st.integers(-1, 9), max_size=4),
    st.integers(0, 30),
    st.sampled_from([4, 5, 7, 9, 10, 11]),
)
def test_any_tensor_opens_as_the_package_would_read_it_or_is_refused(tmp_path_factory, data, dims, kind, number):
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    content = tensor(dims=dims, kind=kind, data=field(number, data))
    if open_and_read_all(path, model(content)):
        try:
            expected = numpy_helper.to_array(onnx.TensorProto.FromString(content))
        except (ValueError, TypeError, DecodeError):  # texts, and data in a field that the type does not use
            return
        with open_source(path) as source:
            for info in source.infos():
                assert source.read(info.name).tobytes() == expected.tobytes()
