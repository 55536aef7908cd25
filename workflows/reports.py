"""How work says what it is doing, and hears that it should stop."""

from __future__ import annotations

import time
from dataclasses import dataclass

from engine.errors import Cancelled


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one phase of the work is.

    Attributes:
        phase: what is being done: "hashing", "preparing kernels", "measuring", "storing", …
        done, total: in `unit`; total is 0 where nobody knows it.
        rate: units per second so far; None before anything was done.
        left_s: seconds until this phase ends at that rate; None where unknown.
        current: the thing in hand, usually a tensor's name.
        unit: "B" for bytes.
    """

    phase: str
    done: int = 0
    total: int = 0
    rate: float | None = None
    left_s: float | None = None
    current: str = ""
    unit: str = "B"

    @property
    def fraction(self) -> float | None:
        """Part done, 0 … 1; None where the total is unknown."""
        return min(self.done / self.total, 1.0) if self.total else None


class Report:
    """Takes what the work has to say. This one keeps silent; its children write to a terminal or to a run's folder."""

    def progress(self, progress: Progress) -> None:
        """The work got this far."""

    def log(self, text: str) -> None:
        """Something a reader of the log wants to know."""

    def metric(self, name: str, value: float, step: int = 0) -> None:
        """A number worth a curve, such as a loss."""

    def check(self) -> None:
        """Called between steps. Raises Cancelled if the user asked the work to stop."""

    def close(self) -> None:
        """Nothing more will come."""


class CallbackReport(Report):
    """Hands every progress to a function, which may raise `Cancelled`."""

    def __init__(self, on_progress) -> None:
        self._on_progress = on_progress

    def progress(self, progress: Progress) -> None:
        self._on_progress(progress)


class StoppableReport(Report):
    """A report that can be asked to stop the work at its next step.

    Args: hint: what a person who stopped the work should know.
    """

    def __init__(self, hint: str = "") -> None:
        self._hint = hint
        self._stop_asked = False

    def ask_to_stop(self) -> None:
        self._stop_asked = True

    def check(self) -> None:
        if self._stop_asked:
            raise Cancelled("The work was cancelled.", self._hint)


class Meter:
    """Counts units of one phase, and reports them with their rate and the time left.

    Args:
        report: who is told. phase: its name. total: all units of the phase; 0 if unknown.
    """

    def __init__(self, report: Report, phase: str, total: int = 0, unit: str = "B") -> None:
        self._report = report
        self._phase, self._total, self._unit = phase, total, unit
        self._done = self._skipped = 0
        self._start_s = time.monotonic()
        self.say()

    def advance(self, units: int, current: str = "") -> None:
        """So many more units are done. Raises Cancelled if the user asked to stop."""
        self._done += units
        self.say(current)

    def reach(self, done: int, current: str = "") -> None:
        """So many units are done since the phase began, whatever was counted on the way."""
        self._done = done
        self.say(current)

    def skip(self, units: int) -> None:
        """So many units were done by an earlier run: they count as done but not into the rate."""
        self._done += units
        self._skipped += units

    def say(self, current: str = "") -> None:
        """Report where the phase stands. Raises Cancelled if the user asked to stop."""
        self._report.check()
        elapsed_s = time.monotonic() - self._start_s
        fresh = self._done - self._skipped
        rate = fresh / elapsed_s if fresh and elapsed_s > 0 else None
        left_s = max(self._total - self._done, 0) / rate if rate and self._total else None
        self._report.progress(Progress(self._phase, self._done, self._total, rate, left_s, current, self._unit))
