"""Safetensors files that lie: each gives its named error with a hint, in bounded memory."""

from __future__ import annotations

import json
import tracemalloc

import pytest
import safetensors

from engine.errors import MalformedHeaderError, SourceError, TensorLayoutError, TruncatedFileError
from engine.sources import open as open_source

MIB = 1 << 20


def entry(dtype="U8", shape=(4,), offsets=(0, 4)) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def text(name: str, value: str) -> bytes:
    """A header of one entry, written out by hand."""
    return b'{"%s":%s}' % (name.encode("utf-8", "surrogatepass"), value.encode())


GOOD = '{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'

HEADERS = {
    "no closing brace": (b'{"a":' + GOOD.encode(), MalformedHeaderError),
    "not JSON": (b"{hello}", MalformedHeaderError),
    "an array": (b"[1, 2, 3]", MalformedHeaderError),
    "comma at the end": (b'{"a":' + GOOD.encode() + b",}", MalformedHeaderError),
    "something after the end": (b'{"a":' + GOOD.encode() + b"}x", MalformedHeaderError),
    "two objects": (b'{"a":' + GOOD.encode() + b"}{}", MalformedHeaderError),
    "a comment": (b'{/**/"a":' + GOOD.encode() + b"}", MalformedHeaderError),
    "name twice": (b'{"a":%s,"a":%s}' % (GOOD.encode(), GOOD.encode()), MalformedHeaderError),
    "name twice, once escaped": (b'{"a":%s,"\\u0061":%s}' % (GOOD.encode(), GOOD.encode()), MalformedHeaderError),
    "metadata twice": (b'{"__metadata__":{},"__metadata__":{},"a":%s}' % GOOD.encode(), MalformedHeaderError),
    "metadata key twice": (b'{"__metadata__":{"k":"1","k":"2"},"a":%s}' % GOOD.encode(), MalformedHeaderError),
    "metadata of numbers": (b'{"__metadata__":{"k":1},"a":%s}' % GOOD.encode(), MalformedHeaderError),
    "metadata as list": (b'{"__metadata__":[],"a":%s}' % GOOD.encode(), MalformedHeaderError),
    "metadata nested": (b'{"__metadata__":{"k":{}},"a":%s}' % GOOD.encode(), MalformedHeaderError),
    "key twice": (text("a", '{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}'), MalformedHeaderError),
    "key missing": (text("a", '{"dtype":"U8","shape":[4]}'), MalformedHeaderError),
    "key unknown": (text("a", GOOD[:-1] + ',"strides":[1]}'), MalformedHeaderError),
    "entry is a number": (text("a", "7"), MalformedHeaderError),
    "entry is null": (text("a", "null"), MalformedHeaderError),
    "type unknown": (json.dumps({"a": entry("F7")}).encode(), MalformedHeaderError),
    "type is a number": (text("a", '{"dtype":8,"shape":[4],"data_offsets":[0,4]}'), MalformedHeaderError),
    "type in lower case": (json.dumps({"a": entry("u8")}).encode(), MalformedHeaderError),
    "type is a list": (text("a", '{"dtype":["U8"],"shape":[4],"data_offsets":[0,4]}'), MalformedHeaderError),
    "shape is a number": (text("a", '{"dtype":"U8","shape":4,"data_offsets":[0,4]}'), MalformedHeaderError),
    "shape of truth": (text("a", '{"dtype":"U8","shape":[true],"data_offsets":[0,4]}'), MalformedHeaderError),
    "shape of fractions": (text("a", '{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}'), MalformedHeaderError),
    "shape of text": (text("a", '{"dtype":"U8","shape":["4"],"data_offsets":[0,4]}'), MalformedHeaderError),
    "shape nested": (text("a", '{"dtype":"U8","shape":[[4]],"data_offsets":[0,4]}'), MalformedHeaderError),
    "shape negative": (text("a", '{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}'), MalformedHeaderError),
    "shape minus zero": (text("a", '{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}'), MalformedHeaderError),
    "shape not a number": (text("a", '{"dtype":"U8","shape":[NaN],"data_offsets":[0,4]}'), MalformedHeaderError),
    "shape infinite": (text("a", '{"dtype":"U8","shape":[Infinity],"data_offsets":[0,4]}'), MalformedHeaderError),
    "shape of 5000 digits": (
        text("a", '{"dtype":"U8","shape":[%s],"data_offsets":[0,4]}' % ("9" * 5000)),
        MalformedHeaderError,
    ),
    "33 dimensions": (json.dumps({"a": entry(shape=[1] * 32 + [4])}).encode(), MalformedHeaderError),
    "a million dimensions": (json.dumps({"a": entry(shape=[1] * 1_000_000)}).encode(), MalformedHeaderError),
    "one offset": (text("a", '{"dtype":"U8","shape":[4],"data_offsets":[0]}'), MalformedHeaderError),
    "offsets of fractions": (text("a", '{"dtype":"U8","shape":[4],"data_offsets":[0,4e0]}'), MalformedHeaderError),
    "offsets negative": (text("a", '{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}'), MalformedHeaderError),
    "offsets swapped": (json.dumps({"a": entry(offsets=(4, 0))}).encode(), TensorLayoutError),
    "offsets out of the file": (json.dumps({"a": entry(shape=[9], offsets=(0, 9))}).encode(), TruncatedFileError),
    "offsets beyond the file": (json.dumps({"a": entry(offsets=(100, 104))}).encode(), TensorLayoutError),
    "offsets of 2**64": (
        json.dumps({"a": entry(shape=[2**64], offsets=(0, 2**64))}).encode(),
        MalformedHeaderError,
    ),
    "overlap": (json.dumps({"a": entry(offsets=(0, 4)), "b": entry(offsets=(0, 4))}).encode(), TensorLayoutError),
    "half an overlap": (
        json.dumps({"a": entry(offsets=(0, 4)), "b": entry(shape=[2], offsets=(2, 4))}).encode(),
        TensorLayoutError,
    ),
    "hole": (
        json.dumps({"a": entry(shape=[1], offsets=(0, 1)), "b": entry(shape=[2], offsets=(2, 4))}).encode(),
        TensorLayoutError,
    ),
    "hole at the start": (json.dumps({"a": entry(shape=[3], offsets=(1, 4))}).encode(), TensorLayoutError),
    "bytes that nobody claims": (json.dumps({"a": entry(shape=[3], offsets=(0, 3))}).encode(), TensorLayoutError),
    "shape larger than its bytes": (json.dumps({"a": entry(shape=[5])}).encode(), TensorLayoutError),
    "shape smaller than its bytes": (json.dumps({"a": entry(shape=[0])}).encode(), TensorLayoutError),
    "type wider than its bytes": (json.dumps({"a": entry("F32")}).encode(), TensorLayoutError),
    "half a byte": (json.dumps({"a": entry("F4", [7])}).encode(), TensorLayoutError),
    "size overflows": (json.dumps({"a": entry("F64", [2**31, 2**31, 2**31])}).encode(), TensorLayoutError),
    "size overflows to nothing": (json.dumps({"a": entry("U8", [2**62, 4])}).encode(), TensorLayoutError),
    "empty but of endless width": (
        json.dumps({"a": entry("U8", [0, 2**62, 2**62], (0, 0))}).encode(),
        TensorLayoutError,
    ),
    "name with zero byte": (text("a\\u0000b", GOOD), MalformedHeaderError),
    "name with raw newline": (text("a\nb", GOOD), MalformedHeaderError),
    "name with terminal codes": (text("a\\u001b[31m", GOOD), MalformedHeaderError),
    "name with half a character": (text("\\ud800", GOOD), MalformedHeaderError),
    "name not UTF-8": (b'{"\xff\xfe":' + GOOD.encode() + b"}", MalformedHeaderError),
    "surrogates in UTF-8": (text("\ud800", GOOD), MalformedHeaderError),
    "bad escape": (text("\\x41", GOOD), MalformedHeaderError),
    "name of 5000 characters": (text("n" * 5000, GOOD), MalformedHeaderError),
    "name of a megabyte": (text("n" * MIB, GOOD), MalformedHeaderError),
    "entry not UTF-8": (b'{"a":{"dtype":"\xff","shape":[4],"data_offsets":[0,4]}}', MalformedHeaderError),
    "deep lists": (text("a", "[" * 200_000 + "]" * 200_000), MalformedHeaderError),
    "deep lists in a shape": (
        text("a", '{"dtype":"U8","data_offsets":[0,4],"shape":' + "[" * 200_000),
        MalformedHeaderError,
    ),
    "deep objects": (b'{"a":' * 200_000 + b"}" * 200_000, MalformedHeaderError),
    "deep metadata": (b'{"__metadata__":' + b'{"a":' * 100_000, MalformedHeaderError),
    "byte order mark": (b"\xef\xbb\xbf{}", MalformedHeaderError),
    "UTF-16": ("{}".encode("utf-16"), MalformedHeaderError),
    "only spaces": (b" " * 100, MalformedHeaderError),
    "space before the brace": (b' {"a":' + GOOD.encode() + b"}", MalformedHeaderError),
    "nothing": (b"", MalformedHeaderError),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_lying_header_gives_its_named_error(name, tmp_path, write_raw):
    header, expected = HEADERS[name]
    path = write_raw(tmp_path / "x.safetensors", header, b"data")
    with pytest.raises(expected) as caught:
        open_source(path)
    error = caught.value
    assert type(error) is expected
    assert "x.safetensors" in error.message and error.hint
    assert len(str(error)) < 1000 and str(error).isprintable()


STRICTER_THAN_THE_LIBRARY = {
    *("key unknown", "33 dimensions", "a million dimensions", "name of 5000 characters", "name of a megabyte"),
    *("name with zero byte", "name with terminal codes", "empty but of endless width", "metadata twice"),
    *("name twice", "name twice, once escaped", "metadata key twice", "key twice", "space before the brace"),
}
"""The library takes these, or some of them."""


@pytest.mark.parametrize("name", sorted(set(HEADERS) - STRICTER_THAN_THE_LIBRARY))
def test_the_library_refuses_the_same_header(name):
    header, _ = HEADERS[name]
    with pytest.raises(safetensors.SafetensorError):
        safetensors.deserialize(len(header).to_bytes(8, "little") + header + b"data")


@pytest.mark.parametrize("length", range(9))
def test_a_file_too_short_for_its_length_is_truncated(length, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\x20\0\0\0\0\0\0\0{"[:length])
    with pytest.raises(TruncatedFileError) as caught:
        open_source(path)
    assert caught.value.hint


def test_every_cut_of_a_good_file_is_an_error(tmp_path, write_raw):
    header = {"a": entry(), "b": entry("F16", (2, 2), (4, 12))}
    whole = write_raw(tmp_path / "x.safetensors", header, bytes(12)).read_bytes()
    open_source(tmp_path / "x.safetensors")
    for length in range(len(whole)):
        (tmp_path / "x.safetensors").write_bytes(whole[:length])
        with pytest.raises(SourceError) as caught:
            open_source(tmp_path / "x.safetensors")
        assert caught.value.hint
        assert isinstance(caught.value, TruncatedFileError | MalformedHeaderError)


def test_data_cut_short_is_called_truncated(tmp_path, write_raw):
    path = write_raw(tmp_path / "x.safetensors", {"a": entry(shape=(10,), offsets=(0, 10))}, bytes(9))
    with pytest.raises(TruncatedFileError, match="10 bytes of data") as caught:
        open_source(path)
    assert "fetch" in caught.value.hint


@pytest.mark.parametrize("length", [100_000_001, 1 << 32, (1 << 63) - 1, (1 << 64) - 1])
def test_a_header_of_more_than_100_megabytes_is_refused_unread(length, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(MalformedHeaderError, match="at most 100000000") as caught:
        open_source(path)
    assert caught.value.hint


def test_a_header_longer_than_the_file_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes((99_999_999).to_bytes(8, "little") + b"{}" + bytes(1000))
    with pytest.raises(TruncatedFileError, match="99999999"):
        open_source(path)


def peak_of_refusing(path) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(SourceError) as caught:
            open_source(path)
        assert caught.value.hint
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BIG = 20 * MIB
BOMBS = {
    "spaces": b"{" + b" " * BIG,
    "brackets": b'{"a":' + b"[" * BIG,
    "empty lists": b'{"a":{"shape":[' + b"[]," * (BIG // 3),
    "numbers": b'{"a":{"shape":[' + b"1," * (BIG // 2),
    "a name": b'{"' + b"n" * BIG,
    "escapes": b'{"' + b"\\n" * (BIG // 2),
    "backslashes": b'{"' + b"\\" * BIG,
    "quotes": b"{" + b'"' * BIG,
    "objects": b'{"a":' * (BIG // 5),
    "metadata": b'{"__metadata__":{"' + b"k" * BIG,
    "metadata escapes": b'{"__metadata__":{"k":"' + b'\\"' * (BIG // 2),
    "emoji": b'{"' + "😀".encode() * (BIG // 4),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_header_bomb_costs_no_more_memory_than_its_bytes(name, tmp_path, write_raw):
    path = write_raw(tmp_path / "x.safetensors", BOMBS[name])
    assert peak_of_refusing(path) < len(BOMBS[name]) + 4 * MIB


def test_too_many_tensors_are_refused(tmp_path, write_raw):
    one = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    header = b"{" + b",".join(one % i for i in range(250_001)) + b"}"
    path = write_raw(tmp_path / "x.safetensors", header)
    with pytest.raises(MalformedHeaderError, match="250000 tensors"):
        open_source(path)


def test_too_many_metadata_entries_are_refused(tmp_path, write_raw):
    header = b'{"__metadata__":{' + b",".join(b'"%d":""' % i for i in range(250_001)) + b"}}"
    with pytest.raises(MalformedHeaderError, match="250000 metadata"):
        open_source(write_raw(tmp_path / "x.safetensors", header))
