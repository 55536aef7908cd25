"""Jobs: long work in processes of their own, known by their folders, so that they outlive tabs and the app."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from engine.errors import JobError
from workflows.deployment import check_allowed
from workflows.job_kinds import KINDS, JobKind
from workflows.processes import START_LINE, end, living, read_mark, spawn
from workflows.reports import Progress
from workflows.runs import RUN_ID, EventTail, RunFolder

ACTIVE = ("queued", "running")
RESUMABLE = ("interrupted", "cancelled", "failed")
_STARTING_S = 15.0
"""A run without a process is taken for one that is being started, so long after its last sign of life."""


@dataclass(frozen=True)
class JobFailure:
    """Why a job did not end well, and what to do about it."""

    message: str
    hint: str = ""


@dataclass(frozen=True)
class Job:
    """A job as it stood when it was looked at.

    Attributes:
        id: the run folder's name. kind: "extract", … arguments: what was asked. title: one line for people.
        folder: the run's directory. created_at: UTC.
        state: "queued", "running", "done", "failed", "cancelled", or "interrupted" (its process vanished; it can be
            resumed).
        progress: the last report; None before the first. error: set when it failed or was interrupted.
        result: what the work returned, once done. metrics: name -> [(step, value)]. log: what the work said.
    """

    id: str
    kind: str
    title: str
    arguments: dict
    folder: Path
    created_at: datetime
    state: str
    progress: Progress | None = None
    error: JobFailure | None = None
    result: dict = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    log: tuple[str, ...] = ()

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_resumable(self) -> bool:
        return self.state in RESUMABLE


@dataclass
class _Story:
    """The events of one run, folded together as they are read."""

    tail: EventTail
    final: dict = field(default_factory=dict)
    is_running: bool = False
    last_s: float = 0.0
    progress: Progress | None = None
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def read_on(self) -> None:
        for event in self.tail.read():
            self.last_s = float(event.get("time") or 0.0)
            match event["event"]:
                case "state":
                    state = event.get("state")
                    self.final = event if state not in ACTIVE else {}
                    self.is_running = state == "running"
                    if state in ACTIVE:
                        self.progress = None
                case "progress":
                    self.progress = Progress(**{name: event[name] for name in Progress.__slots__ if name in event})
                case "metric":
                    self.metrics.setdefault(event["name"], []).append((event["step"], event["value"]))
                case "log":
                    self.log.append(event["text"])


class Jobs:
    """The jobs of one data folder, seen and steered from any process.

    Nothing is kept in memory but how far each run's events were read; two apps, tabs or terminals see the same jobs.
    As many work at once as their lane of `job_process` has slots, the others are "queued" until one ends; who is next
    is not promised.

    Args:
        data: the data folder.
    """

    def __init__(self, data: Path) -> None:
        self._data = Path(data)
        self._runs = self._data / "runs"
        self._stories: dict[str, _Story] = {}
        self._reading = threading.Lock()

    def start(self, kind: str, arguments: dict, secret_environment: Mapping[str, str] | None = None) -> Job:
        """Start a job; if one of that kind already works on the same thing, that one is returned instead.

        Args:
            kind: one of `job_kinds.KINDS`. arguments: what that kind wants, JSON values only.
            secret_environment: variables for the job's process alone, such as HF_TOKEN; they are never written down,
                so a resumed job needs them again.
        Raises: JobError for an unknown kind or unfit arguments; NotAllowedError in a public deployment.
        """
        if kind not in KINDS:
            raise JobError(f"There is no job of kind {kind!r}.", f"Kinds are: {', '.join(sorted(KINDS))}.")
        _check_allowed(kind)
        arguments = KINDS[kind].check(arguments)
        subject = KINDS[kind].subject(arguments)
        with self._alone():
            for job in self.all():
                if job.is_active and job.kind == kind and KINDS[kind].subject(job.arguments) == subject:
                    return job
            run = RunFolder.create(self._runs, kind, arguments)
            self._spawn(run, kind, arguments, secret_environment)
        return self.get(run.id)

    def all(self) -> list[Job]:
        """Every job, newest first. Folders that are no runs are passed over."""
        if not self._runs.is_dir():
            return []
        names = sorted((path.name for path in self._runs.iterdir() if RUN_ID.fullmatch(path.name)), reverse=True)
        return [job for name in names if (job := self._look(name)) is not None]

    def active(self) -> list[Job]:
        """The jobs that are queued or running, newest first."""
        return [job for job in self.all() if job.is_active]

    def get(self, job_id: str) -> Job:
        """One job as it stands now. Raises JobError if there is none of that id."""
        job = self._look(job_id) if RUN_ID.fullmatch(job_id) else None
        if job is None:
            raise JobError(f"There is no job {job_id!r}.", "It may have been forgotten; look at the list of jobs.")
        return job

    def cancel(self, job_id: str, grace_s: float | None = None) -> Job:
        """Ask a job to stop at its next step; what it finished stays for resuming.

        Returns at once. A job that has not ended after `grace_s` seconds (None: as its kind says) is killed, by a
        thread of this process.
        """
        job = self.get(job_id)
        if grace_s is None:
            grace_s = KINDS[job.kind].grace_s if job.kind in KINDS else JobKind.grace_s
        if not job.is_active:
            return job
        run = RunFolder(job.folder)
        run.cancel.touch()
        process = living(read_mark(run))
        if process is not None:
            _ask_to_end(process)
            threading.Thread(target=_end_late, args=(process, grace_s), name=f"end {job_id}", daemon=True).start()
        return self.get(job_id)

    def resume(self, job_id: str, secret_environment: Mapping[str, str] | None = None) -> Job:
        """Start a job again that did not end well; finished parts are not done twice. A working job is left alone."""
        with self._alone():
            job = self.get(job_id)
            _check_allowed(job.kind)
            if job.is_active:
                return job
            if not job.is_resumable:
                raise JobError(f"Job {job_id} is {job.state}: there is nothing to resume.", "Start a new one.")
            run = RunFolder(job.folder)
            run.cancel.unlink(missing_ok=True)
            run.process.unlink(missing_ok=True)
            run.write_event("state", state="queued")
            self._spawn(run, job.kind, job.arguments, secret_environment)
        return self.get(job_id)

    def forget(self, job_id: str) -> None:
        """Delete a job's folder, with what it had finished. Raises JobError while it works."""
        check_allowed("deletion")
        with self._alone():
            job = self.get(job_id)
            if job.is_active:
                raise JobError(f"Job {job_id} is {job.state}.", "Cancel it first.")
            shutil.rmtree(job.folder)
            self._stories.pop(job_id, None)

    def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """Wait until a job is neither queued nor running, or the time is over; returns it as it then stands."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while (job := self.get(job_id)).is_active and (deadline_s is None or time.monotonic() < deadline_s):
            time.sleep(0.05)
        return job

    def _spawn(self, run: RunFolder, kind: str, arguments: dict, secret_environment: Mapping[str, str] | None) -> None:
        command = [kind, "--data", str(self._data), "--run", str(run.path), *KINDS[kind].command(arguments)]
        try:
            spawn(run, command, secret_environment)
        except OSError as error:
            run.write_event("state", state="failed", message=f"The process could not be started: {error}", hint="")
            raise JobError(
                f"The job {run.id} could not be started: {error}.", "Is the machine out of memory?"
            ) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time may start, resume or forget jobs."""
        locks = self._data / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(locks / "jobs.lock", timeout=20):
                yield
        except Timeout as error:
            raise JobError("Another process has been starting jobs for 20 s.", "Try again in a moment.") from error

    def _look(self, job_id: str) -> Job | None:
        """The job of that id; None if its folder is gone or is no run's."""
        run = RunFolder(self._runs / job_id)
        try:
            request = run.read_request()
        except JobError:
            return None
        mark = read_mark(run)
        is_alive = living(mark) is not None  # asked before the events are read: a final event then cannot be missed
        with self._reading:
            story = self._stories.setdefault(job_id, _Story(EventTail(run)))
            story.read_on()
            return _job(run, request, story, is_alive, mark is None)


