"""numpy files that lie, and archives that are bombs: each gives its named error with a hint, in bounded memory."""

from __future__ import annotations

import io
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import (
    MalformedHeaderError,
    SourceError,
    TensorLayoutError,
    TruncatedFileError,
    UnsafePickleError,
    UnsupportedFormatError,
)
from engine.sources import open as open_source
from tests.hostile.mutations import FUZZ, mutated, open_and_read_all

MIB = 1 << 20


class Bomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(text: str | bytes, version=(1, 0), data=bytes(16)) -> bytes:
    text = text if isinstance(text, bytes) else text.encode()
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def entry(descr="'<f4'", order="False", shape="(4,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def archive(path, members: dict[str, bytes], kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return path


GOOD = npy(np.arange(4, dtype=np.float32))

ARRAYS = {
    "nothing": (b"", MalformedHeaderError),
    "another magic": (b"\x93NUMPX" + GOOD[6:], MalformedHeaderError),
    "version 9": (b"\x93NUMPY\x09\x00" + GOOD[8:], UnsupportedFormatError),
    "version 3": (header(entry(), (3, 0)), UnsupportedFormatError),
    "no header": (GOOD[:8], MalformedHeaderError),
    "header longer than the file": (header("", data=b"")[:8] + b"\xff\xff", MalformedHeaderError),
    "header of 4 GB": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100), MalformedHeaderError),
    "header of 12,000 spaces": (header(entry() + " " * 12_000), MalformedHeaderError),
    "not Python": (header("hello world"), MalformedHeaderError),
    "code": (header("__import__('os').mkdir('/tmp/never')"), MalformedHeaderError),
    "not UTF-8": (header(b"\xff\xfe\xfd"), MalformedHeaderError),
    "a list": (header("[1, 2, 3]"), MalformedHeaderError),
    "keys missing": (header("{'descr': '<f4'}"), MalformedHeaderError),
    "keys too many": (header(entry().replace("}", "'more': 1}")), MalformedHeaderError),
    "deep brackets": (header("(" * 9000), MalformedHeaderError),
    "deep lists": (header("[" * 4000 + "]" * 4000), MalformedHeaderError),
    "deep signs": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "-" * 9000 + "1,)}"),
        MalformedHeaderError,
    ),
    "open quotes": (header("{'descr: '''"), MalformedHeaderError),
    "type unknown": (header(entry("'<q9'")), MalformedHeaderError),
    "type is a number": (header(entry("7")), MalformedHeaderError),
    "order is a number": (header(entry(order="7")), MalformedHeaderError),
    "shape is a number": (header(entry(shape="4")), MalformedHeaderError),
    "shape of text": (header(entry(shape="('4',)")), MalformedHeaderError),
    "shape of fractions": (header(entry(shape="(4.0,)")), MalformedHeaderError),
    "shape of 5000 digits": (header(entry(shape=f"({'9' * 5000},)")), MalformedHeaderError),
    "shape negative": (header(entry(shape="(-4,)")), TensorLayoutError),
    "shape twice negative": (header(entry(shape="(-2, -2)")), TensorLayoutError),
    "33 dimensions": (header(entry(shape=f"({'1,' * 33})")), TensorLayoutError),
    "size overflows": (header(entry(shape=f"({2**40}, {2**40})")), TensorLayoutError),
    "empty but of endless width": (header(entry(shape=f"(0, {2**62}, {2**62})")), TensorLayoutError),
    "larger than the file": (header(entry(shape="(5,)")), TruncatedFileError),
    "a terabyte": (header(entry(shape=f"({2**40},)")), TruncatedFileError),
    "smaller than the file": (header(entry(shape="(3,)")), TensorLayoutError),
    "objects": (npy(np.array([{}], object)), UnsafePickleError),
    "objects in records": (header(entry("[('a', '|O'), ('b', '<f4')]")), UnsafePickleError),
}


@pytest.mark.parametrize("place", ["file", "stored member", "packed member"])
@pytest.mark.parametrize("name", ARRAYS)
def test_a_lying_array_gives_its_named_error(name, place, tmp_path):
    content, expected = ARRAYS[name]
    if place == "file":
        path = tmp_path / "x.npy"
        path.write_bytes(content)
    else:
        kind = zipfile.ZIP_STORED if place == "stored member" else zipfile.ZIP_DEFLATED
        path = archive(tmp_path / "x.npz", {"good.npy": GOOD, "bad.npy": content}, kind)
    with pytest.raises(SourceError) as caught:
        open_source(path)
    error = caught.value
    assert type(error) is expected, error
    assert path.name in error.message and error.hint
    assert len(str(error)) < 1000 and str(error).isprintable()


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_no_code_in_a_pickle_ever_runs(kind, tmp_path):
    marker = tmp_path / "was-here"
    array = np.empty(1, object)
    array[0] = Bomb(marker)
    files = [
        archive(tmp_path / "x.npz", {"a.npy": npy(array)}, kind),
        archive(tmp_path / "y.npz", {"a.npy": pickle.dumps(Bomb(marker))}, kind),
        archive(tmp_path / "z.npz", {"good.npy": GOOD, "a.pkl": pickle.dumps(Bomb(marker))}, kind),
    ]
    for path, is_good in zip(files, (False, False, True), strict=True):
        if is_good:
            assert [info.name for info in open_source(path).infos()] == ["good"]
            continue
        with pytest.raises(SourceError) as caught:
            open_source(path)
        assert caught.value.hint
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(SourceError):
        open_source(tmp_path / "p.npy")
    assert not marker.exists()


