"""The identity of a checkpoint: equal bytes, equal hash; another file, another fingerprint."""

from __future__ import annotations

import hashlib
import os
import shutil

import numpy as np
import pytest

from engine.errors import Cancelled, SourceError
from engine.sources import content_hash as hashing
from engine.sources import open as open_source


@pytest.fixture
def checkpoint(tmp_path, write_safetensors):
    return write_safetensors(tmp_path / "one" / "model.safetensors", {"x": np.arange(3 << 20, dtype=np.float32)})


def test_the_hash_of_one_file_is_its_sha256_wherever_it_lies(checkpoint, tmp_path):
    copy = shutil.copy(checkpoint, tmp_path / "renamed.safetensors")
    expected = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert open_source(checkpoint).content_hash() == expected
    assert open_source(checkpoint.parent).content_hash() == expected
    assert open_source(copy).content_hash() == expected


def test_the_hash_of_several_files_is_that_of_their_sha256sum_lines(tmp_path, write_safetensors):
    for name, value in (("b", 1.0), ("a", 2.0)):
        write_safetensors(tmp_path / f"{name}.safetensors", {name: np.full(4, value)})
    lines = "".join(
        f"{hashlib.sha256((tmp_path / n).read_bytes()).hexdigest()}  {n}\n" for n in ("a.safetensors", "b.safetensors")
    )
    found = open_source(tmp_path).content_hash()
    assert found == hashlib.sha256(lines.encode()).hexdigest()
    moved = tmp_path.rename(tmp_path.with_name(tmp_path.name + "-moved"))
    assert open_source(moved).content_hash() == found


def test_every_byte_is_reported_and_the_second_time_none_is_read(checkpoint, monkeypatch):
    steps = []
    first = open_source(checkpoint).content_hash(steps.append)
    assert sum(steps) == checkpoint.stat().st_size and len(steps) > 1
    monkeypatch.setattr(hashing, "_read_and_hash", lambda *_: pytest.fail("read again"))
    again = []
    assert open_source(checkpoint).content_hash(again.append) == first
    assert again == [checkpoint.stat().st_size]


def test_cancelling_stops_the_hashing_and_leaves_nothing_behind(checkpoint):
    def stop(_count: int) -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        open_source(checkpoint).content_hash(stop)
    assert open_source(checkpoint).content_hash() == hashlib.sha256(checkpoint.read_bytes()).hexdigest()


def test_changed_bytes_change_the_hash_although_name_and_size_stay(checkpoint):
    before = open_source(checkpoint).content_hash()
    with checkpoint.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\xff\xff\x7f\x7f")
    os.utime(checkpoint, ns=(1, 1))
    assert open_source(checkpoint).content_hash() != before


def test_a_file_written_while_it_is_hashed_is_refused(checkpoint):
    def write(_count: int) -> None:
        os.utime(checkpoint, ns=(5, 5))

    with pytest.raises(SourceError, match="changed"):
        open_source(checkpoint).content_hash(write)


def test_the_fingerprint_follows_path_size_and_time_and_reads_nothing(checkpoint, tmp_path):
    source = open_source(checkpoint)
    first = source.fingerprint
    assert first == open_source(checkpoint).fingerprint == open_source(checkpoint.parent).fingerprint
    copy = shutil.copy2(checkpoint, tmp_path / "copy.safetensors")
    assert open_source(copy).fingerprint != first
    os.utime(checkpoint, ns=(1, 1))
    assert source.fingerprint != first
    checkpoint.unlink()
    for identity in (lambda: source.fingerprint, source.content_hash):
        with pytest.raises(SourceError) as caught:
            identity()
        assert caught.value.hint
