"""What the tests of the hub share: sharded models, short waits, and the same model as local files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.sources import hub_patience
from storage.store import Store


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    """Tries again at once; how long it would have waited is tested by itself."""
    monkeypatch.setattr(hub_patience, "FIRST_WAIT_S", 0.002)


@pytest.fixture
def store(tmp_path) -> Store:
    folder = tmp_path / "data"
    folder.mkdir()
    return Store(folder)


@pytest.fixture
def sharded(tmp_path, write_safetensors, write_index) -> Path:
    """A folder with a model in three shards, of several types and sizes, and its config."""
    import ml_dtypes

    random = np.random.default_rng(5)
    folder = tmp_path / "sharded"
    shards = {
        "model-00001-of-00003.safetensors": {
            "model.embed_tokens.weight": random.normal(size=(5000, 64)).astype(ml_dtypes.bfloat16),
            "model.norm.weight": random.normal(size=64).astype(np.float32),
        },
        "model-00002-of-00003.safetensors": {
            f"model.layers.{layer}.{name}": random.normal(size=shape).astype(np.float16)
            for layer in range(3)
            for name, shape in {"self_attn.q_proj.weight": (64, 64), "self_attn.q_proj.bias": (64,)}.items()
        },
        "model-00003-of-00003.safetensors": {
            "lm_head.weight": random.normal(size=(3000, 64)).astype(np.float32),
            "empty": np.zeros((0, 4), np.float32),
            "scalar": np.array(2.5, np.float64),
        },
    }
    for file, arrays in shards.items():
        write_safetensors(folder / file, arrays, {"format": "pt"})
    write_index(
        folder / "model.safetensors.index.json", {name: file for file, arrays in shards.items() for name in arrays}
    )
    (folder / "config.json").write_text('{"model_type": "llama", "hidden_size": 64}')
    return folder


@pytest.fixture
def sharded_on_hub(sharded, hub_server) -> str:
    """The same as `hf://…`."""
    hub_server.add("weightscope/sharded", {path.name: path for path in sharded.iterdir()})
    return "hf://weightscope/sharded"
