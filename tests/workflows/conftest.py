"""What the tests of workflows share: stores, small checkpoints, the command line, and slow, obvious statistics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pytest

from engine.measures.results import QUANTILE_PERCENTS
from storage.location import DATABASE_NAME
from storage.store import Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data(tmp_path) -> Path:
    """A data folder of the test's own."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def store(data) -> Store:
    return Store(data)


@pytest.fixture
def tiny(tmp_path, write_safetensors) -> Path:
    """A checkpoint of five tensors in four types."""
    import ml_dtypes

    random = np.random.default_rng(7)
    arrays = {
        "embeddings.word_embeddings.weight": random.normal(size=(50, 16)).astype(np.float32),
        "encoder.layer.0.attention.self.query.weight": random.standard_t(3, size=(16, 16)).astype(ml_dtypes.bfloat16),
        "encoder.layer.0.attention.self.query.bias": random.normal(size=16).astype(np.float16),
        "encoder.layer.0.intermediate.dense.weight": random.normal(size=(32, 16)).astype(np.float32),
        "position_ids": np.arange(50, dtype=np.int64),
    }
    return write_safetensors(tmp_path / "tiny.safetensors", arrays, {"made_by": "a test"})


@pytest.fixture(scope="session")
def many(tmp_path_factory) -> Path:
    """A checkpoint of so many tensors that measuring it takes seconds."""
    from safetensors.numpy import save_file

    path = tmp_path_factory.mktemp("many") / "many.safetensors"
    random = np.random.default_rng(11)
    save_file({f"layers.{i}.weight": random.normal(size=(48, 40)).astype(np.float32) for i in range(500)}, path)
    return path


@pytest.fixture(scope="session")
def undisturbed(many, tmp_path_factory) -> Path:
    """A data folder into which another process measured `many` without any disturbance.

    The first process may have to compile the kernels. Its sums then differ in the last bit from those of every process
    that loads them from the cache, as the jobs do: so the second one counts.
    """
    for name in ("compiled", "cached"):
        folder = tmp_path_factory.mktemp(name)
        subprocess.run(command_words("extract", many, "--data", folder), cwd=ROOT, check=True, capture_output=True)
    return folder


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(data, capsys, monkeypatch):
    """Run a command on the test's data folder, in this process: command("models", "--json") -> Ended."""
    from workflows.command_line import main

    monkeypatch.setenv("WEIGHTSCOPE_DATA", str(data))

    def run(*words: str) -> Ended:
        capsys.readouterr()
        try:
            code = main(list(words))
        except SystemExit as exit_:
            code = exit_.code
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def begin(data):
    """Start `python -m workflows …` and go on: begin("extract", path)."""

    def start(*words: str) -> subprocess.Popen:
        environment = os.environ | {"WEIGHTSCOPE_DATA": str(data)}
        pipe = subprocess.PIPE
        return subprocess.Popen(command_words(*words), cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)

    return start


def command_words(*words: str) -> list[str]:
    return [sys.executable, "-m", "workflows", *map(str, words)]


@pytest.fixture
def content():
    """Everything a database holds but times: table -> sorted rows. Two equal measurements give equal content."""

    def read(folder: Path) -> dict[str, list[str]]:
        with duckdb.connect(str(Path(folder) / DATABASE_NAME), read_only=True) as connection:
            tables = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
            found = {}
            for table in tables:
                columns = connection.execute(f"DESCRIBE {table}").fetchall()
                kept = [row[0] for row in columns if row[0] not in VARYING]
                rows = connection.execute(f'SELECT {", ".join(kept) or "1"} FROM "{table}"').fetchall()
                found[table] = sorted(json.dumps(row, default=repr) for row in rows)
            return found

    return read


VARYING = {"measured_at", "elapsed_s", "added_at", "applied_at", "created_at", "fitted_at"}


@pytest.fixture
def assert_agrees():
    """assert_agrees(store, content_hash, {name: array}): what is stored of tensors is what float64 arithmetic gives."""

    def check(store: Store, content_hash: str, arrays: dict[str, np.ndarray]) -> None:
        every = store.tensor_stats(content_hash).set_index("tensor")
        for name, array in arrays.items():
            check_one(every.loc[name], store.distribution(content_hash, name), array)

    def check_one(stats, stored, array: np.ndarray) -> None:
        exact = np.asarray(array).astype(np.float64).ravel()
        finite = exact[np.isfinite(exact)]
        assert stats["count"] == exact.size
        assert stats["zeros"] == (exact == 0).sum()
        assert stats["nan"] == np.isnan(exact).sum()
        assert stats["posinf"] == np.isposinf(exact).sum()
        assert stats["neginf"] == np.isneginf(exact).sum()
        assert stats["num_bytes"] == np.asarray(array).nbytes
        if finite.size == 0:
            assert np.isnan(stats["mean"]) and np.isnan(stored.quantiles).all()
            return
        _assert_moments(stats, finite)
        quantiles = np.quantile(finite, np.array(QUANTILE_PERCENTS) / 100)
        np.testing.assert_allclose(stored.quantiles, quantiles, rtol=1e-15, atol=0)
        np.testing.assert_array_equal(stored.bin_counts, np.histogram(finite, bins=256)[0])

    return check


def _assert_moments(stats, finite: np.ndarray) -> None:
    mean = finite.mean()
    centred = finite - mean
    m2, m3, m4 = ((centred**power).mean() for power in (2, 3, 4))
    scale = np.abs(finite).max()
    assert stats["min"] == finite.min() and stats["max"] == finite.max() and stats["abs_max"] == scale
    close = {"rel_tol": 1e-11, "abs_tol": 1e-12 * scale}
    assert np.isclose(stats["mean"], mean, rtol=close["rel_tol"], atol=close["abs_tol"])
    np.testing.assert_allclose(stats["std"], np.sqrt(m2), rtol=1e-11, atol=1e-14 * scale)
    np.testing.assert_allclose(stats["l1_norm"], np.abs(finite).sum(), rtol=1e-11)
    np.testing.assert_allclose(stats["l2_norm"], np.sqrt((finite**2).sum()), rtol=1e-11)
    if np.sqrt(m2) > 1e-9 * scale:
        np.testing.assert_allclose(stats["skewness"], m3 / m2**1.5, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(stats["kurtosis"], m4 / m2**2 - 3, rtol=1e-9, atol=1e-10)
