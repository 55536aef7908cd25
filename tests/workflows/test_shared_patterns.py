"""Asking whether models share patterns: here, as a job, interrupted, and from the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import Cancelled, JobError
from storage.store import Store
from tests.engine.discovery.made_models import CONFIG, decoder, mixed
from workflows.jobs import Jobs
from workflows.pattern_staging import PatternStaging
from workflows.reports import CallbackReport
from workflows.runs import RunFolder
from workflows.shared_patterns import PatternOutcome, PatternSettings, patterns

QUICK = PatternSettings(draws=2, with_features=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> list[str]:
    """A parent, a child of it, and a stranger."""
    from safetensors.numpy import save_file

    root, found = tmp_path_factory.mktemp("models"), []
    parent = decoder(0)
    for name, arrays in {"parent": parent, "child": mixed(parent, 0.95, 1), "stranger": decoder(2)}.items():
        folder = root / name
        folder.mkdir()
        save_file(arrays, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(CONFIG))
        found.append(str(folder))
    return found


@pytest.fixture(scope="module")
def answered(models, tmp_path_factory) -> tuple[Store, PatternOutcome]:
    """The three of them, asked once for all tests that only look at the answer."""
    store = Store(tmp_path_factory.mktemp("answered"))
    return store, patterns(models, store=store, settings=QUICK)


def test_relatives_are_found_and_strangers_save_nothing(answered):
    store, outcome = answered
    assert (outcome.names, outcome.num_lineages, outcome.verdict) == (("parent", "child", "stranger"), 2, "apart")
    pairs = store.pattern_pairs(outcome.test).set_index(["model_a", "model_b"])
    kin, apart = pairs.loc["parent", "child"], pairs.loc["parent", "stranger"]
    assert kin["is_related"] and not apart["is_related"]
    assert kin["net"] == pytest.approx(-0.5 * np.log2(1 - 0.95**2), abs=0.03)
    assert kin["coded_gain"] == pytest.approx(kin["net"], abs=0.05)
    assert abs(apart["net"]) < 0.003
    assert store.pattern_test(outcome.test).group_bits == pytest.approx(kin["net"] / 3)
    subspace = store.pattern_subspace(outcome.test)
    assert subspace["left_out"].iloc[-1] > 0.3
    assert subspace["unrelated"].iloc[-1] < 0.003


@pytest.fixture
def small(tmp_path, write_safetensors) -> list[str]:
    """Two models of a few small matrices."""
    found = []
    for seed in (0, 1):
        random = np.random.default_rng(seed)
        arrays = {
            f"encoder.layer.{layer}.attention.self.{role}.weight": random.standard_normal((16, 16)).astype(np.float32)
            for layer in range(2)
            for role in ("query", "key")
        }
        found.append(str(write_safetensors(tmp_path / f"small-{seed}.safetensors", arrays)))
    return found


def test_features_are_tested_with_what_is_known_of_the_models(store, small):
    labels = {small[0]: {"data": "x"}, "small-1": {"data": "y"}}
    settings = PatternSettings(draws=1, with_coding=False, with_subspace=False, labels=labels)
    outcome = patterns(small, store=store, settings=settings)
    assert "With 2 independent models this cannot be answered" in " ".join(outcome.sentences)
    effects = store.pattern_effects(outcome.test)
    assert set(effects["question"]) == {"level", "agreement"}
    assert set(effects.loc[effects["question"] == "level", "role"]) == {"query", "key"}
    assert "rms" not in set(effects.loc[effects["question"] == "level", "feature"])  # the null keeps it
    assert set(store.pattern_variances(outcome.test)["factor"]) == {"position"}  # as many labels as models say nothing
    said = {model.name: model.labels for model in store.pattern_test(outcome.test).models}
    assert said == {"small-0": {"data": "x"}, "small-1": {"data": "y"}}
    assert store.pattern_pairs(outcome.test)["coded_gain"].isna().all()


def test_an_answer_that_is_stored_is_not_sought_again_unless_asked_otherwise(answered, store, small):
    first, outcome = answered
    again = patterns([model.uri for model in reversed(first.locations())], store=first, settings=QUICK)
    assert (again.was_stored, again.test) == (True, outcome.test)
    plain = PatternSettings(draws=1, with_features=False, with_coding=False, with_subspace=False)
    assert not patterns(small, store=store, settings=plain).was_stored
    assert patterns(small, store=store, settings=plain).was_stored
    assert not patterns(small, store=store, settings=replace(plain, draws=2)).was_stored


def test_a_stopped_test_stores_nothing_and_goes_on_where_it_was(answered, store, data, models):
    straight, _ = answered
    settings = replace(QUICK, with_subspace=False)
    run = RunFolder.create(data / "runs", "patterns", {})

    def stop(progress):
        if progress.phase == "laying models over each other" and progress.done >= 2:
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        patterns(models, store=store, run=run, settings=settings, report=CallbackReport(stop))
    assert store.pattern_tests() == []
    outcome = patterns(models, store=store, run=run, settings=settings)
    assert outcome.num_resumed == 2
    assert not list(run.checkpoints.glob("*.jsonl"))
    columns = ["gross", "null_bits", "net", "low", "high", "coded_gain", "num_weights"]
    np.testing.assert_allclose(
        store.pattern_pairs(1)[columns], straight.pattern_pairs(1)[columns], rtol=1e-6, atol=1e-9
    )  # fmt: skip


def test_a_torn_line_of_what_was_kept_is_done_again(tmp_path):
    staging = PatternStaging(tmp_path, ("x",))
    staging.keep([1.0, float("nan")], "a", "b")
    path = next(tmp_path.glob("*.jsonl"))
    path.write_bytes(path.read_bytes() + b'{"key": "c"')
    staging = PatternStaging(tmp_path, ("x",))
    staging.keep([2.0], "d")
    staging = PatternStaging(tmp_path, ("x",))
    assert staging.take("c") is None
    assert staging.take("d") == [2.0]
    assert staging.take("a", "b")[0] == 1.0
    assert staging.num_resumed == 2
    assert PatternStaging(tmp_path, ("y",)).take("d") is None


def test_copies_of_one_model_are_one_model(store, models):
    with pytest.raises(JobError, match="at least 2 different models, got 1"):
        patterns([models[0], models[0]], store=store, settings=QUICK)


@pytest.mark.parametrize("changes", [{"null": "nothing"}, {"draws": 0}, {"draws": 1000}])
def test_settings_that_make_no_sense_are_refused(changes):
    with pytest.raises(JobError):
        PatternSettings(**changes)


def test_models_of_other_shapes_have_no_pair_but_can_be_tested(store, models, tiny):
    outcome = patterns([models[0], str(tiny)], store=store, settings=QUICK)
    assert store.pattern_pairs(outcome.test).empty
    assert outcome.num_lineages == 2
    assert "No two models without a common origin have matrices of one shape" in " ".join(outcome.sentences)


def test_a_job_answers_and_a_bad_one_is_refused(data, models):
    jobs = Jobs(data)
    arguments = {
        "models": models[1:],
        "draws": 1,
        "without": ["features", "subspace"],
        "labels": {models[1]: {"a": "ü"}},
    }
    done = jobs.wait(jobs.start("patterns", arguments).id, 180)
    assert done.state == "done", done.error
    assert done.result["verdict"] == "apart"
    assert Store(data).pattern_test(done.result["test"]).models[0].labels == {"a": "ü"}
    assert done.title == "Shared patterns of 2 models"
    for bad in ({"models": models[:1]}, {"models": models, "without": ["everything"]}):
        with pytest.raises(JobError):
            jobs.start("patterns", bad)


def test_the_command_prints_verdict_and_tables_or_json(command, answered, models, tmp_path, monkeypatch):
    store, _ = answered
    monkeypatch.setenv("WEIGHTSCOPE_DATA", str(store.folder))
    words = ("patterns", *models, "--draws", "2", "--no-features")
    shown = command(*words)
    assert shown.returncode == 0, shown.stderr
    assert "share no weights" in shown.stdout
    assert "Pairs" in shown.stdout and "Subspace" in shown.stdout
    found = json.loads(command(*words, "--json").stdout)
    assert found["was_stored"] is True
    assert len(found["pairs"]) == 3
    assert found["pairs"][0]["coded_gain"] == pytest.approx(store.pattern_pairs(1)["coded_gain"][0])
    labels = tmp_path / "labels.json"
    labels.write_text("[1, 2]")
    bad = command("patterns", *models, "--labels", str(labels))
    assert bad.returncode == 1
    assert "labels cannot be read" in bad.stderr
