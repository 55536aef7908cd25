"""Many models unattended: one that fails stops no other, and what was done is not done again."""

import json

import pytest

from engine.errors import Cancelled, JobError, SourceError
from tests.workflows.discovery_made import folder_of
from workflows.batch import BatchRequest, batch, targets
from workflows.jobs import Jobs
from workflows.reports import CallbackReport
from workflows.runs import RunFolder

STEPS = ("measure", "forensics")


@pytest.fixture
def three(tmp_path, write_safetensors):
    """A folder with two checkpoints and a broken one between."""
    for number, name in enumerate(("one", "two")):
        folder_of(tmp_path / "zoo" / name, write_safetensors, seed=number)
    broken = tmp_path / "zoo" / "one-b.safetensors"
    broken.write_bytes(b"\xff" * 64)
    return tmp_path / "zoo"


def test_a_failure_becomes_a_line_and_the_others_go_on(store, three):
    listed = three / "list.txt"
    listed.write_text("one # the first\n\none-b.safetensors\nnowhere\ntwo\n", encoding="utf-8")
    outcome = batch(BatchRequest((str(listed),), steps=STEPS), store=store)
    assert outcome.counts == {"done": 2, "partly": 0, "failed": 2}
    record = store.batch(outcome.run)
    assert [model.state for model in record.models] == ["done", "failed", "failed", "done"]
    assert "58 rows never updated" in record.models[0].words
    assert record.models[0].done == STEPS and record.is_finished
    assert "nowhere" in outcome.failures


def test_a_step_that_fails_leaves_the_others_done(store, three, monkeypatch):
    def fail(*_):
        raise RuntimeError("no")

    monkeypatch.setitem(__import__("workflows.batch", fromlist=["_DO"])._DO, "health", fail)
    outcome = batch(BatchRequest((str(three / "one"),), steps=("health", "forensics")), store=store)
    assert outcome.counts["partly"] == 1
    (model,) = store.batch(outcome.run).models
    assert model.done == ("measure", "forensics") and "health: RuntimeError: no" in model.words


def test_an_interrupted_batch_goes_on_where_it_was(store, three, tmp_path):
    run = RunFolder.create(tmp_path / "runs", "batch", {})
    request = BatchRequest((str(three),), steps=STEPS)

    def stop(progress):
        if progress.phase.startswith("2 of 2"):
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        batch(request, store=store, run=run, report=CallbackReport(stop))
    assert [model.state for model in store.batch(run.id).models] == ["done", "waiting"]
    assert not store.batch(run.id).is_finished
    (three / "one" / "model.safetensors").unlink()  # must not be looked at again
    outcome = batch(request, store=store, run=run)
    assert (outcome.num_resumed, outcome.counts["done"]) == (1, 2)


def test_folders_lists_and_tiers_mean_each_model_once(store, three):
    request = BatchRequest((str(three), str(three / "one")), tier=1).check()
    found = targets(store, request)
    assert [model.name for model in found[:2]] == ["one", "two"]
    uris = [model.uri for model in found]
    assert len(set(uris)) == len(uris)
    assert any(uri.startswith("hf://") for uri in uris)
    local = BatchRequest((str(three),), tier=1, is_local=True).check()
    assert not any(model.uri.startswith("hf://") for model in targets(store, local))


def test_unfit_requests_are_refused(store, tmp_path):
    with pytest.raises(JobError, match="no step"):
        BatchRequest(("x",), steps=("dance",)).check()
    with pytest.raises(JobError, match="got none"):
        BatchRequest().check()
    with pytest.raises(JobError, match="no tier"):
        BatchRequest(tier=9).check()
    (tmp_path / "empty").mkdir()
    with pytest.raises(JobError, match="nothing to measure"):
        targets(store, BatchRequest((str(tmp_path / "empty"),)).check())
    (tmp_path / "odd.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="cannot be read"):
        targets(store, BatchRequest((str(tmp_path / "odd.txt"),)).check())


def test_it_runs_as_a_job_with_its_summary_stored(three, data, store):
    board = Jobs(data)
    job = board.wait(board.start("batch", {"what": [str(three)], "steps": list(STEPS)}).id, timeout_s=120)
    assert job.state == "done", job.error
    assert job.result["counts"]["done"] == 2
    assert job.title == "Measure zoo"
    assert [model.state for model in store.batch(job.id).models] == ["done", "done"]


def test_the_command_prints_a_line_for_each_model_and_fails_if_one_did(command, three):
    said = command("batch", str(three), str(three / "gone.safetensors"), "--steps", "measure", "--json")
    assert said.returncode == 1
    assert json.loads(said.stdout)["counts"] == {"done": 2, "partly": 0, "failed": 1}
