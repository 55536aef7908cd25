"""Taking the signatures of a checkpoint, here and as a job."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from engine.discovery.signature import HeadRun, SignatureSettings, signature
from engine.discovery.signature.reading import head_runs, tensor_signature
from engine.errors import Cancelled, JobError, SourceError
from engine.sources.opening import open_source
from storage.neighbours import Among
from storage.store import Store
from workflows.extract import extract
from workflows.jobs import Jobs
from workflows.reports import CallbackReport
from workflows.runs import RunFolder
from workflows.signatures import SignaturesSettings, signatures

MATRICES = [
    "embeddings.word_embeddings.weight",
    "encoder.layer.0.attention.self.query.weight",
    "encoder.layer.0.intermediate.dense.weight",
]


def stop_at(phase: str, done: int = 0) -> CallbackReport:
    def stop(progress):
        if progress.phase == phase and progress.done >= done:
            raise Cancelled("Enough.")

    return CallbackReport(stop)


def stored(store: Store, model: str) -> dict[str, np.ndarray]:
    table = store.signatures([model])
    return dict(zip(table.places["tensor"], table.values, strict=True))


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected.astype(np.float32), rtol=1e-6, atol=1e-9)


def test_every_matrix_has_the_signature_that_was_taken_of_it(store, tiny):
    outcome = signatures(str(tiny), store=store)
    assert (outcome.num_matrices, outcome.problems, outcome.was_stored) == (3, {}, False)
    found = stored(store, outcome.content_hash)
    assert sorted(found) == sorted(MATRICES)
    with open_source(tiny) as source:
        for name in MATRICES:
            assert_same(found[name], tensor_signature(source, source.info(name)).values)
    assert store.similar_tensors(outcome.name, MATRICES[0], Among(model="any")).shape[0] == 2


def test_an_unmeasured_model_is_measured_first_and_a_measured_one_not_again(store, tiny):
    extract(str(tiny), store=store)
    measured_at = store.models()[0].measured_at
    outcome = signatures(str(tiny), store=store)
    assert store.models()[0].measured_at == measured_at
    assert len(store.tensor_stats(outcome.content_hash)) == 5


def test_signatures_are_not_taken_twice_unless_asked_otherwise(store, tiny):
    assert not signatures(str(tiny), store=store).was_stored
    again = signatures(str(tiny), store=store)
    assert (again.was_stored, again.num_matrices) == (True, 3)
    sampled = SignaturesSettings(signature=SignatureSettings(max_elements=300, sample_elements=256))
    outcome = signatures(str(tiny), store=store, settings=sampled)
    assert (outcome.was_stored, outcome.num_estimates) == (False, 2)
    shares = store.signatures([outcome.content_hash]).places.set_index("tensor")["share"]
    assert (shares[MATRICES] < 1).tolist() == [True, False, True]


def test_a_matrix_without_a_signature_becomes_a_row_with_its_reason(store, tmp_path, write_safetensors):
    arrays = {"good": np.eye(12, dtype=np.float32), "nan": np.array([[1, np.nan], [1, 2]], np.float32)}
    arrays |= {"empty": np.zeros((0, 7), np.float32), "vector": np.ones(5, np.float32)}
    outcome = signatures(str(write_safetensors(tmp_path / "odd.safetensors", arrays)), store=store)
    assert outcome.num_matrices == 1
    assert list(outcome.problems) == ["nan"] and "1 NaN" in outcome.problems["nan"]


def test_heads_are_told_apart_where_the_config_says_them(store, tmp_path, write_safetensors):
    random = np.random.default_rng(0)
    names = ("q_proj", "k_proj", "v_proj", "o_proj")
    arrays = {
        f"model.layers.0.self_attn.{name}.weight": random.normal(size=(16, 16)).astype(np.float32) for name in names
    }
    arrays["model.layers.0.self_attn.q_proj.weight"][:8] *= 3
    path = write_safetensors(tmp_path / "model.safetensors", arrays)
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 4, "hidden_size": 16}))
    with open_source(path) as source:
        assert len(head_runs(source)) == 4
    outcome = signatures(str(path), store=store)
    heads = tuple(HeadRun(0, start, start + 4) for start in range(0, 16, 4))
    query = next(iter(arrays))
    expected = signature(arrays[query], heads=heads)
    assert_same(stored(store, outcome.content_hash)[query], expected.values)
    assert expected["head_norm_cv"] > 0.3


@pytest.mark.parametrize("threads", [1, 3])
def test_large_and_small_matrices_give_the_same_on_any_number_of_threads(store, tiny, monkeypatch, threads):
    monkeypatch.setattr("workflows.signatures.LARGE_SIDE", 15)
    outcome = signatures(str(tiny), store=store, settings=SignaturesSettings(threads=threads))
    with open_source(tiny) as source:
        for name in MATRICES:
            expected = tensor_signature(source, source.info(name)).values
            assert_same(stored(store, outcome.content_hash)[name], expected)


def test_cancelling_in_any_phase_stores_no_signature(store, tiny):
    extract(str(tiny), store=store)
    for phase in ("hashing", "preparing kernels", "taking signatures", "storing"):
        with pytest.raises(Cancelled):
            signatures(str(tiny), store=store, report=stop_at(phase))
        assert not store.has_signatures(store.models()[0].content_hash)


def test_progress_reaches_its_total(store, tiny):
    seen = []
    signatures(str(tiny), store=store, report=CallbackReport(seen.append))
    steps = [progress for progress in seen if progress.phase == "taking signatures"]
    done = [progress.done for progress in steps]
    assert done == sorted(done) and done[-1] == steps[-1].total > 0
    assert {progress.current for progress in steps} >= set(MATRICES)


def test_a_resumed_run_takes_finished_signatures_and_stores_the_same(store, tiny, data, tmp_path, content):
    run = RunFolder.create(data / "runs", "signatures", {})
    one = SignaturesSettings(threads=1)
    extract(str(tiny), store=store)
    with pytest.raises(Cancelled):
        signatures(str(tiny), store=store, run=run, settings=one, report=stop_at("taking signatures", 2))
    kept = list(run.checkpoints.rglob("*.npz"))
    assert 0 < len(kept) < 3
    outcome = signatures(str(tiny), store=store, run=run, settings=one)
    assert outcome.num_resumed == len(kept) and list(run.checkpoints.rglob("*.npz")) == []
    signatures(str(tiny), store=Store(tmp_path / "undisturbed"), settings=one)
    assert content(data) == content(tmp_path / "undisturbed")


def test_a_damaged_part_is_taken_again(store, tiny, data):
    extract(str(tiny), store=store)
    run = RunFolder.create(data / "runs", "signatures", {})
    with pytest.raises(Cancelled):
        signatures(str(tiny), store=store, run=run, report=stop_at("storing"))
    parts = sorted(run.checkpoints.rglob("*.npz"))
    assert len(parts) == 3
    parts[0].write_bytes(parts[0].read_bytes()[:-40])
    assert signatures(str(tiny), store=store, run=run).num_resumed == 2


def test_a_file_that_changes_meanwhile_stores_nothing(store, tiny):
    extract(str(tiny), store=store)

    def touch(progress):
        if progress.phase == "taking signatures":
            os.utime(tiny, (1, 1))

    with pytest.raises(SourceError, match="changed"):
        signatures(str(tiny), store=store, report=CallbackReport(touch))
    assert not store.has_signatures(store.models()[0].content_hash)


def test_a_job_takes_signatures_and_tells_how_it_went(store, data, tiny):
    jobs = Jobs(data)
    job = jobs.start("signatures", {"model": str(tiny), "name": "Tiny"})
    assert job.title == "Take signatures of Tiny"
    done = jobs.wait(job.id, 120)
    assert (done.state, done.error, done.result["num_matrices"]) == ("done", None, 3)
    assert store.has_signatures(done.result["content_hash"])
    assert "3 signatures" in (done.folder / "log.txt").read_text(encoding="utf-8")
    with pytest.raises(JobError):
        jobs.start("signatures", {})


def test_the_command_line_says_what_was_done(command, tiny):
    first = command("signatures", str(tiny), "--threads", "1")
    assert first.returncode == 0 and "3 signatures" in first.stdout
    again = json.loads(command("signatures", str(tiny), "--json").stdout)
    assert (again["was_stored"], again["num_matrices"]) == (True, 3)
    assert "nothing to do" in command("signatures", str(tiny)).stdout
    refused = command("signatures", str(tiny), "--background", "--threads", "2")
    assert refused.returncode == 1 and "--threads" in refused.stderr
