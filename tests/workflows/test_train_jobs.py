"""Trainings as jobs: killed, paused, finished, queued, refused; in processes of their own, and two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

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
from workflows.reports import StoppableReport
from workflows.runs import RunFolder
from workflows.training_job import train_model

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


def test_a_killed_run_is_offered_again_and_ends_in_the_same_bits(store, jobs, text, data, tmp_path):
    request = replace(small_request(text, "killed", steps=400), notes="")
    request = replace(request, training=replace(request.training, evaluate_every=100, save_every=20, sample_every=0))
    home = data / "trained" / "killed"
    job = training.start(store, jobs, request)
    wait_until(lambda: Checkpoints(home).steps()[-1:] >= [20])
    living(read_mark(RunFolder(job.folder))).kill()
    (found,) = wait_until(lambda: [r for r in training.runs(store, jobs) if r.state == "interrupted"])
    killed_at = Checkpoints(home).steps()[-1]
    assert found.is_resumable and found.error is not None
    assert killed_at < 400, "it was killed on the way"
    assert not (home / "model.safetensors").exists()
    training.resume(jobs, job.id)
    wait_until(lambda: Checkpoints(home).steps()[-1:] > [killed_at])
    training.stop(jobs, job.id)
    assert jobs.wait(job.id, LONG_S).state == "done"
    steps = store.metrics(job.id).query("name == 'loss'")["step"].tolist()
    assert steps == sorted(set(steps)), "no step is told twice"
    kept = store.training_checkpoints(job.id)
    last = Checkpoints(home).steps()[-1]
    assert {c.step for c in kept} >= {0, killed_at, last}
    # The same steps without a break give the same weights.
    whole = Store(tmp_path / "whole")
    again = RunFolder.create(whole.folder / "runs", "train", {"request": request.to_json()})
    place = whole.folder / "trained" / "killed" / f"checkpoint-{last}"
    with pytest.raises(Cancelled):
        train_model(request, store=whole, run=again, report=Until(place))
    straight = weights(place)
    assert all(np.array_equal(weights(home / f"checkpoint-{last}")[n], value) for n, value in straight.items())


class Until(StoppableReport):
    """Asks the work to stop once a checkpoint is there."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__()
        self._checkpoint = checkpoint

    def check(self) -> None:
        if self._checkpoint.exists():
            self.ask_to_stop()
        super().check()


def test_a_run_is_paused_resumed_and_finished_from_outside(store, jobs, text, data):
    request = small_request(text, "steered", steps=100_000)
    job = training.start(store, jobs, request)
    wait_until(lambda: training.run(store, jobs, job.id).step > 4)
    assert training.run(store, jobs, job.id).progress.phase == "training"
    with pytest.raises(TrainingError, match="name steered is running"):
        training.start(store, jobs, request)
    with pytest.raises(JobError, match="being trained"):
        from workflows.trained_models import delete_trained

        delete_trained(store, "steered")
    training.pause(jobs, job.id)
    assert jobs.wait(job.id, LONG_S).state == "cancelled"
    paused = training.run(store, jobs, job.id)
    assert (paused.state, paused.is_resumable) == ("paused", True)
    (experiment,) = store.experiments("training")
    assert experiment.status == "cancelled"
    last = Checkpoints(data / "trained" / "steered").steps()[-1]
    training.stop(jobs, job.id)  # of a paused run: its best checkpoint becomes the model, nothing is learnt any more
    done = jobs.wait(job.id, LONG_S)
    assert done.state == "done", done.error
    assert done.result["steps"] == last
    assert store.location("steered").origin == "trained"
    with pytest.raises(JobError, match="nothing to stop"):
        training.stop(jobs, job.id)
    library.remove(store, "steered")
    assert not (data / "trained" / "steered").exists()
    assert store.experiments("training") == []
    assert training.runs(store, jobs) == []
    assert store.models() == []


def test_trainings_wait_for_each_other_and_not_for_measuring(store, jobs, text, data, tiny):
    locks = data / "locks"
    locks.mkdir()
    with FileLock(locks / "train-0.lock"):
        waiting = training.start(store, jobs, small_request(text, "second", steps=2))
        beside = jobs.start("extract", {"model": str(tiny)})
        assert jobs.wait(beside.id, LONG_S).state == "done"
        wait_until(lambda: living(read_mark(RunFolder(waiting.folder))))
        assert training.run(store, jobs, waiting.id).state == "queued"
        training.pause(jobs, waiting.id)
        assert jobs.wait(waiting.id, LONG_S).state == "cancelled"


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


@pytest.mark.skipif(os.name == "nt", reason="needs Ctrl-C")
def test_control_c_pauses_and_the_same_command_goes_on(begin, command, store, jobs, text, data):
    asked = data / "request.json"
    asked.write_text(json.dumps(small_request(text, "typed", steps=100_000).to_json()))
    kept = Checkpoints(data / "trained" / "typed")
    first = begin("train", "--request", asked, "--quiet")
    wait_until(lambda: kept.steps()[-1:] >= [4])
    first.send_signal(signal.SIGINT)
    assert first.wait(LONG_S) == 130
    (run,) = training.runs(store, jobs)
    assert run.state == "paused"
    reached = kept.steps()[-1]
    other = command("train", "--request", str(asked), "--set", "training.max_norm=2")
    assert other.returncode == 1 and "with other settings" in other.stderr
    again = begin("train", "--request", asked, "--quiet")
    wait_until(lambda: kept.steps()[-1:] > [reached])
    again.send_signal(signal.SIGINT)
    assert again.wait(LONG_S) == 130
    assert f"Going on with {run.id}." in again.communicate()[1]
    assert [each.id for each in training.runs(store, jobs)] == [run.id]


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
