"""Every query of docs/sql.md runs, and finds something, in a database of real readings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from engine.measures.reading import measure_array
from engine.measures.registry import settings_hash
from engine.naming import Place
from engine.sources.base import TensorInfo
from engine.spectra.reading import measure_array as measure_spectrum
from storage.records import Metric, ModelRecord, TensorRecord, Thumbnail
from storage.spectra import SpectrumRecord
from storage.store import Store

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
PLACES = {
    "model.embed_tokens.weight": (Place(None, "token_embedding", "weight"), (40, 12)),
    "model.layers.0.self_attn.q_proj.weight": (Place(0, "query", "weight"), (12, 12)),
    "model.layers.0.mlp.up_proj.weight": (Place(0, "ffn_in", "weight"), (30, 12)),
    "model.layers.1.self_attn.q_proj.weight": (Place(1, "query", "weight"), (12, 12)),
    "model.layers.1.mlp.up_proj.weight": (Place(1, "ffn_in", "weight"), (30, 12)),
    "model.norm.weight": (Place(None, "final_norm", "weight"), (12,)),
}


def matrix(tensor: str, scale: float) -> np.ndarray:
    return (scale * np.random.default_rng(len(tensor)).standard_t(4, size=PLACES[tensor][1])).astype(np.float32)


def spectra_of(scale: float) -> list[SpectrumRecord]:
    arrays = {tensor: matrix(tensor, scale) for tensor, (_, shape) in PLACES.items() if len(shape) == 2}
    return [SpectrumRecord(tensor, *array.shape, measure_spectrum(array)) for tensor, array in arrays.items()]


def make_model(name: str, scale: float) -> ModelRecord:
    rng = np.random.default_rng(round(100 * scale))
    tensors = []
    for tensor, (place, shape) in PLACES.items():
        array = (scale * rng.standard_t(4, size=shape)).astype(np.float32)
        if place.role == "token_embedding":
            array[3], array[7], array[9, 0] = 0, 20 * scale, np.nan
        info = TensorInfo(tensor, shape, "F32", array.nbytes, "model.safetensors")
        thumbnail = Thumbnail(np.atleast_2d(array)[:32, :32])
        tensors.append(TensorRecord(info, place, measure_array(array, threads=1), thumbnail))
    return ModelRecord(
        f"{round(100 * scale):064d}", name, f"/models/{name}", "safetensors", "llama", tensors=tuple(tensors)
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    made = Store(tmp_path_factory.mktemp("home") / "data")
    for name, scale in (("starter-init", 0.02), ("starter", 0.05)):
        made.save_model(make_model(name, scale), settings_hash())
        made.save_spectra(name, spectra_of(scale), "made")
    run = made.start_experiment("pretraining", "starter", {"lr": 3e-4})
    made.append_metrics(run, [Metric(step, "loss", 3.0 - step) for step in range(3)])
    made.finish_experiment(run)
    return made


@pytest.mark.parametrize("sql", QUERIES, ids=[f"query {number}" for number in range(len(QUERIES))])
def test_a_query_of_the_document_finds_rows(store, sql):
    result = store.query(sql)
    assert result.num_rows > 0
    assert not result.truncated
    assert result.to_pandas().notna().any().all() or "failure" in result.columns


def test_the_document_has_its_ten_questions_one_on_the_columns_and_one_on_spectra():
    assert re.findall(r"^\*\*(\d+)\. ", DOCUMENT, re.MULTILINE) == [str(number) for number in range(1, 11)]
    assert len(QUERIES) == 12


def test_the_document_names_every_table_and_view(store):
    with duckdb.connect(str(store.path), read_only=True) as connection:
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
    assert [name for (name,) in names if f"`{name}`" not in DOCUMENT] == []


def test_the_python_of_the_document_runs_as_it_stands(store):
    code = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=store.folder.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "model.embed_tokens.weight" in done.stdout


def test_the_answers_are_right(store):
    broken = store.query(QUERIES[3]).table.to_pylist()
    assert [(row["model"], row["nan"], row["dead_rows"]) for row in broken] == [
        ("starter", 1, 1),
        ("starter-init", 1, 1),
    ]
    histogram = store.query(QUERIES[8]).table.to_pydict()
    assert sum(histogram["elements"]) == 40 * 12 - 1
    assert store.query(QUERIES[9]).table.to_pylist()[0]["row"] == 7
    last = store.query(QUERIES[11]).table.to_pylist()[0]
    assert (last["steps"], last["last"], last["status"]) == (2, 1.0, "done")
