"""A training leaves a model of the library behind, with all that happened in the database."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from safetensors.numpy import load_file

from engine.errors import Cancelled, StorageError, TrainingError
from engine.measures.reading import measure_array
from engine.pooling import pool
from engine.training.checkpoints import Checkpoints
from storage.database import Database
from storage.store import Store
from tests.workflows.train_made import small_request, write_text
from workflows import training
from workflows.jobs import Jobs
from workflows.reports import Report, StoppableReport
from workflows.runs import RunFolder
from workflows.training_films import changes_by_step, run_of, step_members, stored_frames
from workflows.training_job import train_model
from workflows.training_request import TrainingRequest
from workflows.versions import versions


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def text(folder) -> Path:
    return write_text(folder / "river.txt")


@pytest.fixture(scope="module")
def trained(folder, text) -> tuple[Store, RunFolder, dict]:
    """A run with both phases, done in this process."""
    return done(Store(folder / "data"), small_request(text, self_play=True))


def done(store: Store, request: TrainingRequest, report: Report | None = None) -> tuple[Store, RunFolder, dict]:
    run = RunFolder.create(store.folder / "runs", "train", {"request": request.to_json()})
    return store, run, train_model(request, store=store, run=run, report=report or Report())


class PauseAt(StoppableReport):
    """Asks the work to stop once a step of the training was reported."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def progress(self, progress) -> None:
        if progress.phase == "training" and progress.done >= self._step:
            self.ask_to_stop()


def test_the_model_is_an_ordinary_llama_of_the_library(trained):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    store, run, result = trained
    known = store.location("tiny")
    assert (known.origin, known.uri) == ("trained", result["folder"])
    assert known.content_hash == result["content_hash"]
    model = AutoModelForCausalLM.from_pretrained(known.uri)
    tokenizer = AutoTokenizer.from_pretrained(known.uri)
    assert len(tokenizer) == model.config.vocab_size == 280
    assert store.model_metadata("tiny")["weightscope.run"] == run.id
    assert not list(Path(known.uri).glob("training_state.*")), "what only a training needs stays with the checkpoints"


def test_the_model_has_the_weights_of_the_best_checkpoint(trained):
    store, _run, result = trained
    kept = [c for c in store.training_checkpoints(_run.id) if c.step == result["best_step"]]
    model, checkpoint = (load_file(Path(f) / "model.safetensors") for f in (result["folder"], kept[-1].folder))
    assert model.keys() == checkpoint.keys()
    assert all(np.array_equal(model[name], checkpoint[name]) for name in model)


def test_every_checkpoint_is_in_the_database_also_those_whose_files_are_gone(trained):
    store, run, _ = trained
    kept = store.training_checkpoints(run.id)
    assert [c.step for c in kept] == [0, 2, 4, 6, 7, 8]
    assert [c.phase for c in kept] == ["supervised"] * 4 + ["self-play"] * 2
    assert not all(Path(c.folder).is_dir() for c in kept)
    assert all(math.isfinite(c.bits_per_byte) for c in kept)
    tensors = store.checkpoint_tensors(run.id)
    stats = store.checkpoint_stats(run.id, "l2_norm")
    assert len(stats) == len(kept) * len(tensors)
    assert sorted(stats["step"].unique()) == [c.step for c in kept]


def test_stored_numbers_and_pictures_are_those_of_the_weights(trained):
    store, run, _ = trained
    first, last = store.training_checkpoints(run.id)[0], store.training_checkpoints(run.id)[-1]
    name = "model.layers.0.mlp.up_proj.weight"
    start = load_file(Path(store.folder) / "trained/tiny/initial/model.safetensors")[name].astype(np.float64)
    weights = load_file(Path(last.folder) / "model.safetensors")[name]
    stats = store.checkpoint_stats(run.id).query("tensor == @name").set_index(["step", "measure"])["value"]
    assert stats[last.step, "std"] == measure_array(weights).values["std"]
    change = np.linalg.norm(weights - start) / np.linalg.norm(start)
    assert stats[last.step, "change_since_start"] == pytest.approx(change, rel=1e-12)
    assert stats[first.step, "change_since_start"] is None or math.isnan(stats[first.step, "change_since_start"])
    pictures = dict(store.checkpoint_thumbnails(run.id, name))
    assert list(pictures) == [c.step for c in store.training_checkpoints(run.id)]
    assert np.array_equal(pictures[last.step], pool(weights, *_cells(weights.shape, pictures[last.step].shape)))


def _cells(shape, picture) -> tuple[int, int]:
    return picture


def test_metrics_samples_and_remarks_are_kept_by_step(trained):
    store, run, _ = trained
    history = training.history(store, run.id)
    assert list(history.query("name == 'loss'")["step"]) == [1, 2, 3, 4, 5, 6]
    assert {0, 2, 4, 6} <= set(history.query("name == 'held_out/bits_per_byte'")["step"])
    assert list(history.query("name == 'reward'")["step"]) == [7, 8]
    assert {sample.step for sample in training.samples(store, run.id)} >= {3, 6}
    assert [remark.step for remark in training.remarks(store, run.id) if remark.is_verdict] == [7, 8]


