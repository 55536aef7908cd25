"""GGUF files that lie: each gives its named error with a hint, quickly, in bounded memory."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import (
    MalformedHeaderError,
    SourceError,
    TensorLayoutError,
    TruncatedFileError,
    UnsupportedFormatError,
)
from engine.sources import open as open_source
from engine.sources.gguf_header import MAX_ARRAY_ITEMS
from tests.hostile.mutations import FUZZ, mutated, open_and_read_all

MIB = 1 << 20
U8, I32, F32, BOOL, TEXT, ARRAY, U64 = 0, 5, 6, 7, 8, 9, 10


def text(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def key(name: str | bytes, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + items


def tensor(name="a", shape=(4,), kind=0, offset=0, dimensions=None) -> bytes:
    dims = struct.pack(f"<{len(shape)}Q", *shape)
    return (
        text(name)
        + struct.pack("<I", len(shape) if dimensions is None else dimensions)
        + dims
        + struct.pack("<IQ", kind, offset)
    )


def model(keys=(), tensors=(), data=bytes(64), version=3, num_tensors=None, num_keys=None) -> bytes:
    counts = (len(tensors) if num_tensors is None else num_tensors, len(keys) if num_keys is None else num_keys)
    head = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + data


ARCHITECTURE = key("general.architecture", TEXT, text("llama"))
GOOD = model([ARCHITECTURE], [tensor("a"), tensor("b", offset=32)])
DEEP = b"".join(array(ARRAY, 1) for _ in range(100_000)) + array(U8, 0)

FILES = {
    "nothing": (b"", TruncatedFileError),
    "another magic": (b"GGML" + GOOD[4:], MalformedHeaderError),
    "the other byte order": (b"GGUF" + struct.pack(">I", 3) + bytes(100), UnsupportedFormatError),
    "version 1": (model(version=1), UnsupportedFormatError),
    "version 4": (model(version=4), UnsupportedFormatError),
    "version 0": (model(version=0), UnsupportedFormatError),
    "2**64 - 1 tensors": (model(num_tensors=2**64 - 1), MalformedHeaderError),
    "2**64 - 1 keys": (model(num_keys=2**64 - 1), MalformedHeaderError),
    "250,001 tensors": (model(num_tensors=250_001), MalformedHeaderError),
    "more tensors than bytes": (model(num_tensors=250_000)[:24], TruncatedFileError),
    "more keys than bytes": (model(num_keys=10_000)[:24], TruncatedFileError),
    "key of 2**63 bytes": (model([struct.pack("<Q", 2**63)]), TruncatedFileError),
    "key of 2000 characters": (model([key("k" * 2000, U8, b"1")]), MalformedHeaderError),
    "key of no characters": (model([key("", U8, b"1")]), MalformedHeaderError),
    "key not UTF-8": (model([key(b"\xff\xfe", U8, b"1")]), MalformedHeaderError),
    "key with a zero byte": (model([key("a\0b", U8, b"1")]), MalformedHeaderError),
    "key twice": (model([key("a", U8, b"1")] * 2), MalformedHeaderError),
    "value of type 13": (model([key("a", 13, b"12345678")]), MalformedHeaderError),
    "value of type 2**32 - 1": (model([key("a", 2**32 - 1, b"12345678")]), MalformedHeaderError),
    "truth of 7": (model([key("a", BOOL, b"\x07")]), MalformedHeaderError),
    "text of 2**64 - 1 bytes": (model([key("a", TEXT, struct.pack("<Q", 2**64 - 1))]), TruncatedFileError),
    "text longer than the file": (model([key("a", TEXT, struct.pack("<Q", 10_000))]), TruncatedFileError),
    "text not UTF-8": (model([key("a", TEXT, text(b"\xc3\x28"))]), MalformedHeaderError),
    "text with half a character": (model([key("a", TEXT, text(b"\xed\xa0\x80"))]), MalformedHeaderError),
    "array of 2**63 numbers": (model([key("a", ARRAY, array(I32, 2**63))]), TruncatedFileError),
    "array of 2**62 numbers, whose size overflows": (model([key("a", ARRAY, array(U64, 2**62))]), TruncatedFileError),
    "array of 2**63 texts": (model([key("a", ARRAY, array(TEXT, 2**63))]), TruncatedFileError),
    "array of 2**63 arrays": (model([key("a", ARRAY, array(ARRAY, 2**63))]), TruncatedFileError),
    "array of texts, one endless": (
        model([key("a", ARRAY, array(TEXT, 9, text("x") * 8 + struct.pack("<Q", 2**64 - 1)))]),
        TruncatedFileError,
    ),
    "array of an unknown type": (model([key("a", ARRAY, array(99, 1, bytes(8)))]), MalformedHeaderError),
    "arrays 100,000 deep": (model([key("a", ARRAY, DEEP)]), MalformedHeaderError),
    "alignment of 0": (model([key("general.alignment", 4, bytes(4))], [tensor()]), MalformedHeaderError),
    "alignment of 3": (model([key("general.alignment", 4, struct.pack("<I", 3))], [tensor()]), MalformedHeaderError),
    "alignment of text": (model([key("general.alignment", TEXT, text("32"))], [tensor()]), MalformedHeaderError),
    "alignment of truth": (model([key("general.alignment", BOOL, b"\x01")], [tensor()]), MalformedHeaderError),
    "alignment of 2**31": (
        model([key("general.alignment", 4, struct.pack("<I", 2**31))], [tensor()]),
        TruncatedFileError,
    ),
    "tensor without a name": (model(tensors=[tensor("")]), MalformedHeaderError),
    "name with terminal codes": (model(tensors=[tensor("a\x1b[31m")]), MalformedHeaderError),
    "name not UTF-8": (model(tensors=[tensor(b"\xff")]), MalformedHeaderError),
    "name of 5000 characters": (model(tensors=[tensor("n" * 5000)]), MalformedHeaderError),
    "name twice": (model(tensors=[tensor(), tensor(offset=32)]), MalformedHeaderError),
    "33 dimensions": (model(tensors=[tensor(shape=(1,) * 33)]), MalformedHeaderError),
    "2**32 - 1 dimensions": (model(tensors=[tensor(dimensions=2**32 - 1)]), MalformedHeaderError),
    "dimension of 2**64 - 1": (model(tensors=[tensor(shape=(2**64 - 1,))]), TensorLayoutError),
    "size overflows to nothing": (model(tensors=[tensor(shape=(2**32, 2**32))]), TensorLayoutError),
    "empty but of endless width": (model(tensors=[tensor(shape=(0, 2**62, 2**62))]), TensorLayoutError),
    "tensor larger than the file": (model(tensors=[tensor(shape=(2**40,))]), TruncatedFileError),
    "tensor of the removed type 4": (model(tensors=[tensor(kind=4)]), UnsupportedFormatError),
    "tensor of type 2**32 - 1": (model(tensors=[tensor(kind=2**32 - 1)]), UnsupportedFormatError),
    "rows of half a block": (model(tensors=[tensor(shape=(48, 2), kind=2)]), TensorLayoutError),
    "a scalar of blocks": (model(tensors=[tensor(shape=(), kind=2)]), TensorLayoutError),
    "offset of 2**64 - 32": (model(tensors=[tensor(offset=2**64 - 32)]), TensorLayoutError),
    "offset beyond the file": (model(tensors=[tensor(offset=2**40)]), TruncatedFileError),
    "offset out of step": (model(tensors=[tensor(offset=4)]), TensorLayoutError),
    "two tensors in one place": (model(tensors=[tensor("a"), tensor("b")]), TensorLayoutError),
    "half an overlap": (model(tensors=[tensor("a", (12,)), tensor("b", offset=32)]), TensorLayoutError),
    "no data": (model(tensors=[tensor()], data=b""), TruncatedFileError),
}


@pytest.mark.parametrize("name", FILES)
def test_a_lying_file_gives_its_named_error(name, tmp_path):
    content, expected = FILES[name]
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        open_source(path)
    error = caught.value
    assert type(error) is expected, error
    assert "x.gguf" in error.message and error.hint
    assert len(str(error)) < 1000 and str(error).isprintable()


def test_the_good_file_of_these_tests_opens(tmp_path):
    assert open_and_read_all(tmp_path / "x.gguf", GOOD)


def test_every_cut_of_a_good_file_is_truncated(tmp_path):
    whole = GOOD[: GOOD.rindex(bytes(64)) + 48]
    assert open_and_read_all(tmp_path / "x.gguf", whole)
    for length in range(len(whole)):
        (tmp_path / "x.gguf").write_bytes(whole[:length])
        with pytest.raises(TruncatedFileError) as caught:
            open_source(tmp_path / "x.gguf")
        assert caught.value.hint


def test_texts_of_the_vocabulary_need_not_be_utf8(tmp_path):
    """Byte-level vocabularies of early converters hold single bytes."""
    tokens = key("tokenizer.ggml.tokens", ARRAY, array(TEXT, 2, text(b"\xff\xfe") + text("b")))
    (tmp_path / "x.gguf").write_bytes(model([ARCHITECTURE, tokens], [tensor()]))
    with open_source(tmp_path / "x.gguf") as source:
        assert source.metadata["tokenizer.ggml.tokens"] == '["\ufffd\ufffd", "b"]'


BOMBS = {
    "numbers": key("a", ARRAY, array(F32, 5 * MIB, bytes(20 * MIB))),
    "a text": key("a", TEXT, text("x" * 20 * MIB)),
    "a token": key("a", ARRAY, array(TEXT, 1, text("x" * 20 * MIB))),
    "texts of nothing": key("a", ARRAY, array(TEXT, 2 * MIB, bytes(16 * MIB))),
    "arrays of nothing": key("a", ARRAY, array(ARRAY, 100_000, array(U8, 0) * 100_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_large_values_cost_little_more_than_their_bytes(name, tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(model([BOMBS[name]], [tensor()], data=b""))
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedFileError):
            open_source(path)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(BOMBS[name]) + 8 * MIB
    finally:
        tracemalloc.stop()


def test_more_texts_than_any_vocabulary_are_refused(tmp_path):
    count = MAX_ARRAY_ITEMS + 1
    (tmp_path / "x.gguf").write_bytes(model([key("a", ARRAY, array(TEXT, count, bytes(8 * count)))]))
    with pytest.raises(MalformedHeaderError, match=str(MAX_ARRAY_ITEMS)):
        open_source(tmp_path / "x.gguf")


def test_more_inner_arrays_than_can_be_stepped_over_quickly_are_refused(tmp_path):
    (tmp_path / "x.gguf").write_bytes(model([key("a", ARRAY, array(ARRAY, MIB, array(U8, 0) * MIB))]))
    with pytest.raises(MalformedHeaderError, match="deep"):
        open_source(tmp_path / "x.gguf")


def test_a_header_without_end_is_refused(tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(model([key("a", TEXT, struct.pack("<Q", 300 * MIB))], data=b""))
    with path.open("r+b") as file:
        file.truncate(400 * MIB)
    with pytest.raises(MalformedHeaderError, match="longer than"):
        open_source(path)


VALID = [
    GOOD,
    model(
        [
            ARCHITECTURE,
            key("llama.block_count", U64, struct.pack("<Q", 3)),
            key("tokenizer.ggml.tokens", ARRAY, array(TEXT, 3, text("a") + text("é") + text("<s>"))),
            key("tokenizer.ggml.scores", ARRAY, array(F32, 3, struct.pack("<3f", 0, 1, -1))),
            key("nested", ARRAY, array(ARRAY, 2, array(U8, 2, b"12") + array(U8, 0))),
            key("flag", BOOL, b"\x01"),
        ],
        [
            tensor("q.weight", (32, 2), kind=8),
            tensor("k.weight", (256, 1), kind=14, offset=96),
            tensor("half", (2, 3), kind=1, offset=320),
            tensor("brain", (4,), kind=30, offset=352),
            tensor("none", (0, 7), offset=384),
            tensor("bytes", (5,), kind=24, offset=384),
        ],
        bytes(range(256)) + bytes(range(144)),
    ),
]


def test_the_files_to_mutate_are_good(tmp_path):
    assert all(open_and_read_all(tmp_path / "x.gguf", content) for content in VALID)


@FUZZ
@given(mutated(VALID))
def test_a_valid_file_with_some_bytes_changed(tmp_path_factory, content):
    open_and_read_all(tmp_path_factory.getbasetemp() / "fuzz.gguf", content)


@FUZZ
@given(st.binary(max_size=200))
def test_random_bytes_after_the_magic(tmp_path_factory, content):
    open_and_read_all(tmp_path_factory.getbasetemp() / "random.gguf", b"GGUF\x03\0\0\0" + content)
