"""A hub on loopback, and a tiny model on it or, with `--online`, on the real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.hub.server import HubServer

ONLINE_MODEL = os.environ.get("WEIGHTSCOPE_ONLINE_MODEL", "hf-internal-testing/tiny-random-LlamaForCausalLM")
"""A public model of a few megabytes with safetensors weights."""


@pytest.fixture
def hub_settings(monkeypatch, tmp_path) -> Iterator[Path]:
    """huggingface_hub online, with a cache of the test's own and no token. Returns: the cache's folder.

    The environment is for processes that the test starts, the constants for this one, which read it long ago.
    """
    from huggingface_hub import constants

    cache = tmp_path / "hub-cache"
    for name, value in {
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_CACHE": str(cache),
        "HF_TOKEN_PATH": str(tmp_path / "no-token"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    yield cache


@pytest.fixture
def hub_server(hub_settings, monkeypatch) -> Iterator[HubServer]:
    """A hub on loopback that this process, and those it starts, take for the real one."""
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    yield server
    server.close()


@dataclass(frozen=True)
class HubModel:
    """A model on a hub. server: the local hub; None where it is the real one."""

    name: str
    server: HubServer | None

    @property
    def uri(self) -> str:
        return f"hf://{self.name}"


@pytest.fixture
def hub_model(request, hub_settings, tmp_path, write_safetensors) -> HubModel:
    """A tiny model of one safetensors file: on a hub on loopback, or with `--online` on the real one."""
    if request.config.getoption("--online"):
        return HubModel(ONLINE_MODEL, None)
    server = request.getfixturevalue("hub_server")
    random = np.random.default_rng(3)
    arrays = {
        "model.embed_tokens.weight": random.normal(size=(300, 32)).astype(np.float32),
        "model.layers.0.self_attn.q_proj.weight": random.normal(size=(32, 32)).astype(np.float16),
        "model.layers.0.self_attn.q_proj.bias": random.normal(size=32).astype(np.float32),
        "model.layers.0.mlp.up_proj.weight": random.normal(size=(64, 32)).astype(np.float32),
        "steps": np.array(7, np.int64),
    }
    weights = write_safetensors(tmp_path / "made" / "model.safetensors", arrays, {"format": "pt"})
    files = {"model.safetensors": weights, "config.json": '{"model_type": "llama"}', "README.md": "# Tiny\n"}
    server.add("weightscope/tiny", files)
    return HubModel("weightscope/tiny", server)
