"""Trainings as jobs: killed, paused, finished, queued, refused; in processes of their own, and two at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from filelock import FileLock
from safetensors.numpy import load_file

from engine.errors import Cancelled, JobError, NotAllowedError, TrainingError
from engine.training.checkpoints import Checkpoints
from engine.training.settings import CorpusChoice, ModelSettings
from storage.store import Store
from tests.workflows.train_made import small_request, write_text
from workflows import library, training
from workflows.jobs import Jobs
from workflows.processes import living, read_mark
from workflows.reports import Report, StoppableReport
from workflows.runs import RunFolder
from workflows.trained_models import delete_trained
from workflows.training_job import train_model
from workflows.training_request import TrainingRequest

ROOT = Path(__file__).resolve().parents[2]
LONG_S = 240


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "river.txt")


@pytest.fixture
def jobs(data):
    """The jobs of the test's data folder; whatever still runs at the end is killed."""
    board = Jobs(data)
    yield board
    for job in board.active():
        process = living(read_mark(RunFolder(job.folder)))
        if process is not None:
            process.kill()


def wait_until(is_so, timeout_s: float = LONG_S):
    deadline_s = time.monotonic() + timeout_s
    while not (found := is_so()):
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.05)
    return found


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(Path(folder) / "model.safetensors")


@pytest.mark.skipif(os.name == "nt", reason="needs Ctrl-C")
def test_a_killed_run_loses_nothing_goes_on_and_ends_in_the_same_bits(
    begin, command, store, jobs, text, data, tmp_path
):
    request = small_request(text, "killed", steps=100_000)
    often = replace(request.training, evaluate_every=100_000, save_every=20, sample_every=0, keep_last=2)
    request = replace(request, training=often)
    home = data / "trained" / "killed"
    job = training.start(store, jobs, request)
    wait_until(lambda: Checkpoints(home).steps()[-1:] >= [20])
    with pytest.raises(TrainingError, match="name killed is running"):
        training.start(store, jobs, request)
    with pytest.raises(JobError, match="being trained"):
        delete_trained(store, "killed")
    assert wait_until(lambda: training.run(store, jobs, job.id).progress).phase == "training"

    with held(store):  # another program keeps the database: what is saved from now on cannot be stored
        begun = Checkpoints(home).steps()[-1]
        wait_until(lambda: Checkpoints(home).steps()[-1] >= begun + 60)
        living(read_mark(RunFolder(job.folder))).kill()
        wait_until(lambda: living(read_mark(RunFolder(job.folder))) is None)
    killed_at = Checkpoints(home).steps()[-1]
    (found,) = wait_until(lambda: [r for r in training.runs(store, jobs) if r.state == "interrupted"])
    assert found.is_resumable and found.error is not None
    assert max(c.step for c in store.training_checkpoints(job.id)) < killed_at
    assert not (home / "model.safetensors").exists()
    finished_as_it_was(data, tmp_path / "copy", job.id, request, killed_at)

    asked = data / "request.json"
    asked.write_text(json.dumps(request.to_json()))
    other = command("train", "--request", str(asked), "--set", "training.max_norm=2")
    assert other.returncode == 1 and "with other settings" in other.stderr
    typed = begin("train", "--request", asked, "--quiet")  # the same command goes on with it
    wait_until(lambda: Checkpoints(home).steps()[-1] > killed_at)
    typed.send_signal(signal.SIGINT)
    assert f"Going on with {job.id}." in typed.communicate(timeout=LONG_S)[1]
    assert typed.returncode == 130
    (paused,) = training.runs(store, jobs)
    assert (paused.id, paused.state, paused.is_resumable) == (job.id, "paused", True)
    assert store.experiments("training")[0].status == "cancelled"
    assert_all_is_told(store, job.id, Checkpoints(home).steps()[-1])
    same_bits_without_a_break(request, home, tmp_path / "whole")


@contextmanager
def held(store: Store):
    """The database, held so that no other process can open it."""

    def opened():
        try:
            return duckdb.connect(str(store.path))
        except duckdb.IOException:
            return None

    connection = wait_until(opened)
    try:
        yield
    finally:
        connection.close()