def test_the_run_is_told_from_storage_after_its_folder_is_gone(trained, tmp_path):
    store, run, result = trained
    copy = Store(tmp_path / "data")
    copy.folder.mkdir()
    shutil.copyfile(store.path, copy.path)
    (found,) = training.runs(copy, Jobs(copy.folder))
    assert (found.id, found.name, found.state, found.step) == (run.id, "tiny", "done", 8)
    assert found.result["content_hash"] == result["content_hash"]
    assert found.request == TrainingRequest.from_json(run.read_request()["arguments"]["request"])
    assert math.isfinite(found.latest["held_out/bits_per_byte"])


def test_checkpoints_beneath_the_model_are_its_versions_in_order(trained):
    store, _, result = trained
    import engine.sources

    found = versions(store.location("tiny"), store.locations(), engine.sources.open)
    steps = [version.step for version in found if version.step is not None]
    assert steps == sorted(steps)
    assert steps[0] == -1, "the weights before training come first"
    assert {6, 8} <= set(steps), "also those of self-play, counted from the beginning of the run"
    assert found[-1].location.uri == result["folder"]
    uris = {version.location.uri for version in found}
    for version in found:
        seen = versions(version.location, store.locations(), engine.sources.open)
        assert {each.location.uri for each in seen} == uris, f"they are the same from {version.label}"


class Upgraded(Report):
    """A newer program changes the database while the training works on it."""

    def __init__(self, store: Store) -> None:
        self._store, self._is_done = store, False
        self.told: list[str] = []

    def progress(self, progress) -> None:
        if progress.phase == "training" and not self._is_done:
            self._is_done = True
            with Database(self._store.path, 10.0).writing() as connection:
                connection.execute(
                    "INSERT INTO schema_migration SELECT max(version) + 1, 'of a newer program', now() "
                    "FROM schema_migration"
                )

    def log(self, text: str) -> None:
        self.told.append(text)


def test_a_paused_run_goes_on_to_the_same_bits_also_past_a_newer_database(folder, text, trained):
    request = small_request(text, "paused")
    store = Store(folder / "broken")
    run = RunFolder.create(store.folder / "runs", "train", {"request": request.to_json()})
    with pytest.raises(Cancelled, match="Paused after step"):
        train_model(request, store=store, run=run, report=PauseAt(1))
    assert store.experiments("training")[0].status == "cancelled"
    assert not (store.folder / "trained/paused/model.safetensors").exists()

    report = Upgraded(store)
    with pytest.raises(StorageError, match="has schema version"):
        train_model(request, store=store, run=run, report=report)
    assert any("stores them when it is resumed" in words for words in report.told)
    assert Checkpoints(store.folder / "trained/paused").steps()[-1] == 6, "it learnt to the end"
    with duckdb.connect(str(store.path)) as connection:  # as if this program were updated, too
        connection.execute("DELETE FROM schema_migration WHERE version = (SELECT max(version) FROM schema_migration)")
    result = train_model(request, store=store, run=run, report=Report())
    assert (result["ending"], result["steps"]) == ("finished", 6)
    straight, whole, _ = trained
    places = straight.folder / "trained/tiny/checkpoint-6", store.folder / "trained/paused/checkpoint-6"
    both = [load_file(place / "model.safetensors") for place in places]
    assert all(np.array_equal(both[0][name], both[1][name]) for name in both[0])
    losses = [each.metrics(id_).query("name == 'loss'") for each, id_ in ((straight, whole.id), (store, run.id))]
    assert losses[1]["step"].tolist() == [1, 2, 3, 4, 5, 6], "none is lost, none is there twice"
    assert losses[0].query("step <= 6")["value"].tolist() == losses[1]["value"].tolist()
    assert {c.step for c in store.training_checkpoints(run.id)} >= {0, 2, 4, 6}
    assert set(store.checkpoint_stats(run.id, "std")["step"]) >= {0, 2, 4, 6}
    assert {sample.step for sample in training.samples(store, run.id)} == {3, 6}


def test_a_run_that_is_asked_to_finish_makes_its_best_checkpoint_the_model(folder, text):
    store = Store(folder / "finish")
    request = small_request(text, "finish", steps=1000, self_play=True)
    run = RunFolder.create(store.folder / "runs", "train", {"request": request.to_json()})

    class FinishAt(Report):
        def progress(self, progress) -> None:
            if progress.phase == "training":
                training.finish_mark(run).touch()

    result = train_model(request, store=store, run=run, report=FinishAt())
    assert 0 <= result["best_step"] <= result["steps"] < 1000
    assert result["ending"] == "stopped"
    assert store.location("finish").content_hash == result["content_hash"]


