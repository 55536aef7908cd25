"""A job seen from inside: the process that does the work and keeps the run's folder up to date."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from engine.errors import Cancelled, WeightscopeError
from workflows.processes import write_mark
from workflows.reports import Progress, StoppableReport
from workflows.runs import RunFolder

PROGRESS_EVERY_S = 0.25
"""Progress is written at most so often: a page reads it once or twice a second."""

EXIT_OK, EXIT_FAILED, EXIT_CANCELLED = 0, 1, 130


@dataclass(frozen=True)
class Lane:
    """Jobs that wait for each other.

    Attributes:
        name: of its lock files. variable: the environment variable that says how many work at the same time.
        usual: how many without it.
    """

    name: str
    variable: str
    usual: int

    def slots(self) -> int:
        """How many of its jobs work at the same time; the others wait."""
        given = os.environ.get(self.variable, "")
        return max(int(given), 1) if given.isdecimal() else self.usual


JOBS = Lane("job", "WEIGHTSCOPE_JOBS", 2)
"""Measuring and the like: minutes. Two at a time are chosen by us."""

TRAININGS = Lane("train", "WEIGHTSCOPE_TRAININGS", 1)
"""Trainings last hours and use every core: they wait for each other, and nothing else waits for them. Ours."""


def share_processors() -> None:
    """Let threads that wait for each other sleep instead of spin, unless the user said otherwise; before torch comes.

    Spinning threads are worth a little on an idle machine. Where others work too, those that wait keep the processors
    from the one they wait for: a training beside seven busy processes on 4 cores ran 17 times slower with 2 threads,
    and 180 times slower with 4.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


class RunReport(StoppableReport):
    """Writes what the work says to the run's events, and stops it once the run's file `cancel` is there."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__("What was finished is kept: resume the job to go on.")
        self._run = run
        self._last: Progress | None = None
        self._written_s = self._looked_s = -1e9

    def progress(self, progress: Progress) -> None:
        now_s = time.monotonic()
        is_news = self._last is None or progress.phase != self._last.phase or progress.done == progress.total
        if is_news or now_s - self._written_s >= PROGRESS_EVERY_S:
            fields = {name: getattr(progress, name) for name in Progress.__slots__}
            self._run.write_event("progress", **fields)
            self._written_s = now_s
        self._last = progress

    def log(self, text: str) -> None:
        self._run.write_event("log", text=text)

    def metric(self, name: str, value: float, step: int = 0) -> None:
        self._run.write_event("metric", name=name, value=float(value), step=step)

    def check(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s >= PROGRESS_EVERY_S:  # the signal is quicker, but not every system has one
            self._looked_s = now_s
            if self._run.cancel.exists():
                self.ask_to_stop()
        super().check()


def run_job(
    run: RunFolder,
    locks: Path,
    work: Callable[[RunReport], dict],
    lane: Lane | None = JOBS,
    report: RunReport | None = None,
) -> int:
    """Do a run's work in this process, and leave a final event however it ends.

    Args:
        run: the run's folder. locks: the folder of the lock files that count running jobs.
        work: does it, given where to report; returns what the job's `result` shall be.
        lane: whom it waits for; None starts at once. report: where to report; None for the run's folder alone.
    Returns: the exit code: 0 done, 1 failed, 130 cancelled. A bug keeps its traceback.
    """
    write_mark(run)
    report = report or RunReport(run)
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: report.ask_to_stop())
    try:
        with contextlib.nullcontext() if lane is None else _slot(locks, report, lane):
            run.write_event("state", state="running")
            result = work(report)
        run.write_event("state", state="done", result=result)
        return EXIT_OK
    except Cancelled as error:
        run.write_event("state", state="cancelled", message=error.message, hint=error.hint)
        return EXIT_CANCELLED
    except WeightscopeError as error:
        run.write_event("state", state="failed", message=error.message, hint=error.hint)
        print(error, flush=True)
        return EXIT_FAILED
    except BaseException as error:
        message = f"The job stopped on an unexpected {type(error).__name__}: {error}"
        run.write_event("state", state="failed", message=message, hint=f"The traceback is in {run.log}.")
        raise


@contextlib.contextmanager
def _slot(locks: Path, report: RunReport, lane: Lane) -> Iterator[None]:
    """Hold one of the few places for working jobs; wait for one, hearing a cancel. A dead job's place is free."""
    locks.mkdir(parents=True, exist_ok=True)
    places = [FileLock(locks / f"{lane.name}-{number}.lock") for number in range(lane.slots())]
    while True:
        for place in places:
            try:
                place.acquire(blocking=False)
            except Timeout:
                continue
            try:
                yield
            finally:
                place.release()
            return
        report.check()
        time.sleep(PROGRESS_EVERY_S)