def assert_all_is_told(store: Store, run_id: str, last: int) -> None:
    """Every step once, and every checkpoint with its numbers and pictures, those too that were deleted since."""
    losses = store.metrics(run_id).query("name == 'loss'")["step"].tolist()
    assert losses == list(range(1, last + 1))
    steps = sorted({*range(0, last + 1, 20), last})
    assert [c.step for c in store.training_checkpoints(run_id)] == steps
    stats = store.checkpoint_stats(run_id, "change_since_previous")
    assert sorted(stats["step"].unique()) == steps
    assert (stats[stats["step"] > 0].groupby("step")["value"].max() > 0).all()
    assert store.thumbnail_steps(run_id, "model.layers.0.mlp.up_proj.weight") == steps


def finished_as_it_was(data: Path, copy: Path, run_id: str, request: TrainingRequest, killed_at: int) -> None:
    """Finishing a killed run, instead of going on with it, takes the best of what lies on the disk."""
    shutil.copytree(data, copy, ignore=shutil.ignore_patterns("locks"))
    run, store = RunFolder(copy / "runs" / run_id), Store(copy)
    training.finish_mark(run).touch()
    result = train_model(request, store=store, run=run, report=Report())
    assert (result["steps"], result["best_step"]) == (killed_at, killed_at), "later ones were never looked at before"
    prices = store.metrics(run_id).query("name == 'held_out/bits_per_byte'").set_index("step")["value"]
    assert prices.idxmin() == killed_at and prices[killed_at] < prices[0]
    checkpoint = store.training_checkpoints(run_id)[-1]
    assert (checkpoint.step, checkpoint.bits_per_byte, checkpoint.is_best) == (killed_at, prices[killed_at], True)
    assert_all_is_told(store, run_id, killed_at)
    library.remove(store, "killed")
    assert not (copy / "trained" / "killed").exists()
    assert store.experiments("training") == store.models() == []


def same_bits_without_a_break(request: TrainingRequest, home: Path, folder: Path) -> None:
    """The same steps in one go give the same weights."""
    last = max(step for step in Checkpoints(home).steps() if step % 20 == 0)
    whole = Store(folder)
    run = RunFolder.create(whole.folder / "runs", "train", {"request": request.to_json()})
    place = whole.folder / "trained" / "killed" / f"checkpoint-{last}"
    with pytest.raises(Cancelled):
        train_model(request, store=whole, run=run, report=Until(place))
    straight, broken = weights(place), weights(home / place.name)
    assert all(np.array_equal(broken[name], value) for name, value in straight.items())


