"""What every format promises alike: the same arrays written in each read back the same."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine.dtypes import ELEMENT_TYPES
from engine.errors import Cancelled, SourceError, TensorNotFoundError
from engine.heatmaps import Viewport, exact_value, full_view, read_grid
from engine.measures.reading import measure_tensor
from engine.sources import open as open_source
from engine.sources.formats import FORMATS
from tests.engine.sources.writers import WRITERS

RANDOM = np.random.default_rng(5)
ARRAYS = {
    "blk.0.attn_q.weight": RANDOM.normal(size=(12, 32)).astype(np.float32),
    "half": RANDOM.normal(size=(5, 7)).astype(np.float16),
    "double": RANDOM.normal(size=(3, 4)).astype(np.float64),
    "bytes": RANDOM.integers(-128, 127, (9, 3)).astype(np.int8),
    "short": RANDOM.integers(-1000, 1000, 11).astype(np.int16),
    "int": RANDOM.integers(-1000, 1000, (2, 3, 4)).astype(np.int32),
    "long": RANDOM.integers(-(2**60), 2**60, (4, 1, 2, 2)).astype(np.int64),
    "vector": np.array([1.0, np.nan, np.inf, -np.inf, -0.0], np.float32),
    "one": np.array([3.5], np.float32),
}
EMPTY = {
    "scalar": np.float32(2.5).reshape(()),
    "none": np.zeros(0, np.float32),
    "no rows": np.zeros((0, 4), np.float16),
}
NAMES = {kind.dtype: name for name, kind in ELEMENT_TYPES.items()}


@pytest.fixture(params=WRITERS, scope="module")
def checkpoint(request, tmp_path_factory) -> Path:
    _, suffix, write = WRITERS[request.param]
    return write(tmp_path_factory.mktemp("contract") / f"my-model{suffix}", ARRAYS)


@pytest.fixture
def source(checkpoint):
    with open_source(checkpoint) as opened:
        yield opened


def test_every_format_of_the_registry_is_under_this_contract():
    assert {name for name, _, _ in WRITERS.values()} == {entry.name for entry in FORMATS} - {"npy"}


@pytest.mark.parametrize("kind", WRITERS)
def test_infos_say_what_was_written(kind, tmp_path):
    name, suffix, write = WRITERS[kind]
    with open_source(write(tmp_path / f"my-model{suffix}", ARRAYS)) as source:
        assert (source.format, source.name) == (name, "my-model")
        assert {info.name for info in source.infos()} == set(ARRAYS)
        for info in source.infos():
            array = ARRAYS[info.name]
            assert (info.shape, info.dtype) == (array.shape, NAMES[array.dtype])
            assert (info.num_bytes, info.num_elements) == (array.nbytes, array.size)
            if info.start is not None:
                data = (tmp_path / info.file).read_bytes()[info.start : info.stop]
                assert data == array.tobytes()
        assert source.num_bytes == sum(array.nbytes for array in ARRAYS.values())


def test_tensors_read_back_bit_for_bit(source):
    for name, array in ARRAYS.items():
        found = source.read(name)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.tobytes() == array.tobytes()
        assert not found.flags.writeable and found.flags.c_contiguous


def test_rows_are_slices_of_the_whole(source):
    for name, array in ARRAYS.items():
        rows = len(array)
        for start, stop in {(0, rows), (0, 1), (rows - 1, rows), (rows, rows), (rows // 2, rows), (0, 0)}:
            found = source.read_rows(name, start, stop)
            assert (found.dtype, found.shape) == (array.dtype, (stop - start, *array.shape[1:]))
            assert found.tobytes() == array[start:stop].tobytes()
            assert not found.flags.writeable and found.flags.c_contiguous


def test_rows_may_be_asked_for_in_any_order(source):
    array = ARRAYS["blk.0.attn_q.weight"]
    for start in (11, 0, 5, 4, 10, 3):
        assert np.array_equal(source.read_rows("blk.0.attn_q.weight", start, start + 1), array[start : start + 1])


@pytest.mark.parametrize("kind", WRITERS)
def test_scalars_and_tensors_without_elements_read_back(kind, tmp_path):
    _, suffix, write = WRITERS[kind]
    arrays = (
        EMPTY if kind != "gguf" else {name: a for name, a in EMPTY.items() if name != "none"} | {"x": ARRAYS["one"]}
    )
    with open_source(write(tmp_path / f"x{suffix}", arrays)) as source:
        for name, array in arrays.items():
            found = source.read(name)
            assert (found.shape, found.dtype, found.tobytes()) == (array.shape, array.dtype, array.tobytes())
            assert source.info(name).num_bytes == array.nbytes
        with pytest.raises(SourceError, match="scalar"):
            source.read_rows("scalar", 0, 1)


def test_wrong_names_and_ranges_are_named_errors(source):
    for name in ("nothing", "", "blk.0.attn_q"):
        with pytest.raises(TensorNotFoundError) as caught:
            source.read(name)
        assert caught.value.hint
    for start, stop in ((-1, 2), (2, 1), (0, 13), (13, 13)):
        with pytest.raises(SourceError, match="rows"):
            source.read_rows("blk.0.attn_q.weight", start, stop)


def test_metadata_is_text_and_config_a_dict(source):
    assert all(isinstance(key, str) and isinstance(text, str) for key, text in source.metadata.items())
    assert isinstance(source.config, dict)


def test_the_hash_is_that_of_the_files_and_the_fingerprint_follows_them(source, checkpoint):
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in source.files}
    lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    expected = hashes[checkpoint.name] if len(hashes) == 1 else hashlib.sha256(lines.encode()).hexdigest()
    done = []
    assert source.content_hash(done.append) == expected
    assert sum(done) == sum(path.stat().st_size for path in source.files)
    before = source.fingerprint
    status = source.files[-1].stat()
    os.utime(source.files[-1], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert source.fingerprint != before
    os.utime(source.files[-1], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert source.fingerprint == before


def test_many_threads_read_the_same(source):
    names = list(ARRAYS) * 12

    def check(name: str) -> bool:
        rows = len(ARRAYS[name])
        part = source.read_rows(name, rows // 2, rows)
        return (
            source.read(name).tobytes() == ARRAYS[name].tobytes()
            and part.tobytes() == ARRAYS[name][rows // 2 :].tobytes()
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, names))


def test_arrays_outlive_their_source(checkpoint):
    with open_source(checkpoint) as source:
        kept = {name: source.read(name) for name in ARRAYS}
    assert all(kept[name].tobytes() == array.tobytes() for name, array in ARRAYS.items())


@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "pytorch"])
def test_a_file_that_is_changed_or_deleted_after_opening_is_an_error(kind, tmp_path):
    _, suffix, write = WRITERS[kind]
    path = write(tmp_path / f"x{suffix}", ARRAYS)
    changed, deleted = open_source(path), open_source(path)
    for opened in (changed, deleted):
        opened.close()
    os.utime(path, ns=(7, 7))
    os.utime(changed.files[-1], ns=(7, 7))
    with pytest.raises(SourceError, match="changed"):
        changed.read("half")
    for file in deleted.files:
        file.unlink()
    with pytest.raises(SourceError) as caught:
        deleted.read("half")
    assert caught.value.hint


def test_measures_agree_with_float64(source):
    for name, array in ARRAYS.items():
        if name == "vector":
            continue
        told = []
        reading = measure_tensor(source, source.info(name), threads=1, on_bytes=told.append)
        exact = array.astype(np.float64)
        assert reading.error is None and sum(told) == array.nbytes
        assert reading.distribution.mean == pytest.approx(exact.mean(), rel=1e-12)
        assert reading.values["std"] == pytest.approx(exact.std(), rel=1e-12)
        assert (reading.distribution.minimum, reading.distribution.maximum) == (exact.min(), exact.max())
    odd = measure_tensor(source, source.info("vector"), threads=1).distribution
    assert (odd.num_nan, odd.num_posinf, odd.num_neginf) == (1, 1, 1)


def test_cancelling_stops_the_measuring(source):
    def stop(_num_bytes: int) -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        measure_tensor(source, source.info("blk.0.attn_q.weight"), threads=1, on_bytes=stop)


def test_heatmaps_show_the_entries(source):
    name = "blk.0.attn_q.weight"
    info, array = source.info(name), ARRAYS[name]
    assert np.array_equal(read_grid(source, info, full_view(info)).values, array)
    grid = read_grid(source, info, Viewport(4, 8, 8, 24, 2, 4))
    blocks = array[4:8, 8:24].reshape(2, 2, 4, 4).transpose(0, 2, 1, 3).reshape(2, 4, 8)
    extremes = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[..., None], axis=2)[..., 0]
    assert np.array_equal(grid.values, extremes)
    assert exact_value(source, info, 11, 31) == array[11, 31]
    assert math.isnan(exact_value(source, source.info("vector"), 0, 1))


def test_opening_sources_imports_no_library_before_a_file_needs_it():
    script = "import sys, engine.sources; print(*{'gguf', 'onnx', 'torch', 'google.protobuf'} & sys.modules.keys())"
    root = Path(__file__).parents[3]
    outcome = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0 and outcome.stdout.strip() == "", outcome.stdout + outcome.stderr
