"""Real checkpoints, every tensor of them, against the library that wrote their format."""

from __future__ import annotations

import numpy as np
import pytest

from engine.naming import ROLES, place
from engine.sources import open as open_source


def check_against_safetensors(path) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as expected, open_source(path) as source:
        assert {info.name for info in source.infos()} == set(expected.keys())
        assert source.metadata == (expected.metadata() or {})
        for info in source.infos():
            theirs, ours = expected.get_tensor(info.name), source.read(info.name)
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
            assert ours.tobytes() == theirs.tobytes()
            if info.shape:
                middle = info.shape[0] // 2
                assert source.read_rows(info.name, middle, info.shape[0]).tobytes() == theirs[middle:].tobytes()


def test_minilm_reads_as_the_library_reads_it(minilm_path):
    check_against_safetensors(minilm_path)


@pytest.mark.real
def test_every_safetensors_file_reads_as_the_library_reads_it(real_dir):
    paths = sorted(real_dir.glob("*/*.safetensors"))
    assert len(paths) >= 4
    for path in paths:
        check_against_safetensors(path)


@pytest.mark.real
def test_every_pytorch_file_reads_as_torch_reads_it(real_dir):
    torch = pytest.importorskip("torch")
    paths = sorted(real_dir.glob("*/*.th"))
    assert len(paths) >= 2
    for path in paths:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        with open_source(path) as source:
            assert [info.name for info in source.infos()] == list(state)
            assert all(np.array_equal(source.read(name), tensor.numpy()) for name, tensor in state.items())
            # the authors put the first eight digits of the hash into the file's name
            assert path.stem.endswith(source.content_hash()[:8])


@pytest.mark.real
def test_every_tensor_of_every_real_checkpoint_has_a_known_role(real_dir, minilm_path):
    for path in [*real_dir.glob("*/*.safetensors"), *real_dir.glob("*/*.th"), minilm_path]:
        for info in open_source(path).infos():
            assert place(info.name, info.shape).role in set(ROLES) - {"other"}, info.name