def zeros_claiming(num_bytes: int) -> bytes:
    """A packed array of zeros: a thousandth of its size."""
    return header(entry("'|u1'", shape=f"({num_bytes},)"), data=b"")


def raw_archive(members: list[tuple[bytes, bytes, int, int, int]]) -> bytes:
    """An archive by hand: (name, packed content, method, claimed size, offset or -1 for its own)."""
    body, table = b"", b""
    for name, content, method, claimed, offset in members:
        at = len(body) if offset < 0 else offset
        fields = struct.pack("<HHHHHIII", 20, 0, method, 0, 0x21, zlib.crc32(b""), len(content), claimed)
        body += b"PK\x03\x04" + fields + struct.pack("<HH", len(name), 0) + name + content
        table += b"PK\x01\x02\x14\x00" + fields + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, at) + name
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(members), len(members), len(table), len(body), 0)
    return body + table + end


def deflated(pieces) -> bytes:
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join([*(pack.compress(piece) for piece in pieces), pack.flush()])


@pytest.fixture(scope="module")
def gigabytes_of_zeros() -> bytes:
    return deflated([zeros_claiming(3 << 30), *(bytes(MIB) for _ in range(64))])


def test_a_bomb_is_refused_before_it_unfolds(tmp_path, gigabytes_of_zeros):
    size = 3 << 30
    claimed = size + len(zeros_claiming(size))
    (tmp_path / "x.npz").write_bytes(raw_archive([(b"a.npy", gigabytes_of_zeros, 8, claimed, -1)]))
    tracemalloc.start()
    try:
        with pytest.raises(TensorLayoutError, match="unfold") as caught:
            open_source(tmp_path / "x.npz")
        assert caught.value.hint and tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def test_many_small_bombs_are_one_large_one(tmp_path):
    zeros = deflated([zeros_claiming(64 * MIB), *(bytes(MIB) for _ in range(64))])
    claimed = 64 * MIB + len(zeros_claiming(64 * MIB))
    members = [(b"%d.npy" % i, zeros, 8, claimed, -1) for i in range(17)]
    (tmp_path / "x.npz").write_bytes(raw_archive(members))
    with pytest.raises(TensorLayoutError, match="unfold"):
        open_source(tmp_path / "x.npz")


def test_a_member_that_unfolds_to_less_or_more_than_it_claims_is_damaged(tmp_path, gigabytes_of_zeros):
    size = 100 * MIB
    little = deflated([zeros_claiming(size), bytes(1000)])
    for content in (little, gigabytes_of_zeros[:10_000]):
        claimed = size + len(zeros_claiming(size))
        head = content if content is little else deflated([zeros_claiming(size)])[:-2] + content
        (tmp_path / "x.npz").write_bytes(raw_archive([(b"a.npy", head, 8, claimed, -1)]))
        tracemalloc.start()
        try:
            with pytest.raises(SourceError) as caught:
                open_source(tmp_path / "x.npz").read("a")
            assert caught.value.hint
            assert tracemalloc.get_traced_memory()[1] < size + 8 * MIB
        finally:
            tracemalloc.stop()


def test_a_packed_member_whose_bytes_changed_is_found_by_its_checksum(tmp_path):
    path = archive(tmp_path / "x.npz", {"a.npy": npy(np.arange(5000.0))}, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 16
    content[at] ^= 1
    path.write_bytes(content)
    with open_source(path) as source:
        with pytest.raises(SourceError, match="checksum") as caught:
            source.read("a")
        assert caught.value.hint
        assert source.read_rows("a", 0, 3).tolist() == [0, 1, 2]  # what comes before the end cannot be checked


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """The quoted-overlap bomb: many entries of the table point to one member."""
    one = (b"a.npy", GOOD, 0, len(GOOD), -1)
    (tmp_path / "x.npz").write_bytes(raw_archive([one, (b"b.npy", GOOD, 0, len(GOOD), 0)]))
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "x.npz")
    assert isinstance(caught.value, TensorLayoutError | MalformedHeaderError) and caught.value.hint


