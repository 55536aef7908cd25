"""numpy's own files: what numpy loads is what the source gives, mapped where it can be."""

from __future__ import annotations

import io
import mmap
import tracemalloc
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as from_numpy

from engine.dtypes import ELEMENT_TYPES
from engine.errors import SourceError, UnsupportedFormatError
from engine.heatmaps import full_view, read_grid
from engine.measures.reading import measure_tensor
from engine.sources import open as open_source

DTYPES = [kind.dtype for kind in ELEMENT_TYPES.values() if kind.dtype.isbuiltin == 1]


@pytest.fixture(params=[np.savez, np.savez_compressed], ids=["stored", "packed"])
def save(request, tmp_path):
    def write(**arrays):
        request.param(tmp_path / "x.npz", **arrays)
        return tmp_path / "x.npz"

    return write


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_type_in_either_byte_order_reads_back(dtype, order, save):
    array = (np.arange(24).reshape(4, 3, 2) % 2).astype(dtype).astype(dtype.newbyteorder(order))
    with open_source(save(x=array)) as source:
        found = source.read("x")
        assert ELEMENT_TYPES[source.info("x").dtype].dtype == dtype == found.dtype
        assert np.array_equal(found, array) and found.dtype.isnative
        assert np.array_equal(source.read_rows("x", 1, 3), array[1:3])


@settings(max_examples=60, deadline=None)
@given(
    from_numpy.arrays(
        st.sampled_from(["<f4", ">f4", "<f2", "<f8", "i1", "<i8", "?"]),
        from_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_any_array_in_any_order_reads_back(tmp_path_factory, array, is_fortran, is_packed, data):
    array = np.asfortranarray(array) if is_fortran else array
    path = tmp_path_factory.mktemp("any") / "x.npz"
    (np.savez_compressed if is_packed else np.savez)(path, x=array)
    with open_source(path) as source:
        found = source.read("x")
        assert found.shape == array.shape and found.flags.c_contiguous and not found.flags.writeable
        assert found.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()
        if array.ndim:
            start = data.draw(st.integers(0, len(array)))
            stop = data.draw(st.integers(start, len(array)))
            assert np.array_equal(
                source.read_rows("x", start, stop), array[start:stop], equal_nan=array.dtype.kind == "f"
            )


def test_stored_arrays_are_mapped_and_not_copied(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((512, 1024), np.float32))
    np.save(tmp_path / "y.npy", np.ones((512, 1024), np.float32))
    for name, tensor in (("x.npz", "x"), ("y.npy", "y")):
        tracemalloc.start()
        try:
            with open_source(tmp_path / name) as source:
                array = source.read(tensor)
                assert array.sum() == 512 * 1024
                assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
        base = array
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def test_packed_arrays_are_unpacked_once_when_read_front_to_back(tmp_path, monkeypatch):
    from engine.sources import npz_file

    array = np.random.default_rng(0).normal(size=(600, 5000)).astype(np.float32)
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(3), x=array)
    with open_source(tmp_path / "x.npz") as source:
        begun = []
        unpacker = npz_file.Unpacker
        monkeypatch.setattr(npz_file, "Unpacker", lambda *args: begun.append(args) or unpacker(*args))
        for start in range(0, 600, 50):
            assert np.array_equal(source.read_rows("x", start, start + 50), array[start : start + 50])
        assert len(begun) == 1
        source.read_rows("x", 3, 4)
        assert len(begun) == 2
        read_grid(source, source.info("x"), full_view(source.info("x"), 2, 2))  # compiles the kernels
        tracemalloc.start()
        try:
            read_grid(source, source.info("x"), full_view(source.info("x"), 2, 2))
            assert tracemalloc.get_traced_memory()[1] < 1.5 * array.nbytes
        finally:
            tracemalloc.stop()


def test_one_array_is_named_after_its_file(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "wte.npy", array)
    with open_source(tmp_path / "wte.npy") as source:
        assert (source.format, source.name) == ("npy", "wte")
        assert np.array_equal(source.read("wte"), array)
        assert np.array_equal(source.read_rows("wte", 1, 2), array[1:])
    np.save(tmp_path / "wpe.npy", array.T)
    with open_source(tmp_path) as folder:
        assert [info.name for info in folder.infos()] == ["wpe", "wte"]
        assert np.array_equal(folder.read("wpe"), array.T)


def test_names_with_slashes_and_members_that_are_no_arrays(tmp_path):
    np.savez(tmp_path / "x.npz", **{"params/Dense_0/kernel": np.ones((2, 2)), "b": np.zeros(1)})
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("README.txt", "hello")
        archive.mkdir("folder")
    with open_source(tmp_path / "x.npz") as source:
        assert [info.name for info in source.infos()] == ["params/Dense_0/kernel", "b"]


@pytest.mark.parametrize(
    "array",
    [
        np.array(["text", "more"]),
        np.array([b"bytes"]),
        np.zeros(3, [("a", "<f4"), ("b", "<i4")]),
        np.zeros(2, np.complex128),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.ones(4, ml_dtypes.bfloat16),
    ],
    ids=lambda array: array.dtype.str,
)
def test_arrays_that_are_no_numbers_are_listed_but_not_read(array, save):
    with open_source(save(x=array, y=np.ones(1))) as source:
        assert source.info("x").dtype == array.dtype.str.replace("<V", "|V")
        assert source.info("x").num_bytes == array.nbytes
        with pytest.raises(UnsupportedFormatError) as caught:
            source.read("x")
        assert caught.value.hint
        assert source.read("y") == 1
        assert "cannot measure" in measure_tensor(source, source.info("x")).error


def test_several_archives_in_one_folder_are_not_mixed(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(1))
    assert open_source(tmp_path).uri == str(tmp_path)
    np.savez(tmp_path / "b.npz", x=np.ones(1))
    with pytest.raises(SourceError, match="several npz models"):
        open_source(tmp_path)


def test_an_archive_is_told_from_pytorchs_whatever_its_name(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(2))
    (tmp_path / "x.npz").rename(tmp_path / "x.pt")
    assert open_source(tmp_path / "x.pt").format == "npz"


def test_the_second_header_format_reads(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.arange(5.0), version=(2, 0))
    (tmp_path / "x.npy").write_bytes(buffer.getvalue())
    assert open_source(tmp_path / "x.npy").read("x").tolist() == [0, 1, 2, 3, 4]


def test_an_archive_of_so_many_members_that_it_counts_them_in_64_bits_opens(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for i in range(66_000):  # more than the 16 bits of the usual table of contents
            archive.writestr(f"{i}.npy", _NPY)
    with open_source(tmp_path / "x.npz") as source:
        assert len(source.infos()) == 66_000 and source.read("65999") == 1


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(1))
    return buffer.getvalue()


_NPY = _npy()


@pytest.mark.real
def test_a_real_archive_equals_numpys_reading_and_float64_statistics(real_dir):
    path = real_dir / "g2p-en" / "checkpoint20.npz"
    with open_source(path) as source, np.load(path) as expected:
        assert {info.name for info in source.infos()} == set(expected.files)
        for info in source.infos():
            exact = expected[info.name]
            assert source.read(info.name).tobytes() == exact.tobytes()
            reading, exact = measure_tensor(source, info, threads=1), exact.astype(np.float64)
            assert reading.distribution.mean == pytest.approx(exact.mean(), rel=1e-12)
            assert reading.values["std"] == pytest.approx(exact.std(), rel=1e-12)
            assert reading.distribution.quantiles[7] == np.median(exact)
