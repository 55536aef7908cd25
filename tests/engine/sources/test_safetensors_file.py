"""Our reader of safetensors against the library's, against torch, and against bytes worked out by hand."""

from __future__ import annotations

import mmap
import re
import threading
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from engine.dtypes import ELEMENT_TYPES, unpack
from engine.errors import SourceError, TensorNotFoundError
from engine.sources import open as open_source

TORCH_TYPES = (
    "bool uint8 int8 int16 uint16 int32 uint32 int64 uint64 float16 bfloat16 float32 float64 complex64 "
    "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu"
)


def library_says(path) -> dict[str, tuple]:
    """name -> (dtype, shape, bytes), read by the safetensors library itself."""
    return {n: (v["dtype"], tuple(v["shape"]), bytes(v["data"])) for n, v in safetensors.deserialize(path.read_bytes())}


def test_the_table_holds_exactly_the_types_that_the_library_defines(tmp_path, write_raw):
    path = write_raw(tmp_path / "x.safetensors", {"a": {"dtype": "NONE", "shape": [0], "data_offsets": [0, 0]}})
    with pytest.raises(safetensors.SafetensorError) as caught:
        safetensors.deserialize(path.read_bytes())
    assert set(re.findall(r"`([A-Z][A-Z0-9_]+)`", str(caught.value))) - {"NONE"} == set(ELEMENT_TYPES)


