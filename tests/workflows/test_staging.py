"""Finished tensors kept for a resumed run come back exactly, or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.measures.reading import measure_array
from engine.naming import place
from engine.sources.base import TensorInfo
from storage.records import TensorRecord, Thumbnail
from workflows.staging import Staging


def record_of(array: np.ndarray, name: str = "layers.3.weight") -> TensorRecord:
    info = TensorInfo(name, array.shape, "F32", array.nbytes, "a.safetensors", 0, array.nbytes)
    thumbnail = Thumbnail(np.zeros((2, 3), np.float32))
    return TensorRecord(info, place(name, array.shape), measure_array(array), thumbnail)


ARRAYS = [
    np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32),
    np.array([np.nan, np.inf, -np.inf], np.float32),
    np.zeros((0, 4), np.float32),
    np.float32(2.5).reshape(()),
]


@pytest.fixture
def staging(tmp_path) -> Staging:
    return Staging(tmp_path, ("hash", "fingerprint"))


def silent(_text: str) -> None:
    raise AssertionError("nothing was to be said")


@pytest.mark.parametrize("array", ARRAYS, ids=["normal", "nonfinite", "empty", "scalar"])
def test_a_kept_tensor_comes_back_bit_for_bit(staging, array):
    record = record_of(array)
    staging.keep(3, record)
    found = staging.take(3, record.info, silent)
    assert (found.info, found.place) == (record.info, record.place)
    np.testing.assert_array_equal(found.thumbnail.values, record.thumbnail.values)
    assert repr(found.reading.values) == repr(record.reading.values)
    for part in ("distribution", "rows", "columns"):
        kept, original = getattr(found.reading, part), getattr(record.reading, part)
        assert (kept is None) == (original is None)
        for name in original.__dataclass_fields__ if original is not None else ():
            np.testing.assert_array_equal(getattr(kept, name), getattr(original, name))
            assert np.asarray(getattr(kept, name)).dtype == np.asarray(getattr(original, name)).dtype


def test_what_was_kept_for_other_content_is_not_seen(tmp_path, staging):
    record = record_of(ARRAYS[0])
    staging.keep(0, record)
    assert Staging(tmp_path, ("other hash", "fingerprint")).take(0, record.info, silent) is None
    assert staging.take(1, record.info, silent) is None
    assert staging.take(0, replace(record.info, name="another"), silent) is None


def test_every_damaged_file_is_said_and_measured_again(staging, tmp_path):
    record = record_of(ARRAYS[0])
    staging.keep(0, record)
    (file,) = tmp_path.rglob("*.npz")
    whole = file.read_bytes()
    said = []
    for cut in range(0, len(whole), 97):
        file.write_bytes(whole[:cut])
        assert staging.take(0, record.info, said.append) is None
    assert len(said) == len(range(0, len(whole), 97))


def test_a_flipped_bit_never_changes_a_number(staging, tmp_path):
    record = record_of(ARRAYS[0])
    staging.keep(0, record)
    (file,) = tmp_path.rglob("*.npz")
    whole = file.read_bytes()
    for position in range(0, len(whole), 61):
        flipped = bytearray(whole)
        flipped[position] ^= 0x10
        file.write_bytes(flipped)
        found = staging.take(0, record.info, lambda _text: None)
        if found is not None:  # the bit lay in what no number depends on, such as a time stamp
            assert repr(found.reading.values) == repr(record.reading.values)
            np.testing.assert_array_equal(found.reading.rows.l2, record.reading.rows.l2)
            np.testing.assert_array_equal(found.reading.distribution.bin_counts, record.reading.distribution.bin_counts)


def test_clearing_leaves_nothing(staging, tmp_path):
    staging.keep(0, record_of(ARRAYS[0]))
    staging.clear()
    assert list(tmp_path.iterdir()) == []