def test_a_training_that_goes_on_from_a_model_keeps_its_tokenizer_and_remembers_it(trained, text):
    store, _, parent = trained
    asked = small_request(text, "child", steps=2)
    request = TrainingRequest("child", None, parent["folder"], asked.corpora, asked.training, held_out_share=0.1)
    _, run, result = done(store, request)
    assert result["parent"] == "tiny"
    assert store.model_metadata("child")["weightscope.parent_hash"] == parent["content_hash"]
    tokenizers = [(Path(r["folder"]) / "tokenizer.json").read_text() for r in (parent, result)]
    assert tokenizers[0] == tokenizers[1]
    changes = store.checkpoint_stats(run.id, "change_since_start").query("step == 2")["value"]
    assert 0 < changes.max() < 0.5


def test_the_card_names_text_results_and_the_way_to_make_it_again(trained, text):
    import yaml

    _, _, result = trained
    card = (Path(result["folder"]) / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---")[1])
    metrics = {m["type"]: m["value"] for m in front["model-index"][0]["results"][0]["metrics"]}
    assert metrics["bits_per_byte"] == pytest.approx(result["bits_per_byte"], abs=1e-4)
    assert result["text"]["corpora"][0]["sha256"] in card
    assert "> # test" in card, "a person's words are quoted"
    assert str(text.parent) not in card, "the folders of this machine are nobody's business"
    assert "responsible" in card


def test_results_are_plain_json(trained):
    _, _, result = trained
    again = json.loads(json.dumps(result, allow_nan=False))
    assert again.keys() == result.keys()
    assert again["bits_per_byte"] == result["bits_per_byte"]


def test_a_film_of_the_whole_training_comes_from_the_database_alone(trained, tmp_path):
    store, run, _ = trained
    copy = Store(tmp_path / "data")
    copy.folder.mkdir()
    shutil.copyfile(store.path, copy.path)
    name = "model.layers.1.self_attn.q_proj.weight"
    known = store.location("tiny")
    assert run_of(store, known) == run.id
    elsewhere = replace(known, uri=str(tmp_path / "a copy"))
    assert run_of(copy, elsewhere) == run.id, "the weight file remembers its run"
    members = step_members(copy, run.id, name)
    assert [member.label for member in members[:2]] == ["before training", "step 2"]
    assert [member.tick for member in members] == ["0", "2", "4", "6", "7", "8"]
    frames = stored_frames(copy, run.id, name)
    assert len(frames) == len(members)
    last = next(member for member in reversed(members) if member.uri)
    weights = load_file(Path(last.uri) / "model.safetensors")[name]
    frame = frames[members.index(last)]
    assert frame.norm == pytest.approx(np.linalg.norm(weights.astype(np.float64)))
    assert frame.std == pytest.approx(weights.astype(np.float64).std())
    assert np.array_equal(frame.grid.values, weights), "a matrix this small is kept entry by entry"
    assert (frame.grid.row_step, frame.grid.row_stop) == (1, 32)


def test_changes_at_every_checkpoint_are_drawn_without_its_files(trained):
    store, run, _ = trained
    changes = changes_by_step(store, run.id)
    assert [label for label, _ in changes] == ["2", "4", "6", "7", "8"]
    names = [name for name, _ in store.checkpoint_tensors(run.id)]
    assert all(sorted(rows["tensor"]) == sorted(names) for _, rows in changes)
    means = [rows[rows["part"] == "weight"]["change_since_start"].mean() for _, rows in changes[:3]]
    assert means == sorted(means), "at first it moves away from where it began"


def test_a_training_that_diverges_fails_with_a_reason_and_can_be_finished_from_its_best_checkpoint(folder, text):
    store = Store(folder / "diverged")
    request = small_request(text, "diverged", steps=200)
    wild = replace(request.training, optimizer="adamw", learning_rate=1000.0, max_norm=1e9, warmup_steps=0)
    request = replace(request, training=wild)
    run = RunFolder.create(store.folder / "runs", "train", {"request": request.to_json()})
    with pytest.raises(TrainingError, match="stopped by itself"):
        train_model(request, store=store, run=run, report=Report())
    (experiment,) = store.experiments("training")
    assert experiment.status == "failed" and "stopped by itself" in experiment.message
    training.finish_mark(run).touch()
    result = train_model(request, store=store, run=run, report=Report())
    assert math.isfinite(result["bits_per_byte"])
    weights = load_file(Path(result["folder"]) / "model.safetensors")
    assert all(np.isfinite(values).all() for values in weights.values())


def test_an_unfinished_training_can_be_deleted_by_its_name(store, command):
    (store.folder / "trained" / "half" / "checkpoint-1").mkdir(parents=True)
    refused = command("delete", "half")
    assert refused.returncode == 1 and (store.folder / "trained" / "half").exists()
    assert command("delete", "half", "--yes").returncode == 0
    assert not (store.folder / "trained" / "half").exists()


def test_a_run_by_another_version_is_still_listed(store):
    store.begin_training("run-1", "old", {"name": "old", "forgotten_setting": 1})
    (found,) = training.runs(store, Jobs(store.folder))
    assert (found.name, found.request.name, found.state) == ("old", "old", "interrupted")
