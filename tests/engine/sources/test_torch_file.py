"""PyTorch files: what torch itself loads from them is what the source gives."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from engine.dtypes import ELEMENT_TYPES
from engine.errors import SourceError, TensorLayoutError, UnsupportedFormatError
from engine.sources import open as open_source

torch = pytest.importorskip("torch")

DTYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64),
    *(torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu),
]


@pytest.fixture(params=[True, False], ids=["archive", "old format"])
def save(request, tmp_path):
    def write(value, name="weights.pt"):
        torch.save(value, tmp_path / name, _use_new_zipfile_serialization=request.param)
        return tmp_path / name

    return write


LATE_TYPES = {torch.uint16, torch.uint32, torch.uint64, *(dtype for dtype in DTYPES if "float8" in str(dtype))}
"""Torch itself cannot load these from its old format, although it writes them there."""


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("is_archive", [True, False])
def test_every_type_comes_as_its_numpy_type_with_the_same_values(dtype, is_archive, tmp_path):
    tensor = (torch.arange(24).reshape(2, 3, 4) % (2 if dtype == torch.bool else 24)).to(dtype)
    value = {"x": tensor, "scalar": tensor[1, 0, 3].clone()}
    torch.save(value, tmp_path / "x.pt", _use_new_zipfile_serialization=is_archive)
    if dtype in LATE_TYPES and not is_archive:
        with pytest.raises(SourceError):
            open_source(tmp_path / "x.pt")
        return
    with open_source(tmp_path / "x.pt") as source:
        array, info = source.read("x"), source.info("x")
        assert source.format == "pytorch"
        assert array.dtype == ELEMENT_TYPES[info.dtype].dtype
        assert info.num_bytes == array.nbytes == tensor.numel() * tensor.element_size()
        assert not array.flags.writeable and array.flags.c_contiguous
        assert array.astype(np.complex128).tolist() == tensor.to(torch.complex128).tolist()
        assert source.read_rows("x", 1, 2).tobytes() == array[1:2].tobytes()
        assert source.read("scalar").shape == ()
        assert source.read("scalar").tobytes() == array[1, 0, 3].tobytes()


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (2, 3), (2, 1, 3, 1, 2)])
def test_every_shape_reads_back(shape, save):
    tensor = torch.arange(int(np.prod(shape)), dtype=torch.float32).reshape(shape)
    with open_source(save({"x": tensor})) as source:
        assert source.read("x").shape == shape
        assert np.array_equal(source.read("x"), tensor.numpy())


def test_an_archive_is_mapped_and_not_copied(tmp_path):
    torch.save({"x": torch.ones(1 << 20), "t": torch.ones(4, 8).T}, tmp_path / "x.pt")
    source = open_source(tmp_path / "x.pt")
    first, second = source.read("x"), source.read("x")
    assert np.shares_memory(first, second)
    assert source.read("t").flags.c_contiguous


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_the_state_dict_of_a_training_checkpoint_is_found(key, save):
    state = collections.OrderedDict(a=torch.ones(2), b=torch.zeros(3))
    optimizer = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
    with open_source(save({key: state, "optimizer": optimizer, "epoch": 3, "note": "hi"})) as source:
        assert [info.name for info in source.infos()] == ["a", "b"]


def test_nested_containers_are_joined_by_dots_and_other_leaves_ignored(save):
    value = {"generator": {"w": torch.ones(1), "lr": 0.5}, "layers": [torch.zeros(2), None, (torch.ones(3),)]}
    with open_source(save(value)) as source:
        assert [info.name for info in source.infos()] == ["generator.w", "layers.0", "layers.2.0"]


def test_a_lone_tensor_is_a_checkpoint_of_one(save):
    assert [info.name for info in open_source(save(torch.ones(3))).infos()] == ["tensor"]


def test_tied_and_transposed_and_expanded_tensors_read_right(save):
    base = torch.arange(12.0).reshape(3, 4)
    value = {"a": base, "tied": base, "t": base.T, "row": base[1], "wide": base[:1].expand(5, 4)}
    value["parameter"] = torch.nn.Parameter(base)
    with open_source(save(value)) as source:
        for name, tensor in value.items():
            assert np.array_equal(source.read(name), tensor.detach().numpy())
            assert np.array_equal(source.read_rows(name, 1, 3), tensor.detach().numpy()[1:3])


def test_a_tensor_that_repeats_one_number_without_end_is_refused(save):
    with pytest.raises(TensorLayoutError, match="larger than its data"):
        open_source(save({"bomb": torch.ones(1).expand(1 << 40)}))


def test_tensors_that_numpy_cannot_hold_are_listed_but_not_read(save):
    sparse = torch.eye(3).to_sparse()
    with open_source(save({"a": torch.ones(1), "s": sparse, "c": torch.ones(2, dtype=torch.complex128)})) as source:
        assert [info.name for info in source.infos()] == ["a", "s", "c"]
        for name in ("s", "c"):
            with pytest.raises(UnsupportedFormatError) as caught:
                source.read(name)
            assert caught.value.hint


def test_a_file_without_tensors_is_refused(save):
    for value in ({}, {"lr": 0.1}, [1, 2], "text", None):
        with pytest.raises(UnsupportedFormatError, match="no tensors"):
            open_source(save(value))


def test_an_old_file_too_large_for_memory_is_refused_and_an_archive_is_not(tmp_path, monkeypatch):
    from engine.sources import torch_load

    monkeypatch.setattr(torch_load, "MAX_LEGACY_BYTES", 100)
    torch.save({"x": torch.ones(100)}, tmp_path / "x.pt")
    assert len(open_source(tmp_path / "x.pt").infos()) == 1
    torch.save({"x": torch.ones(100)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(UnsupportedFormatError, match="old format"):
        open_source(tmp_path / "x.pt")


def test_a_sharded_bin_with_its_index_opens_as_one(tmp_path, write_index):
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({"b": torch.ones(3)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    torch.save({"lr": 1}, tmp_path / "training_args.bin")
    weight_map = {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}
    index = write_index(tmp_path / "pytorch_model.bin.index.json", weight_map)
    for path in (tmp_path, index):
        source = open_source(path)
        assert [info.name for info in source.infos()] == ["a", "b"] and source.format == "pytorch"
    index.unlink()
    assert len(open_source(tmp_path).infos()) == 2
    torch.save({"all": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    assert [info.name for info in open_source(tmp_path).infos()] == ["all"]


def test_damaged_files_are_errors_with_a_hint(save):
    path = save({"x": torch.ones(1000)})
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(SourceError) as caught:
            open_source(path)
        assert caught.value.hint
