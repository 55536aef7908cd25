"""Trainings from outside: check what was asked, start it, pause, resume, stop, and see how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from engine.errors import JobError, TrainingError
from storage.records import Experiment
from storage.store import Store
from storage.training import KIND, Remark, Sample, TrainingCheckpoint
from workflows.jobs import Job, JobFailure, Jobs
from workflows.reports import Progress
from workflows.runs import RunFolder
from workflows.trained_models import model_folder
from workflows.training_check import check_request
from workflows.training_estimate import Estimate, estimate
from workflows.training_request import TrainingRequest

_STATES = {"running": "interrupted", "cancelled": "paused"}
"""What an experiment's status says once nobody works on it."""


@dataclass(frozen=True)
class TrainingRun:
    """A run as it stood when it was looked at.

    Attributes:
        id: of the job and of the experiment. name: of the model. request: what was asked.
        state: "queued", "running", "paused", "interrupted" (its process vanished), "failed" or "done".
        created_at, finished_at: UTC; finished_at is None while it runs.
        is_resumable: whether `resume` can go on with it. is_active: queued or running.
        progress: phase, done and total steps, steps per second, seconds left; None when nobody works on it.
        step: the last one that reported. latest: metric name -> its last value.
        error: why it failed or was interrupted; None otherwise.
        result: once it is done: name, uri (= folder), content_hash, phase, best_step, steps, ending, reason, parent,
            elapsed_s, verdict, text, bits_per_byte, perplexity, test_bytes, num_parameters, model; else {}.
        log: what the job said, oldest first.
    """

    id: str
    name: str
    state: str
    request: TrainingRequest
    created_at: datetime
    finished_at: datetime | None = None
    is_resumable: bool = False
    progress: Progress | None = None
    step: int = 0
    latest: dict[str, float] = field(default_factory=dict)
    error: JobFailure | None = None
    result: dict = field(default_factory=dict)
    log: tuple[str, ...] = ()

    @property
    def is_active(self) -> bool:
        return self.state in ("queued", "running")


def start(
    store: Store, jobs: Jobs, request: TrainingRequest, secret_environment: Mapping[str, str] | None = None
) -> Job:
    """Check a request and start its job.

    Args: secret_environment: for the job's process alone, such as HF_TOKEN for private data sets; written nowhere.
    Raises: TrainingError for a request that cannot be done (see `workflows.training_check.check_request`);
        NotAllowedError in a public deployment.
    """
    return jobs.start("train", {"request": check_request(store, jobs, request).to_json()}, secret_environment)


def pause(jobs: Jobs, run_id: str) -> Job:
    """Ask a run to save a checkpoint after the step it is in, and to end; `resume` goes on from there, bit for bit."""
    return jobs.cancel(run_id)


def resume(jobs: Jobs, run_id: str, secret_environment: Mapping[str, str] | None = None) -> Job:
    """Go on with a run that was paused, interrupted or failed, from its last checkpoint.

    Args: secret_environment: as in `start`; it is needed again where the text was not gathered yet.
    """
    finish_mark(RunFolder(jobs.get(run_id).folder)).unlink(missing_ok=True)
    return jobs.resume(run_id, secret_environment)


def stop(jobs: Jobs, run_id: str) -> Job:
    """Finish a run here: its best checkpoint becomes the model. One that nobody works on is started for just that.

    Raises: JobError if the run has ended.
    """
    job = jobs.get(run_id)
    if not job.is_active and not job.is_resumable:
        raise JobError(f"Run {run_id} is {job.state}: there is nothing to stop.", "Its model is in the library.")
    finish_mark(RunFolder(job.folder)).touch()
    return job if job.is_active else jobs.resume(run_id)


def finish_mark(run: RunFolder) -> Path:
    """The empty file that asks a run to finish with what it has."""
    return run.path / "finish"


