"""A tensor of a checkpoint is read, measured, or recorded with the reason why it could not be."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

import engine.sources
from engine.errors import Cancelled, SourceError, TruncatedFileError
from engine.measures.reading import measure_array, measure_tensor
from engine.measures.registry import MEASURES
from engine.sources.base import Source
from tests.engine.measures.conftest import assert_exact, assert_same


def test_a_checkpoint_is_measured_as_its_arrays_are(tmp_path, write_safetensors):
    random = np.random.default_rng(0)
    arrays = {
        "matrix": random.standard_normal((40, 30)).astype(np.float32),
        "half": random.standard_normal((8, 4, 3, 3)).astype(ml_dtypes.bfloat16),
        "bias": random.standard_normal(17).astype(np.float16),
        "scalar": np.array(3, np.int64),
        "empty": np.zeros((0, 5), np.float32),
    }
    with engine.sources.open(write_safetensors(tmp_path / "m.safetensors", arrays)) as source:
        for info in source.infos():
            told: list[int] = []
            reading = measure_tensor(source, info, threads=2, on_bytes=told.append)
            assert reading.error is None
            assert_same(reading.distribution, measure_array(arrays[info.name]).distribution)
            assert_exact(reading.distribution, arrays[info.name])
            assert sum(told) == info.num_bytes
            assert (reading.rows is None) == (len(info.shape) < 2)
            assert (reading.columns is None) == (len(info.shape) < 2)


def test_a_tensor_that_cannot_be_measured_becomes_a_reading_with_its_reason(tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "m.safetensors", {"wave": np.ones((2, 2), np.complex64)})
    with engine.sources.open(path) as source:
        reading = measure_tensor(source, source.infos()[0])
    assert "complex64" in reading.error
    assert (reading.distribution, reading.rows, reading.columns) == (None, None, None)
    assert list(reading.values) == list(MEASURES)
    assert all(math.isnan(value) for value in reading.values.values())


def failing(source: Source, error: Exception) -> Source:
    """The same source, whose data cannot be read."""

    class Failing(type(source)):
        def read(self, name):
            raise error

    source.__class__ = Failing
    return source


@pytest.fixture
def source(tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "m.safetensors", {"w": np.ones((3, 3), np.float32)})
    with engine.sources.open(path) as opened:
        yield opened


def test_a_source_that_fails_gives_its_message_and_hint(source):
    reading = measure_tensor(failing(source, TruncatedFileError("It ends early.", "Get it again.")), source.infos()[0])
    assert reading.error == "It ends early. Get it again."


def test_bugs_and_cancelling_pass_through(source):
    for error in (Cancelled("Stopped."), ValueError("a bug")):
        with pytest.raises(type(error)):
            measure_tensor(failing(source, error), source.infos()[0])


def test_cancelling_from_the_callback_passes_through(source):
    def cancel(_):
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        measure_tensor(source, source.infos()[0], on_bytes=cancel)


def test_minilm_agrees_with_numpy(minilm_path):
    with engine.sources.open(minilm_path) as opened:
        for info in opened.infos():
            if info.num_elements < 1_000_000:
                assert_exact(measure_tensor(opened, info).distribution, opened.read(info.name))


@pytest.mark.real
def test_real_checkpoints_in_all_formats_agree_with_numpy(real_dir):
    num_measured = 0
    for path in sorted(real_dir.iterdir()):
        try:
            opened = engine.sources.open(path)
        except SourceError:
            continue
        with opened:
            for info in opened.infos()[:40]:
                reading = measure_tensor(opened, info)
                assert reading.error is None or info.dtype in {"C64", "C128"}
                if reading.error is None and info.num_elements < 300_000:
                    assert_exact(reading.distribution, opened.read(info.name))
                    num_measured += 1
    assert num_measured > 0