class Until(StoppableReport):
    """Asks the work to stop once a checkpoint is there."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__()
        self._checkpoint = checkpoint

    def check(self) -> None:
        if self._checkpoint.exists():
            self.ask_to_stop()
        super().check()


def test_trainings_wait_for_each_other(store, jobs, text, data):
    locks = data / "locks"
    locks.mkdir()
    with FileLock(locks / "train-0.lock"):
        waiting = training.start(store, jobs, small_request(text, "second", steps=2))
        wait_until(lambda: living(read_mark(RunFolder(waiting.folder))))
        assert training.run(store, jobs, waiting.id).state == "queued"
        training.pause(jobs, waiting.id)
        assert jobs.wait(waiting.id, LONG_S).state == "cancelled"


def test_a_paused_run_is_started_again_just_to_be_finished(store, jobs, text, monkeypatch):
    run = RunFolder.create(store.folder / "runs", "train", {"request": small_request(text, "steered").to_json()})
    run.write_event("state", state="cancelled")
    spawned = []
    monkeypatch.setattr("workflows.jobs.spawn", lambda run, *_: spawned.append(run.id))
    training.stop(jobs, run.id)
    assert spawned == [run.id] and training.finish_mark(run).exists()
    run.write_event("state", state="done", result={})
    with pytest.raises(JobError, match="nothing to stop"):
        training.stop(jobs, run.id)


def test_two_processes_under_torchrun_make_one_model(text, data):
    request = small_request(text, "both", steps=4)
    asked = data / "request.json"
    asked.write_text(json.dumps(request.to_json()))
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "workflows"]
    words = [sys.executable, *command, "train", "--request", str(asked), "--data", str(data), "--json"]
    ended = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=LONG_S, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    store = Store(data)
    (run,) = training.runs(store, Jobs(data))
    assert (run.state, run.step, run.result["ending"]) == ("done", 4, "finished")
    assert store.location("both").content_hash == run.result["content_hash"]
    assert "| processes | 2 |" in (data / "trained" / "both" / "README.md").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../x"}, "cannot be the name"),
        ({"name": "con"}, "means something else"),
        ({"name": "checkpoint-5"}, "means something else"),
        ({"name": "starter"}, "in the library already"),
        ({"corpora": ()}, "no text"),
        ({"corpora": (CorpusChoice("/no/such/text.txt"),)}, "no text at"),
        ({"corpora": (CorpusChoice("bundled:nothing"),)}, "comes with Weightscope"),
        ({"training": None}, "nothing to do"),
        ({"model": None}, "a model to go on from"),
        ({"held_out_share": 0.0}, "held-out share"),
        ({"model": ModelSettings(width=30, heads=4)}, "30"),
        ({"model": ModelSettings(vocabulary_size=65536, width=65536, layers=512, heads=64)}, "needs about .* are free"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_made(store, jobs, text, data, change, words):
    with pytest.raises(TrainingError, match=words):
        training.start(store, jobs, replace(small_request(text), **change))
    assert jobs.all() == []
    assert not (data / "trained" / "tiny").exists()


def test_a_name_that_is_taken_is_refused_also_in_other_letters(store, jobs, text, data):
    (data / "trained" / "River").mkdir(parents=True)
    with pytest.raises(TrainingError, match="name river already"):
        training.start(store, jobs, small_request(text, "river"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_refused(store, jobs, text, data):
    (data / "trained").mkdir(mode=0o500)
    with pytest.raises(TrainingError, match="cannot be written"):
        training.start(store, jobs, small_request(text))


def test_a_file_where_the_folder_should_be_is_refused(store, jobs, text, data):
    (data / "trained").write_text("")
    with pytest.raises(TrainingError, match="cannot be written"):
        training.start(store, jobs, small_request(text))


def test_a_disk_that_is_too_small_is_refused_with_both_numbers(store, jobs, text, monkeypatch):
    from workflows import training_check

    here = training_check.machine(store.folder)
    monkeypatch.setattr(training_check, "machine", lambda folder: replace(here, disk_free_bytes=1000))
    with pytest.raises(TrainingError, match=r"needs about .* and 1 kB are free|needs about .* and 1000 B are free"):
        training.start(store, jobs, small_request(text))


def test_a_public_app_trains_nothing(store, jobs, text, monkeypatch):
    monkeypatch.setenv("WEIGHTSCOPE_PUBLIC", "1")
    with pytest.raises(NotAllowedError):
        training.start(store, jobs, small_request(text))


def test_an_estimate_comes_from_a_probe_in_another_process(store, text):
    found = training.estimate(store, small_request(text, steps=10, self_play=True))
    assert found.tokens == 10 * 4 * 32
    assert found.tokens_per_s > 0 and found.iteration_s > 0
    assert found.elapsed_s == pytest.approx(found.tokens / found.tokens_per_s + 2 * found.iteration_s)
    assert found.text_bytes == text.stat().st_size
    assert (found.device, found.precision) == ("cpu", "fp32")
    from engine.training.footprint import num_parameters

    assert found.num_parameters == num_parameters(small_request(text).model)
    assert 0 < found.memory_bytes < 10**9 and 0 < found.disk_bytes < 10**8


def test_what_the_app_imports_brings_no_torch():
    code = (
        "import sys\n"
        "import workflows.training, workflows.trained_models, workflows.model_zip, workflows.training_films\n"
        "import workflows.training_card, workflows.training_job, workflows.training_words\n"
        "import workflows.commands.training\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'tokenizers'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=LONG_S)