def runs(store: Store, jobs: Jobs) -> list[TrainingRun]:
    """Every training, newest first: those with a job's folder, and those that only the database remembers."""
    kept = {experiment.id: experiment for experiment in store.experiments(KIND)}
    latest = store.latest_metrics()
    working = {job.id: job for job in jobs.all() if job.kind == "train"}
    found = [_run_of_job(job, kept.get(job.id), latest.get(job.id, {})) for job in working.values()]
    found += [_run_of_memory(kept[key], latest.get(key, {})) for key in kept.keys() - working.keys()]
    return sorted(found, key=lambda run: (run.created_at, run.id), reverse=True)


def run(store: Store, jobs: Jobs, run_id: str) -> TrainingRun:
    """One training. Raises JobError if there is none of that id."""
    found = next((each for each in runs(store, jobs) if each.id == run_id), None)
    if found is None:
        raise JobError(f"There is no training {run_id!r}.", "It may have been deleted; look at the list of runs.")
    return found


def history(store: Store, run_id: str) -> pd.DataFrame:
    """Its metrics: columns step, name, value (NaN: undefined), recorded_at (UTC), by step and name.

    Names: loss, tokens_per_s, learning_rate, gradient_norm, memory_bytes, held_out/loss, held_out/perplexity,
    held_out/bits_per_byte; in self-play reward, reward/<part>, kl, … Steps of self-play count on from the last step of
    the supervised phase.
    """
    return store.metrics(run_id)


def samples(store: Store, run_id: str, since_step: int = 0) -> list[Sample]:
    """What the model wrote, by step."""
    return store.training_samples(run_id, since_step)


def remarks(store: Store, run_id: str) -> list[Remark]:
    """Verdicts on self-play (`is_verdict`), milestones and warnings, by step."""
    return store.training_remarks(run_id)


def checkpoints(store: Store, run_id: str) -> list[TrainingCheckpoint]:
    """The run's checkpoints by step, those too whose folder is gone; step 0 is before training."""
    return store.training_checkpoints(run_id)


def _run_of_job(job: Job, kept: Experiment | None, latest: dict[str, tuple[int, float]]) -> TrainingRun:
    state = {"cancelled": "paused"}.get(job.state, job.state)
    return TrainingRun(
        id=job.id,
        name=job.arguments["request"]["name"],
        state=state,
        request=_request(job.arguments["request"]),
        created_at=job.created_at,
        finished_at=kept.finished_at if kept and not job.is_active else None,
        is_resumable=job.is_resumable,
        progress=job.progress if job.is_active else None,
        step=max((step for step, _ in latest.values()), default=0),
        latest={name: value for name, (_, value) in latest.items()},
        error=job.error,
        result=job.result or (kept.result if kept and kept.result else {}),
        log=job.log,
    )


def _request(values: dict) -> TrainingRequest:
    """What was asked; of a run by another version, whose settings mean nothing here, its name alone: it is listed."""
    try:
        return TrainingRequest.from_json(values)
    except TrainingError:
        return TrainingRequest(str(values.get("name", "")))


def _run_of_memory(kept: Experiment, latest: dict[str, tuple[int, float]]) -> TrainingRun:
    return TrainingRun(
        id=kept.id,
        name=kept.name,
        state=_STATES.get(kept.status, kept.status),
        request=_request(kept.settings),
        created_at=kept.started_at,
        finished_at=kept.finished_at,
        step=max((step for step, _ in latest.values()), default=0),
        latest={name: value for name, (_, value) in latest.items()},
        error=JobFailure(kept.message) if kept.status == "failed" else None,
        result=kept.result or {},
    )


__all__ = [
    "Estimate",
    "TrainingRequest",
    "TrainingRun",
    "check_request",
    "checkpoints",
    "estimate",
    "history",
    "model_folder",
    "pause",
    "remarks",
    "resume",
    "run",
    "runs",
    "samples",
    "start",
    "stop",
]