@pytest.mark.parametrize("dtype", ELEMENT_TYPES)
def test_every_type_has_the_shape_and_bytes_that_the_library_reads(dtype, tmp_path, write_raw):
    kind = ELEMENT_TYPES[dtype]
    data = np.random.default_rng(7).integers(0, 2 if dtype == "BOOL" else 256, 6 * 4 * kind.bits // 8, np.uint8)
    header = {"pad": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}
    header["x"] = {"dtype": dtype, "shape": [6, 4], "data_offsets": [3, 3 + data.size]}
    path = write_raw(tmp_path / "x.safetensors", header, b"abc" + data.tobytes())
    with open_source(path) as source:
        array = source.read("x")
        info = source.info("x")
        assert library_says(path)["x"] == (info.dtype, info.shape, data.tobytes())
        assert (array.shape, array.dtype, info.num_bytes) == ((6, 4), kind.dtype, data.size)
        assert not array.flags.writeable
        if not kind.is_packed:
            assert array.tobytes() == data.tobytes()
        for start, stop in ((0, 6), (1, 2), (5, 6), (3, 3), (1, 4)):
            rows = source.read_rows("x", start, stop)
            assert rows.shape == (stop - start, 4)
            assert rows.tobytes() == array[start:stop].tobytes()


@pytest.mark.parametrize("dtype", TORCH_TYPES.split())
def test_values_equal_those_that_torch_saved(dtype, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_tensors

    tensor = (torch.arange(24).reshape(2, 3, 4) % (2 if dtype == "bool" else 24)).to(getattr(torch, dtype))
    save_tensors({"x": tensor, "scalar": tensor[1, 2, 3].clone()}, tmp_path / "x.safetensors")
    with open_source(tmp_path / "x.safetensors") as source:
        for name, expected in (("x", tensor), ("scalar", tensor[1, 2, 3])):
            found = source.read(name)
            assert found.shape == tuple(expected.shape)
            assert found.astype(np.complex128).tolist() == expected.to(torch.complex128).tolist()


def test_four_bit_floats_are_unpacked_low_nibble_first(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_tensors

    packed = torch.tensor([[0x10, 0x32], [0x54, 0x76], [0x98, 0xFE]], dtype=torch.uint8)
    save_tensors({"x": packed.view(torch.float4_e2m1fn_x2)}, tmp_path / "x.safetensors")
    with open_source(tmp_path / "x.safetensors") as source:
        assert source.info("x").shape == (3, 4)
        values = source.read("x").astype(np.float32)
        assert values.tolist() == [[0, 0.5, 1, 1.5], [2, 3, 4, 6], [-0.0, -0.5, -4, -6]]
        assert source.read_rows("x", 1, 2).astype(np.float32).tolist() == [[2, 3, 4, 6]]


def test_six_bit_elements_fill_three_bytes_by_four_from_the_lowest_bit():
    codes = [0b000001, 0b000010, 0b100011, 0b111111, 0b010101]
    word = sum(code << 6 * i for i, code in enumerate(codes))
    packed = np.frombuffer(word.to_bytes(6, "little"), np.uint8)
    for name in ("F6_E2M3", "F6_E3M2"):
        kind = ELEMENT_TYPES[name]
        for start in range(5):
            assert unpack(packed, kind, start, 5).view(np.uint8).tolist() == codes[start:]
            assert unpack(packed[:4], kind, start, 5).view(np.uint8).tolist() == codes[start:]


@given(st.binary(min_size=12, max_size=48), st.data())
def test_any_range_of_packed_elements_equals_a_bit_by_bit_reading(data, draw):
    kind = ELEMENT_TYPES[draw.draw(st.sampled_from(["F4", "F6_E2M3"]))]
    bits = "".join(f"{byte:08b}"[::-1] for byte in data)
    expected = [int(bits[i : i + kind.bits][::-1], 2) for i in range(0, len(bits) - kind.bits + 1, kind.bits)]
    start = draw.draw(st.integers(0, len(expected)))
    stop = draw.draw(st.integers(start, len(expected)))
    found = unpack(np.frombuffer(data, np.uint8), kind, start, stop)
    assert found.view(np.uint8).tolist() == expected[start:stop]


@pytest.mark.parametrize("shape", [(), (0,), (1,), (5,), (0, 4), (4, 0), (2, 3), (2, 3, 4), (2, 0, 3), (2, 1, 3, 2)])
def test_tensors_of_every_rank_and_of_no_elements_read_back(shape, tmp_path):
    array = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    deep = np.arange(32, dtype=np.int16).reshape(2, 2, 2, 2, 2)
    path = tmp_path / "x.safetensors"
    save_file({"a": array, "deep": deep, "z": array}, path)
    with open_source(path) as source:
        assert [source.info(name).shape for name in ("a", "deep", "z")] == [shape, deep.shape, shape]
        for name in ("a", "z"):
            found = source.read(name)
            assert found.shape == shape and found.dtype == np.float32
            assert np.array_equal(found, array)
            assert not found.flags.writeable
            if shape:
                assert np.array_equal(source.read_rows(name, 0, shape[0]), array)
                assert source.read_rows(name, 0, 0).shape == (0, *shape[1:])
        assert np.array_equal(source.read_rows("deep", 1, 2), deep[1:2])


names = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40).filter(
    lambda name: name != "__metadata__"
)
arrays = st.builds(
    lambda shape, dtype: np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape),
    st.lists(st.integers(0, 4), max_size=5).map(tuple),
    st.sampled_from([np.float32, np.float64, np.float16, np.int8, np.uint16, np.int64]),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, arrays, max_size=8), st.dictionaries(names, st.text(st.characters(codec="utf-8"))))
def test_whatever_the_library_writes_is_read_back_the_same(tmp_path_factory, tensors, metadata):
    path = tmp_path_factory.mktemp("any") / "x.safetensors"
    save_file(tensors, path, metadata=metadata or None)
    with open_source(path) as source:
        assert {info.name for info in source.infos()} == set(tensors)
        assert source.metadata == metadata
        for name, array in tensors.items():
            assert source.read(name).shape == array.shape
            assert source.read(name).tobytes() == array.tobytes()


def test_infos_come_in_file_order_with_their_byte_ranges(tmp_path, write_raw):
    header = {
        "second": {"dtype": "U8", "shape": [2], "data_offsets": [4, 6]},
        "empty": {"shape": [0, 9], "data_offsets": [6, 6], "dtype": "F32"},
        "first": {"data_offsets": [0, 4], "dtype": "F32", "shape": [1]},
    }
    path = write_raw(tmp_path / "x.safetensors", header, b"\x00\x00\x80?hi")
    with open_source(path) as source:
        infos = source.infos()
        assert [info.name for info in infos] == ["first", "second", "empty"]
        assert [path.read_bytes()[info.start : info.stop] for info in infos] == [b"\x00\x00\x80?", b"hi", b""]
        assert {info.file for info in infos} == {"x.safetensors"}
        assert (source.num_bytes, source.num_parameters) == (6, 3)


