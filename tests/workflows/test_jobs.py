"""Jobs in processes of their own."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from engine.errors import JobError
from workflows.jobs import Jobs
from workflows.processes import living, read_mark
from workflows.runs import RunFolder

LONG_S = 120
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of POSIX")


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
        time.sleep(0.02)
    return found


def has_begun_measuring(jobs: Jobs, job_id: str):
    job = jobs.get(job_id)
    assert job.state in ("queued", "running"), (job.state, job.error)
    return job.progress is not None and job.progress.phase == "measuring" and job.progress.done > 0


def phase_of(job) -> str:
    return job.progress.phase if job.progress else ""


def process_of(job) -> psutil.Process | None:
    return living(read_mark(RunFolder(job.folder)))


def test_a_job_measures_and_tells_how_it_went(jobs, store, tiny):
    job = jobs.start("extract", {"model": str(tiny), "name": "Tiny"})
    assert job.state in ("queued", "running") and job.title == "Measure Tiny"
    done = jobs.wait(job.id, LONG_S)
    assert (done.state, done.error) == ("done", None)
    assert done.result["num_tensors"] == 5 and done.progress.phase == "storing"
    assert [model.content_hash for model in store.models()] == [done.result["content_hash"]]
    request = json.loads((done.folder / "run.json").read_text(encoding="utf-8"))
    assert request["arguments"]["model"] == str(tiny)
    assert "5 tensors" in (done.folder / "log.txt").read_text(encoding="utf-8")


def test_another_process_sees_the_same_jobs(jobs, data, tiny, command):
    job = jobs.wait(jobs.start("extract", {"model": str(tiny)}).id, LONG_S)
    listed = json.loads(command("jobs", "--json").stdout)
    assert [(one["id"], one["state"]) for one in listed] == [(job.id, "done")]
    assert Jobs(data).get(job.id) == job


def test_a_failed_job_says_why_and_what_to_do(jobs, tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"\x10\0\0\0\0\0\0\0not json at all!")
    job = jobs.wait(jobs.start("extract", {"model": str(bad)}).id, LONG_S)
    assert job.state == "failed" and "bad.safetensors" in job.error.message and job.error.hint


def test_unfit_requests_are_refused(jobs):
    for kind, arguments in (("juggle", {}), ("extract", {})):
        with pytest.raises(JobError):
            jobs.start(kind, arguments)
    for job_id in ("no-such-job", "../../etc", "20250101T000000Z-extract-00000000", ""):
        with pytest.raises(JobError, match="no job"):
            jobs.get(job_id)
    assert jobs.all() == []


def test_one_model_is_measured_by_one_job_at_a_time(jobs, data, many):
    found = []
    starters = [
        threading.Thread(target=lambda: found.append(Jobs(data).start("extract", {"model": str(many)}).id))
        for _ in range(4)
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(found) == 4 and len(set(found)) == 1
    assert jobs.wait(found[0], LONG_S).state == "done"
    again = jobs.start("extract", {"model": str(many)})
    assert again.id != found[0]
    assert jobs.wait(again.id, LONG_S).result["was_stored"]


def test_two_jobs_work_at_once_and_a_third_waits_its_turn(jobs, store, data, many, tiny, write_safetensors, tmp_path):
    import numpy as np

    other = write_safetensors(tmp_path / "other.safetensors", {"w": np.eye(4, dtype=np.float32)})
    locks = [FileLock(data / "locks" / f"job-{number}.lock") for number in range(2)]
    (data / "locks").mkdir()
    for lock in locks:  # as if two long jobs were at work
        lock.acquire()
    first, second, third = (jobs.start("extract", {"model": str(path)}) for path in (many, tiny, other))
    wait_until(lambda: process_of(first) and process_of(second) and process_of(third))
    time.sleep(1)
    assert [jobs.get(job.id).state for job in (first, second, third)] == ["queued"] * 3
    cancelled = jobs.wait(jobs.cancel(third.id).id, LONG_S)
    assert cancelled.state == "cancelled"
    for lock in locks:
        lock.release()
    assert [jobs.wait(job.id, LONG_S).state for job in (first, second)] == ["done", "done"]
    assert len(store.models()) == 2


def test_a_cancelled_job_ends_cleanly_keeps_its_work_and_can_be_resumed(jobs, store, data, many, content, undisturbed):
    job = jobs.start("extract", {"model": str(many)})
    wait_until(lambda: has_begun_measuring(jobs, job.id))
    jobs.cancel(job.id)
    stopped = jobs.wait(job.id, LONG_S)
    assert (stopped.state, stopped.error, stopped.is_resumable) == ("cancelled", None, True)
    assert store.models() == []
    num_kept = len(list((job.folder / "checkpoints").rglob("*.npz")))
    assert num_kept > 0
    resumed = jobs.resume(job.id)
    assert resumed.id == job.id and resumed.is_active
    done = jobs.wait(job.id, LONG_S)
    assert (done.state, done.result["num_resumed"]) == ("done", num_kept)
    assert content(data) == content(undisturbed)


@posix_only
def test_a_killed_job_is_found_and_resumed_and_never_leaves_half_a_model(jobs, store, data, many, content, undisturbed):
    chance = random.Random(5)
    job = jobs.start("extract", {"model": str(many)})
    for _ in range(4):
        started_s = time.monotonic()
        delay_s = chance.uniform(0.3, 3.0)
        wait_until(lambda s=started_s, d=delay_s: time.monotonic() - s > d or not jobs.get(job.id).is_active)
        process = process_of(job)
        if process is not None:
            process.kill()
        found = jobs.wait(job.id, LONG_S)
        assert found.state in ("interrupted", "done")
        assert [model.num_tensors for model in store.models()] in ([], [500])
        if found.state == "done":
            break
        assert "killed" in found.error.message and found.error.hint
        jobs.resume(job.id)
    assert jobs.wait(job.id, LONG_S).state == "done"
    assert content(data) == content(undisturbed)


@posix_only
def test_a_job_killed_while_it_stores_leaves_all_or_nothing(jobs, store, data, many, content, undisturbed):
    job = jobs.start("extract", {"model": str(many)})
    for delay_s in (0.0, 0.02, 0.05, 0.1):
        wait_until(lambda: phase_of(jobs.get(job.id)) == "storing" or not jobs.get(job.id).is_active)
        time.sleep(delay_s)
        process = process_of(job)
        if process is not None:
            process.kill()
        jobs.wait(job.id, LONG_S)
        assert [model.num_tensors for model in store.models()] in ([], [500])
        if jobs.get(job.id).state == "done":
            break
        jobs.resume(job.id)
    assert jobs.wait(job.id, LONG_S).state == "done"
    assert content(data) == content(undisturbed)


@posix_only
def test_a_job_outlives_whoever_started_it(jobs, data, many):
    code = "import sys, time; from workflows.jobs import Jobs; from pathlib import Path\n"
    code += "print(Jobs(Path(sys.argv[1])).start('extract', {'model': sys.argv[2]}).id, flush=True); time.sleep(600)"
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "-c", code, str(data), str(many)]
    starter = subprocess.Popen(words, cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True)
    job_id = starter.stdout.readline().strip()
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    assert jobs.get(job_id).is_active
    assert jobs.wait(job_id, LONG_S).state == "done"


@posix_only
def test_a_job_that_hears_nothing_is_killed_in_the_end(jobs, many):
    job = jobs.start("extract", {"model": str(many)})
    wait_until(lambda: has_begun_measuring(jobs, job.id))
    process_of(job).suspend()
    jobs.cancel(job.id, grace_s=0.3)
    assert jobs.wait(job.id, LONG_S).state == "cancelled"
    assert process_of(job) is None


def test_a_reused_process_id_is_not_taken_for_a_living_job(jobs, tiny):
    job = jobs.wait(jobs.start("extract", {"model": str(tiny)}).id, LONG_S)
    wait_until(lambda: process_of(job) is None)
    run = RunFolder(job.folder)
    run.events.unlink()
    run.process.write_text(json.dumps({"pid": os.getpid(), "created_s": 1.0}), encoding="utf-8")
    assert Jobs(job.folder.parents[1]).get(job.id).state == "interrupted"


def test_a_crash_shows_the_end_of_its_traceback(jobs, tiny):
    job = jobs.wait(jobs.start("extract", {"model": str(tiny)}).id, LONG_S)
    wait_until(lambda: process_of(job) is None)
    run = RunFolder(job.folder)
    run.events.unlink()
    with run.log.open("a", encoding="utf-8") as log:
        log.write("Traceback (most recent call last):\n  File ...\nMemoryError: 3 GiB\n")
    found = Jobs(job.folder.parents[1]).get(job.id)
    assert found.state == "interrupted" and "MemoryError: 3 GiB" in found.error.message


def test_only_jobs_that_rest_can_be_forgotten(jobs, many):
    job = jobs.start("extract", {"model": str(many)})
    with pytest.raises(JobError, match="Cancel it first"):
        jobs.forget(job.id)
    jobs.wait(jobs.cancel(job.id).id, LONG_S)
    jobs.forget(job.id)
    assert jobs.all() == [] and not job.folder.exists()


def test_a_finished_job_is_neither_cancelled_nor_resumed(jobs, tiny):
    job = jobs.wait(jobs.start("extract", {"model": str(tiny)}).id, LONG_S)
    assert jobs.cancel(job.id).state == "done"
    with pytest.raises(JobError, match="nothing to resume"):
        jobs.resume(job.id)


def test_other_things_in_the_folder_of_runs_are_passed_over(jobs, data, tiny):
    job = jobs.wait(jobs.start("extract", {"model": str(tiny)}).id, LONG_S)
    (data / "runs" / "notes.txt").write_text("mine", encoding="utf-8")
    (data / "runs" / "20250101T000000Z-extract-00000000").mkdir()
    assert [one.id for one in jobs.all()] == [job.id]
