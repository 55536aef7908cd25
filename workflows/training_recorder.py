"""Brings what a training says into the database, while it goes on."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import StorageError, TrainingError
from engine.training.checkpoints import Checkpoints, bits_per_byte
from engine.training.events import Evaluated, Event, Judged, Noticed, Sampled, Saved, StepDone
from storage.records import Metric
from storage.store import Store
from storage.training import Remark, Sample, TrainingCheckpoint, TrainingRows
from workflows.checkpoint_record import record_checkpoint
from workflows.reports import Progress, Report
from workflows.trained_models import WEIGHTS, second_name
from workflows.training_journal import Journal, missing, together

WRITE_EVERY_S = 2.0
"""One short connection at most so often: some 40 ms, and others find the file free. Chosen by us."""


TELL_EVERY_S = 1.0
"""Progress is told at most so often: a night of it still is a small file."""


class Recorder:
    """Takes the events of one run: numbers, samples and remarks wait for the next write, progress is told at once.

    A thread writes, so that neither the disk nor a program that holds the database slows the training down. What cannot
    be written waits for the next time, in memory and in the run's folder: neither a killed process nor a database that
    a newer program has changed loses it, and a training never ends for that. Use it as a context.

    Args:
        store, experiment: where to. report: hears progress and notices.
        folder: the run's own, for what waits, and for the weights that later checkpoints are compared with.
        threads: for measuring; None for all.
    """

    def __init__(
        self,
        store: Store,
        experiment: str,
        report: Report,
        folder: Path,
        threads: int | None = None,
    ) -> None:
        self._store, self._experiment, self._report = store, experiment, report
        self._folder, self._threads = folder, threads
        self._rows, self._journal = TrainingRows(), Journal(folder)
        self._is_journal_broken = False
        self._adding = threading.Lock()
        self._closing = threading.Event()
        self._hurry = threading.Event()
        self._writer = threading.Thread(target=self._write_on, name="training recorder", daemon=True)
        self._told_s = -math.inf

    def __enter__(self) -> Recorder:
        self._writer.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._closing.set()
        self._hurry.set()
        self._writer.join()
        try:
            self.write()
        except StorageError as error:  # what ended the training matters more than its last numbers
            self._report.log(
                f"The last numbers of the training are not stored yet; the run keeps them and stores them when it is "
                f"resumed: {error}"
            )

    def listener(self, phase: str, offset: int = 0) -> Callable[[Event], None]:
        """What takes the events of a phase. Args: offset: steps of the run before the phase's first one."""

        def listen(event: Event) -> None:
            step = event.step + offset
            match event:
                case StepDone():
                    self._add_step(event, step, phase, offset)
                case Evaluated():
                    self._add_metrics(
                        step,
                        {
                            "held_out/loss": event.loss,
                            "held_out/perplexity": event.perplexity,
                            "held_out/bits_per_byte": event.bits_per_byte,
                        },
                    )
                case Sampled():
                    self._add(TrainingRows(samples=[Sample(step, event.prompt, event.text, _now())]))
                case Saved():
                    if event.step or not offset:  # self-play begins with a checkpoint that is known already
                        score = bits_per_byte(event.folder)
                        self.add_checkpoint(step, phase, event.folder, score, is_best=event.is_best)
                case Judged():
                    self.remark(step, event.verdict, event.reason)
                case Noticed():
                    self.remark(step, "notice", event.text)
                    self._report.log(event.text)

        return listen

    def remark(self, step: int, kind: str, text: str) -> None:
        """Keep a verdict or a notice."""
        self._add(TrainingRows(remarks=[Remark(step, kind, text, _now())]))

    def add_checkpoint(self, step: int, phase: str, folder: Path, score: float, *, is_best: bool = False) -> None:
        """Measure a checkpoint that lies in a folder, and keep its numbers and pictures.

        Args: score: bits per byte of held-out text; NaN if nobody looked.
        Raises: TrainingError if its weights cannot be kept for comparing the next one with them.
        """
        start, previous = (self._folder / name / WEIGHTS for name in ("start", "previous"))
        known = (path if path.is_file() else None for path in (start, previous))
        tensors = record_checkpoint(folder, *known, threads=self._threads)
        kept = TrainingCheckpoint(step, phase, str(folder), is_best, score, _now())
        self._add(TrainingRows(checkpoints=[(kept, tensors)]))
        self._hurry.set()  # should the process be killed now, what led to this checkpoint is not told again
        for place in (previous, start) if step == 0 else (previous,):
            _keep(folder / WEIGHTS, place)

    def take_up(self, until_step: int) -> None:
        """Take what an earlier process told and could not store, up to the step that the run goes on from.

        Later steps are done again. What was stored before that process was killed is known already.

        Raises: StorageError.
        """
        waiting = missing(self._journal.read(), self._store, self._experiment, until_step)
        before = self._journal.turn()
        self._add(waiting)
        self._journal.forget(before)
        self.write()

    def add_missing(self, kept: Checkpoints, phase: str, offset: int) -> None:
        """Measure the checkpoints on the disk that the database does not know: the process was killed in between."""
        known = {each.step: each for each in self._store.training_checkpoints(self._experiment)}
        for step in kept.steps():
            if step + offset not in known and (step or not offset):
                score = bits_per_byte(kept.path(step))
                before = (each.bits_per_byte for each in known.values() if each.step < step + offset)
                is_best = score < min((bits for bits in before if not math.isnan(bits)), default=math.inf)
                self.add_checkpoint(step + offset, phase, kept.path(step), score, is_best=is_best)

    def write(self) -> None:
        """Store what waits. Raises: StorageError; it then still waits."""
        with self._adding:
            rows, self._rows = self._rows, TrainingRows()
            if not rows:
                return
            before = self._journal.turn()
        try:
            self._store.save_training_rows(self._experiment, rows)
        except StorageError:
            with self._adding:
                self._rows = together(rows, self._rows)
            raise
        with self._adding:
            self._journal.forget(before)

    def _add_step(self, event: StepDone, step: int, phase: str, offset: int) -> None:
        numbers = {
            "loss": event.loss,
            "learning_rate": event.learning_rate,
            "gradient_norm": event.gradient_norm,
            "tokens": event.tokens,
            "tokens_per_s": event.tokens_per_s,
            "memory_bytes": event.memory_bytes,
        } | event.metrics
        if phase == "self-play" and math.isnan(event.loss):
            del numbers["loss"]
        self._add_metrics(step, numbers)
        now_s = time.monotonic()
        if now_s - self._told_s < TELL_EVERY_S and event.step < event.steps:
            return
        self._told_s = now_s
        rate = (event.steps - event.step) / event.left_s if event.left_s else None
        main = "reward" if "reward" in numbers else "loss"
        current = f"{main} {numbers.get(main, math.nan):.3f}, {event.tokens_per_s:,.0f} tokens/s"
        name = "training" if phase == "supervised" else phase
        self._report.progress(Progress(name, event.step, event.steps, rate, event.left_s, current, "steps"))

    def _add_metrics(self, step: int, numbers: dict[str, float]) -> None:
        now = _now()
        self._add(TrainingRows(metrics=[Metric(step, name, value, now) for name, value in numbers.items()]))

    def _add(self, rows: TrainingRows) -> None:
        with self._adding:
            for part in fields(rows):
                getattr(self._rows, part.name).extend(getattr(rows, part.name))
            try:
                self._journal.add(rows)
            except OSError as error:
                if not self._is_journal_broken:
                    self._report.log(f"What the database does not know yet cannot be kept in the run's folder: {error}")
                self._is_journal_broken = True

    def _write_on(self) -> None:
        has_told = False
        while not self._closing.is_set():
            self._hurry.wait(WRITE_EVERY_S)
            self._hurry.clear()
            try:
                self.write()
            except StorageError as error:
                if not has_told:
                    self._report.log(f"The numbers of the training wait to be stored: {error}")
                has_told = True


def _keep(weights: Path, place: Path) -> None:
    """Keep a checkpoint's weights for later comparisons."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        second_name(weights, place)
    except OSError as error:
        raise TrainingError(
            f"The weights of {weights.parent} cannot be kept in {place.parent}: {error}.",
            "Make room on the disk, then resume: the checkpoints are whole.",
        ) from error


def _now() -> datetime:
    return datetime.now(UTC)
