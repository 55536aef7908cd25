"""Where large tensors lie while they are measured."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import psutil
import pytest

import engine.sources
from engine.errors import SourceError
from engine.sources import hub_room

Usage = namedtuple("Usage", "total used free")


def anonymous_bytes() -> int:
    return psutil.Process().memory_info().rss - psutil.Process().memory_info().shared


def test_a_large_tensor_takes_no_anonymous_memory(monkeypatch):
    monkeypatch.setattr(hub_room, "LARGE_BYTES", 1 << 20)
    if not hasattr(psutil.Process().memory_info(), "shared"):
        pytest.skip("this system does not tell shared memory apart")
    before = anonymous_bytes()
    array = hub_room.room(64 << 20)
    array[:] = 7
    assert anonymous_bytes() - before < 16 << 20
    assert array.flags.writeable and (array == 7).all()


def test_without_disk_it_stays_in_memory_and_without_both_it_is_an_error(monkeypatch):
    def full(_: int):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub_room, "LARGE_BYTES", 1 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(hub_room, "_on_disk", full)
        assert hub_room.room(2 << 20).nbytes == 2 << 20
    monkeypatch.setattr(hub_room.shutil, "disk_usage", lambda _: Usage(1, 1, 2 << 20))
    monkeypatch.setattr(hub_room, "_on_disk", None)  # not called: it would be a TypeError
    assert hub_room.room(2 << 20).nbytes == 2 << 20
    with pytest.raises(SourceError, match="no room for a tensor of 1152921504606846976 bytes"):
        hub_room.room(1 << 60)


def test_numbers_do_not_depend_on_where_a_tensor_lies(hub_server, tmp_path, write_safetensors, monkeypatch):
    monkeypatch.setattr(hub_room, "LARGE_BYTES", 1000)
    array = np.random.default_rng(0).normal(size=(100, 50)).astype(np.float32)
    hub_server.add("o/m", {"model.safetensors": write_safetensors(tmp_path / "model.safetensors", {"w": array})})
    source = engine.sources.open("hf://o/m")
    found = source.read("w")
    source.close()  # arrays handed out stay valid
    np.testing.assert_array_equal(found, array)