def _check_allowed(kind: str) -> None:
    """Raises NotAllowedError for work that a public deployment does not do."""
    if kind in KINDS and not KINDS[kind].is_public:
        check_allowed("downloads" if kind == "download" else "training")


def _job(run: RunFolder, request: dict, story: _Story, is_alive: bool, is_unmarked: bool) -> Job:
    """What the folder, its events and its process say together."""
    last_sign_s = max(story.last_s, request["created_at"].timestamp())
    error = None
    if story.final:
        state = story.final["state"]
        if state == "failed":
            error = JobFailure(story.final.get("message") or "It failed.", story.final.get("hint") or "")
    elif is_alive:
        state = "running" if story.is_running else "queued"
    elif is_unmarked and time.time() - last_sign_s < _STARTING_S:
        state = "queued"
    elif run.cancel.exists():
        state = "cancelled"
    else:
        state = "interrupted"
        error = JobFailure(crash_reason(run), "Resume it: what it had finished is kept.")
    kind, arguments = request["kind"], request["arguments"]
    return Job(
        id=run.id,
        kind=kind,
        title=KINDS[kind].title(arguments) if kind in KINDS else kind,
        arguments=arguments,
        folder=run.path,
        created_at=request["created_at"].astimezone(UTC),
        state=state,
        progress=story.progress,
        error=error,
        result=dict(story.final.get("result") or {}),
        metrics={name: list(points) for name, points in story.metrics.items()},
        log=tuple(story.log),
    )


def crash_reason(run: RunFolder) -> str:
    """Why a process vanished without a final event, from the end of what it printed."""
    try:
        with run.log.open("rb") as file:
            file.seek(max(file.seek(0, 2) - 65536, 0))
            printed = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        printed = ""
    lines = [line.strip() for line in printed.rpartition(START_LINE)[2].splitlines()]
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    if fatal:
        return f"The process crashed: {fatal[-1]}."
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return f"The process crashed: {[line for line in lines if line][-1]}"
    return "The process vanished without a word: it was killed, or the machine was switched off."


def _ask_to_end(process: psutil.Process) -> None:
    if sys.platform == "win32":
        return  # a process without a console hears no CTRL_BREAK; it looks for the file `cancel`
    with suppress(psutil.NoSuchProcess):
        process.terminate()


def _end_late(process: psutil.Process, grace_s: float) -> None:
    try:
        process.wait(grace_s)
    except psutil.TimeoutExpired:
        end(process)
