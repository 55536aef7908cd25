"""Brings what a training says into the database, while it goes on."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import StorageError
from engine.training.checkpoints import bits_per_byte
from engine.training.events import Evaluated, Event, Judged, Noticed, Sampled, Saved, StepDone
from storage.records import Metric
from storage.store import Store
from storage.training import Remark, Sample, TrainingCheckpoint, TrainingRows
from workflows.checkpoint_record import record_checkpoint
from workflows.reports import Progress, Report
from workflows.trained_models import WEIGHTS

WRITE_EVERY_S = 2.0
"""One short connection at most so often: some 40 ms, and others find the file free. Chosen by us."""

_PREVIOUS = "previous"


class Recorder:
    """Takes the events of one run: numbers, samples and remarks wait for the next write, progress is told at once.

    A thread writes, so that neither the disk nor a program that holds the database slows the training down. What cannot
    be written waits for the next time; only `close` gives up. Use it as a context.

    Args:
        store, experiment: where to. report: hears progress and notices.
        folder: the run's own, for the weights that the next checkpoint is compared with.
        start: the model before training, for the same; None if it is not kept. threads: for measuring; None for all.
    """

    def __init__(
        self,
        store: Store,
        experiment: str,
        report: Report,
        folder: Path,
        start: Path | None = None,
        threads: int | None = None,
    ) -> None:
        self._store, self._experiment, self._report = store, experiment, report
        self._folder, self._start, self._threads = folder, start, threads
        self._rows = TrainingRows()
        self._adding = threading.Lock()
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write_on, name="training recorder", daemon=True)
        self.last_step = 0

    def __enter__(self) -> Recorder:
        self._writer.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._closing.set()
        self._writer.join()
        try:
            self.write()
        except StorageError:
            if kind is None:  # what ended the training matters more than its last numbers
                raise

    def listener(self, phase: str, offset: int = 0) -> Callable[[Event], None]:
        """What takes the events of a phase. Args: offset: steps of the run before the phase's first one."""

        def listen(event: Event) -> None:
            step = event.step + offset
            self.last_step = max(self.last_step, step)
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
                    self._add(lambda rows: rows.samples.append(Sample(step, event.prompt, event.text, _now())))
                case Saved():
                    self.add_checkpoint(step, phase, event.folder, event.is_best)
                case Judged():
                    self.remark(step, event.verdict, event.reason)
                case Noticed():
                    self.remark(step, "notice", event.text)
                    self._report.log(event.text)

        return listen

    def remark(self, step: int, kind: str, text: str) -> None:
        """Keep a verdict or a notice."""
        self._add(lambda rows: rows.remarks.append(Remark(step, kind, text, _now())))

    def add_checkpoint(
        self, step: int, phase: str, folder: Path, is_best: bool = False, *, is_kept: bool = True
    ) -> None:
        """Measure a checkpoint that lies in a folder, and keep its numbers and pictures.

        Args: is_kept: whether the folder stays; else none is recorded.
        """
        previous = self._folder / _PREVIOUS / WEIGHTS
        tensors = record_checkpoint(
            folder, self._start, previous if previous.is_file() else None, threads=self._threads
        )
        score = math.nan if phase == "start" else bits_per_byte(folder)
        kept = TrainingCheckpoint(step, phase, str(folder) if is_kept else "", is_best, score, _now())
        self._add(lambda rows: rows.checkpoints.append((kept, tensors)))
        _keep(folder / WEIGHTS, previous)

    def write(self) -> None:
        """Store what waits. Raises: StorageError; it then still waits."""
        with self._adding:
            rows, self._rows = self._rows, TrainingRows()
        if not rows:
            return
        try:
            self._store.save_training_rows(self._experiment, rows)
        except StorageError:
            with self._adding:
                self._rows = _together(rows, self._rows)
            raise

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
        rate = (event.steps - event.step) / event.left_s if event.left_s else None
        main = "reward" if "reward" in numbers else "loss"
        current = f"{main} {numbers.get(main, math.nan):.3f}, {event.tokens_per_s:,.0f} tokens/s"
        name = "training" if phase == "supervised" else phase
        self._report.progress(Progress(name, event.step, event.steps, rate, event.left_s, current, "steps"))

    def _add_metrics(self, step: int, numbers: dict[str, float]) -> None:
        now = _now()
        self._add(lambda rows: rows.metrics.extend(Metric(step, name, v, now) for name, v in numbers.items()))

    def _add(self, put: Callable[[TrainingRows], None]) -> None:
        with self._adding:
            put(self._rows)

    def _write_on(self) -> None:
        has_told = False
        while not self._closing.wait(WRITE_EVERY_S):
            try:
                self.write()
            except StorageError as error:
                if not has_told:
                    self._report.log(f"The numbers of the training wait to be stored: {error}")
                has_told = True


def _together(first: TrainingRows, then: TrainingRows) -> TrainingRows:
    return TrainingRows(
        first.metrics + then.metrics,
        first.samples + then.samples,
        first.remarks + then.remarks,
        first.checkpoints + then.checkpoints,
    )


def _keep(weights: Path, place: Path) -> None:
    """Keep a checkpoint's weights for the next comparison, also when the checkpoint is removed: a second name for the
    same bytes where the disk can do that, else a copy."""
    part = place.with_name("part")
    place.parent.mkdir(parents=True, exist_ok=True)
    part.unlink(missing_ok=True)
    try:
        part.hardlink_to(weights)
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(weights, part)
    part.replace(place)


def _now() -> datetime:
    return datetime.now(UTC)
