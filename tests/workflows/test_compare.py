"""Comparing is a job: measured first where needed, stored whole, stopped and resumed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.errors import Cancelled, JobError
from workflows.compare import CompareSettings, compare, compare_versions
from workflows.job_kinds import KINDS
from workflows.jobs import Jobs
from workflows.reports import CallbackReport
from workflows.runs import RunFolder


@pytest.fixture
def versions(tmp_path, write_safetensors):
    """Three versions of a model: one matrix changes from the first to the second, another to the third."""
    random = np.random.default_rng(2)
    arrays = {f"layers.{i}.mlp.up_proj.weight": random.normal(size=(24, 16)).astype(np.float32) for i in range(4)}
    paths = [write_safetensors(tmp_path / "v0.safetensors", arrays)]
    for i in (1, 2):
        arrays[f"layers.{i}.mlp.up_proj.weight"] = arrays[f"layers.{i}.mlp.up_proj.weight"] + np.float32(0.5)
        paths.append(write_safetensors(tmp_path / f"v{i}.safetensors", arrays))
    return [str(path) for path in paths]


def test_a_comparison_measures_both_and_is_stored(store, versions):
    outcome = compare(*versions[:2], store=store)
    assert (outcome.num_tensors, outcome.was_stored) == (4, False)
    assert outcome.sentences[0] == "25 % of 1,536 weights differ in a bit."
    assert "of layer 1 changed" in outcome.sentences[1]
    frame = store.comparison_stats("v0", "v1")
    assert frame["num_changed"].tolist() == [0, 384, 0, 0]
    assert {model.name for model in store.models()} == {"v0", "v1"}
    assert outcome.verdict == "derived" and store.lineage("v0", "v1").words == outcome.lineage
    again = compare(*versions[:2], store=store)
    assert again.was_stored and again.sentences == outcome.sentences and again.lineage == outcome.lineage


def test_lineage_is_judged_only_where_it_is_wanted(store, versions):
    assert compare(*versions[:2], store=store, settings=CompareSettings(with_lineage=False)).verdict == ""
    assert store.lineage("v0", "v1") is None
    assert compare(*versions[:2], store=store).verdict == "derived"
    assert compare(*versions[:2], store=store, settings=CompareSettings(with_lineage=False)).was_stored


def test_other_settings_compare_again(store, versions):
    compare(*versions[:2], store=store)
    from engine.compare.comparison import ComparisonSettings

    settings = CompareSettings(ComparisonSettings(tolerance=1.0))
    assert not compare(*versions[:2], store=store, settings=settings).was_stored
    assert store.comparison_stats("v0", "v1")["above_fraction"].tolist() == [0, 0, 0, 0]


def test_versions_are_compared_with_the_first_or_the_previous(store, versions):
    first = compare_versions(versions, store=store)
    assert [(each.name_a, each.name_b) for each in first] == [("v0", "v1"), ("v0", "v2")]
    previous = compare_versions(versions, store=store, against="previous")
    assert [(each.name_a, each.name_b) for each in previous] == [("v0", "v1"), ("v1", "v2")]
    assert store.comparison_stats("v1", "v2")["num_changed"].tolist() == [0, 0, 384, 0]


def test_a_stopped_comparison_stores_nothing_and_goes_on_where_it_was(store, versions, data):
    run = RunFolder.create(data / "runs", "compare", {})
    seen = []

    def stop(progress) -> None:
        seen.append(progress)
        if progress.phase == "comparing" and progress.done > progress.total / 2:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        compare(*versions[:2], store=store, run=run, report=CallbackReport(stop))
    assert store.comparisons() == []
    outcome = compare(*versions[:2], store=store, run=run)
    assert outcome.num_resumed >= 2
    undisturbed = store.comparison_stats("v0", "v1")
    store.delete_comparison("v0", "v1")
    compare(*versions[:2], store=store)
    assert undisturbed.equals(store.comparison_stats("v0", "v1"))
    assert not list(run.checkpoints.glob("*.jsonl"))


def test_a_damaged_line_of_a_stopped_comparison_is_compared_again(store, versions, data):
    run = RunFolder.create(data / "runs", "compare", {})

    def stop(progress) -> None:
        if progress.phase == "storing":
            files = list(run.checkpoints.glob("*.jsonl"))
            if files:
                files[0].write_text(files[0].read_text()[:-40])
                raise Cancelled("stop")

    with pytest.raises(Cancelled):
        compare(*versions[:2], store=store, run=run, report=CallbackReport(stop))
    assert compare(*versions[:2], store=store, run=run).num_resumed == 3


def test_an_adapter_is_compared_as_what_it_makes_of_its_base(store, versions, tmp_path, write_safetensors):
    module = "base_model.model.layers.2.mlp.up_proj"
    random = np.random.default_rng(3)
    factors = {
        f"{module}.lora_A.weight": random.normal(size=(2, 16)),
        f"{module}.lora_B.weight": random.normal(size=(24, 2)),
    }
    folder = tmp_path / "adapter"
    write_safetensors(folder / "adapter_model.safetensors", {k: v.astype(np.float32) for k, v in factors.items()})
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 4}))
    outcome = compare(versions[0], str(folder), store=store)
    frame = store.comparison_stats(outcome.hash_a, outcome.hash_b)
    assert frame["num_changed"].gt(0).tolist() == [False, False, True, False]
    assert frame["rank_99"].tolist()[2] <= 2


def test_the_job_runs_in_a_process_of_its_own(store, versions, data):
    board = Jobs(data)
    job = board.start("compare", {"a": versions[0], "b": versions[1]})
    assert job.title == "Compare v0 with v1"
    ended = board.wait(job.id, 120)
    assert ended.state == "done", ended.error
    assert ended.result["num_tensors"] == 4
    assert len(store.comparison_stats("v0", "v1")) == 4


def test_a_comparison_needs_two_models():
    with pytest.raises(JobError):
        KINDS["compare"].check({"a": "x"})


def test_the_command_says_what_changed(command, versions):
    ended = command("compare", *versions, "--against", "previous", "--tensors")
    assert ended.returncode == 0
    assert ended.stdout.count("25 % of 1,536 weights differ in a bit.") == 2
    assert "layers.2.mlp.up_proj.weight" in ended.stdout
    outcomes = json.loads(command("compare", *versions[:2], "--json").stdout)
    assert outcomes[0]["was_stored"] and outcomes[0]["name_b"] == "v1"
    alone = command("compare", versions[0])
    assert alone.returncode == 1 and "two models" in alone.stderr