ARCHIVES = {
    "only the magic": (b"PK\x03\x04", TruncatedFileError),
    "text": (b"hello", TruncatedFileError),
    "an empty archive": (raw_archive([]), UnsupportedFormatError),
    "no arrays": (raw_archive([(b"a.txt", b"hello", 0, 5, -1)]), UnsupportedFormatError),
    "a method nobody knows": (raw_archive([(b"a.npy", GOOD, 99, len(GOOD), -1)]), UnsupportedFormatError),
    "bzip2": (raw_archive([(b"a.npy", GOOD, 12, len(GOOD), -1)]), UnsupportedFormatError),
    "stored but of two sizes": (raw_archive([(b"a.npy", GOOD, 0, len(GOOD) + 1, -1)]), TensorLayoutError),
    "offset outside": (raw_archive([(b"a.npy", GOOD, 0, len(GOOD), 2**31)]), TruncatedFileError),
    "offset into the middle": (raw_archive([(b"a.npy", GOOD, 0, len(GOOD), 7)]), MalformedHeaderError),
    "one name twice": (raw_archive([(b"a.npy", GOOD, 0, len(GOOD), -1)] * 2), MalformedHeaderError),
    "name with terminal codes": (raw_archive([(b"a\x1b[31m.npy", GOOD, 0, len(GOOD), -1)]), MalformedHeaderError),
    "name of 5000 characters": (raw_archive([(b"n" * 5000 + b".npy", GOOD, 0, len(GOOD), -1)]), MalformedHeaderError),
    "table of contents of 4 GB": (
        raw_archive([(b"a.npy", GOOD, 0, len(GOOD), -1)])[:-10] + struct.pack("<IIH", 2**32 - 2, 0, 0),
        MalformedHeaderError,
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_lying_archive_gives_its_named_error(name, tmp_path):
    content, expected = ARCHIVES[name]
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "x.npz")
    assert type(caught.value) is expected, caught.value
    assert "x.npz" in caught.value.message and caught.value.hint
    assert len(str(caught.value)) < 1000 and str(caught.value).isprintable()


def test_an_encrypted_member_is_refused(tmp_path):
    content = bytearray(raw_archive([(b"a.npy", GOOD, 0, len(GOOD), -1)]))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(UnsupportedFormatError, match="encrypted"):
        open_source(tmp_path / "x.npz")


def test_every_cut_of_a_good_archive_is_an_error(tmp_path):
    whole = archive(tmp_path / "x.npz", {"a.npy": GOOD}, zipfile.ZIP_DEFLATED).read_bytes()
    assert open_and_read_all(tmp_path / "x.npz", whole)
    for length in range(len(whole)):
        assert not open_and_read_all(tmp_path / "x.npz", whole[:length])


def test_every_cut_of_a_good_array_is_an_error(tmp_path):
    assert open_and_read_all(tmp_path / "x.npy", GOOD)
    for length in range(len(GOOD)):
        assert not open_and_read_all(tmp_path / "x.npy", GOOD[:length])


def test_a_member_may_not_leave_the_archive(tmp_path):
    """Nothing is ever written, so that a name with a path is only a name."""
    path = archive(tmp_path / "x.npz", {"../../up.npy": GOOD, "/etc/abs.npy": GOOD})
    begin = time.time()
    with open_source(path) as source:
        assert [info.name for info in source.infos()] == ["../../up", "/etc/abs"]
        assert source.read("../../up").tolist() == [0, 1, 2, 3]
    assert not [file for file in tmp_path.parent.glob("up*") if file.stat().st_mtime > begin]


def valid_archive(kind: int) -> bytes:
    buffer = io.BytesIO()
    arrays = [np.arange(6, dtype="<f4").reshape(2, 3), np.asfortranarray(np.ones((3, 2), ">f8"))]
    archive(buffer, {f"{i}.npy": npy(array) for i, array in enumerate(arrays)}, kind)
    return buffer.getvalue()


VALID = [
    valid_archive(zipfile.ZIP_STORED),
    valid_archive(zipfile.ZIP_DEFLATED),
    raw_archive([(b"a.npy", GOOD, 0, len(GOOD), -1)]),
]


@FUZZ
@given(mutated(VALID))
def test_a_valid_archive_with_some_bytes_changed(tmp_path_factory, content):
    open_and_read_all(tmp_path_factory.getbasetemp() / "fuzz.npz", content)


@FUZZ
@given(mutated([GOOD, npy(np.asfortranarray(np.ones((2, 3), np.int16))), header(entry(), (2, 0))]))
def test_a_valid_array_with_some_bytes_changed(tmp_path_factory, content):
    open_and_read_all(tmp_path_factory.getbasetemp() / "fuzz.npy", content)


PIECES = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "'",
    '"',
    " ",
    "\n",
    "\\",
    "#",
    "-",
    "1",
    "4",
    "1e9",
    "0x",
    "None",
    "True",
]
PIECES += [
    "'descr'",
    "'fortran_order'",
    "'shape'",
    "'<f4'",
    "'|O'",
    "(4,)",
    "()",
    "False",
    "L",
    "lambda",
    "'''",
    "\0",
    "é",
]


@FUZZ
@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_a_header_of_pieces_of_headers(tmp_path_factory, pieces):
    open_and_read_all(tmp_path_factory.getbasetemp() / "pieces.npy", header("".join(pieces)))