def test_a_header_without_tensors_and_a_padded_header_open(tmp_path, write_raw):
    assert open_source(write_raw(tmp_path / "a.safetensors", b"{}")).infos() == ()
    path = write_raw(tmp_path / "b.safetensors", b'{ \n"__metadata__" : { } }   \n')
    assert open_source(path).metadata == {}


def test_escaped_names_mean_what_json_says(tmp_path, write_raw):
    header = rb'{"a\u00e9\"\\\/\ud83d\ude00":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    path = write_raw(tmp_path / "x.safetensors", header, b"!")
    assert [info.name for info in open_source(path).infos()] == ['aé"\\/😀']
    assert list(library_says(path)) == ['aé"\\/😀']


def test_reading_maps_the_file_and_copies_nothing(tmp_path, write_raw):
    rows, width = 1 << 18, 1024  # a sparse file of 1 GiB
    header = {"x": {"dtype": "F32", "shape": [rows, width], "data_offsets": [0, rows * width * 4]}}
    path = write_raw(tmp_path / "x.safetensors", header)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + rows * width * 4)
    tracemalloc.start()
    try:
        with open_source(path) as source:
            whole = source.read("x")
            some = source.read_rows("x", rows - 3, rows)
            assert (some.shape, whole.shape) == ((3, width), (rows, width))
            assert not some.any()
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    base = whole
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def test_arrays_outlive_the_source_and_a_closed_source_reads_again(tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "x.safetensors", {"x": np.arange(1000, dtype=np.float32)})
    source = open_source(path)
    array = source.read("x")
    source.close()
    assert array.sum() == 499500
    assert source.read("x").sum() == 499500


def test_a_file_replaced_or_deleted_after_opening_is_refused(tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "x.safetensors", {"x": np.zeros(3)})
    source = open_source(path)
    write_safetensors(path, {"x": np.zeros(4)})
    with pytest.raises(SourceError, match="changed") as caught:
        source.read("x")
    assert caught.value.hint
    path.unlink()
    with pytest.raises(SourceError, match="cannot be read any more") as caught:
        source.read("x")
    assert caught.value.hint


def test_rows_out_of_range_and_rows_of_a_scalar_are_errors(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"x": np.zeros((3, 2)), "scalar": np.array(1.0)}, path)
    with open_source(path) as source:
        for start, stop in ((-1, 2), (2, 1), (0, 4)):
            with pytest.raises(SourceError, match="rows"):
                source.read_rows("x", start, stop)
        with pytest.raises(SourceError, match="scalar"):
            source.read_rows("scalar", 0, 1)


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "x.safetensors", {"encoder.layer.0.weight": np.zeros(1), "b": np.zeros(1)})
    with open_source(path) as source:
        with pytest.raises(TensorNotFoundError) as caught:
            source.read("encoder.layer.0.wieght")
        assert "encoder.layer.0.weight" in caught.value.hint
        with pytest.raises(TensorNotFoundError) as caught:
            source.info("\x00" * 50)
        assert caught.value.hint


def test_many_threads_read_one_source_at_once(tmp_path, write_safetensors):
    tensors = {f"t{i}": np.full((50, 7), i, ml_dtypes.bfloat16).view(np.uint16) for i in range(40)}
    path = write_safetensors(tmp_path / "x.safetensors", tensors)
    source, wrong, barrier = open_source(path), [], threading.Barrier(8)

    def check() -> None:
        barrier.wait()
        wrong.extend(n for n, array in tensors.items() if not np.array_equal(source.read(n), array))

    threads = [threading.Thread(target=check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
