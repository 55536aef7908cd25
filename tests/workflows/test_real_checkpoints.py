"""Real checkpoints by others, measured and compared with float64 arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from workflows.extract import extract

pytestmark = pytest.mark.real


def safetensors_arrays(path):
    import ml_dtypes  # noqa: F401 — gives numpy the type bfloat16
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        for name in file.keys():  # noqa: SIM118 — it is no dict
            yield name, file.get_tensor(name)


def torch_arrays(path):
    import torch

    loaded = torch.load(path, map_location="cpu", weights_only=True)
    for name, tensor in loaded.get("state_dict", loaded).items():
        yield name, tensor.numpy()


def check(store, path, arrays, assert_agrees) -> None:
    outcome = extract(str(path), store=store)
    assert outcome.failures == {}
    stored = set(store.tensor_stats(outcome.content_hash)["tensor"])
    named = {name if name in stored else f"state_dict.{name}": array for name, array in arrays}
    assert len(named) > 0 and named.keys() <= stored and outcome.num_tensors == len(stored)
    assert_agrees(store, outcome.content_hash, named)


def test_minilm_agrees_with_float64(store, minilm_path, assert_agrees):
    check(store, minilm_path, safetensors_arrays(minilm_path), assert_agrees)


@pytest.mark.parametrize(
    "name",
    ["bert-tiny-sst2-encoder", "bert-tiny-emotion-encoder", "stories260K-hf", "silero-vad/silero_vad_16k.safetensors"],
)
def test_real_safetensors_agree_with_float64(store, real_dir, name, assert_agrees):
    path = real_dir / name
    file = path / "model.safetensors" if path.is_dir() else path
    check(store, path, safetensors_arrays(file), assert_agrees)


def test_a_real_pytorch_file_agrees_with_float64(store, real_dir, assert_agrees):
    path = real_dir / "resnet-cifar10" / "resnet20-12fca82f.th"
    check(store, path, torch_arrays(path), assert_agrees)


def test_all_real_checkpoints_are_found_by_a_scan(store, real_dir):
    from workflows.library import scan_folder

    found = scan_folder(store, real_dir)
    assert {"bert-tiny-sst2-encoder", "stories260K-hf"} <= {known.name for known in found.added}
    assert {known.format for known in found.added} >= {"safetensors", "pytorch"}
    assert np.all([known.num_parameters > 0 for known in found.added])
