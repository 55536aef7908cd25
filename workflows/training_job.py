"""The work of a training: text, supervised phase, self-play, and the best checkpoint as a model of the library."""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Cancelled, StorageError, TrainingError, WeightscopeError
from engine.training.events import Event, OnEvent, Saved
from storage.store import Store
from workflows.reports import Report
from workflows.runs import RunFolder
from workflows.trained_models import keep_initial, model_folder, self_play_folder
from workflows.training_card import environment
from workflows.training_outcome import Ended, finished_model
from workflows.training_recorder import Recorder
from workflows.training_request import TrainingRequest
from workflows.training_stand import Stand
from workflows.training_text import PreparedText

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from engine.training.distributed import World
    from engine.training.model import Decoder

LOOK_EVERY_S = 0.25
"""How often the disk is asked whether a person wants the run to finish."""


def train_model(request: TrainingRequest, *, store: Store, run: RunFolder, report: Report) -> dict:
    """Do what was asked, from where the run stands.

    Args: run: its folder keeps text, tokens and how far the phases are. report: hears progress, may pause the work.
    Returns: what became of it (see `workflows.training.TrainingRun.result`).
    Raises: Cancelled when it was paused: a checkpoint is kept; TrainingError; SourceError; StorageError at the end.
    """
    from engine.training.distributed import joined

    store.begin_training(run.id, request.name, request.to_json(), Stand(run, store, request).step)
    try:
        threads = (request.training or request.self_play).threads or None
        with Recorder(store, run.id, report, run.checkpoints, threads) as recorder:
            with _memory_told(), joined(_device(request)) as world:
                _from_first(world, str(run.path))
                work = _Work(request, store, run, report, world, recorder)
                work.catch_up()
                work.learn()
            with _memory_told():
                work.play()
        with _memory_told():
            result = work.finish()
    except WeightscopeError as error:
        _store_end(error, store, run, report)
        raise
    store.finish_experiment(run.id, "done", result)
    for part in ("start", "previous", "text"):  # nothing goes on from here any more
        shutil.rmtree(run.checkpoints / part, ignore_errors=True)
    return result


def _store_end(error: WeightscopeError, store: Store, run: RunFolder, report: Report) -> None:
    """Say in the database why the run ended; a database that cannot be written does not hide the reason."""
    try:
        status = "cancelled" if isinstance(error, Cancelled) else "failed"
        store.finish_experiment(run.id, status, message=error.message)
    except StorageError as refused:
        report.log(f"How the training ended could not be stored: {refused}")


def help_first(request: TrainingRequest, *, store: Store) -> None:
    """Under torchrun, what all processes but the first do: learn along with it. It alone knows the run, and reports."""
    from engine.training.distributed import joined

    with joined(_device(request)) as world:
        run = RunFolder(Path(_from_first(world)))
        request = TrainingRequest.from_json(run.read_request()["arguments"].get("request"))
        _Work(request, store, run, Report(), world).learn()


def _device(request: TrainingRequest) -> str:
    return (request.training or request.self_play).device


def _from_first(world: World, text: str = "") -> str:
    """The first process's text, in all processes."""
    if world.size == 1:
        return text
    from torch import distributed

    told = [text]
    distributed.broadcast_object_list(told, src=0)
    return told[0]


@contextmanager
def _memory_told() -> Iterator[None]:
    """Too little memory is said so, on a processor and on a graphics card."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        words = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")
        if not isinstance(error, MemoryError) and not any(word in str(error).lower() for word in words):
            raise
        raise TrainingError(
            f"The memory is not enough for this training: {' '.join(str(error).split())[:200]}.",
            "Close other programs, or start again with a smaller batch, more accumulation or a smaller model.",
        ) from error


class _Work:
    """One run in one process."""

    def __init__(
        self,
        request: TrainingRequest,
        store: Store,
        run: RunFolder,
        report: Report,
        world: World,
        recorder: Recorder | None = None,
    ) -> None:
        self.request, self.store, self.run, self.report, self.world = request, store, run, report, world
        self.recorder = recorder
        self.home = model_folder(store, request.name)
        self.stand = Stand(run, store, request)
        self.text = PreparedText(run.checkpoints / "text")
        self.finish_mark = run.path / "finish"
        self._looked_s, self._is_finishing = -math.inf, False
        self.threads = (request.training or request.self_play).threads or None

    def catch_up(self) -> None:
        """Record what an earlier process of this run saved or told, and was killed before it was stored."""
        stand = self.stand
        self.recorder.take_up(stand.step)
        if self.request.model is not None and 0 in stand.learnt.steps():
            keep_initial(self.home, stand.learnt.path(0))
        self.recorder.add_missing(stand.learnt, "supervised", 0)
        if stand.has_learnt:
            self.recorder.add_missing(stand.played, "self-play", stand.offset)

    def learn(self) -> None:
        """Prepare the text, and learn from it unless that is done."""
        begin_s = time.monotonic()
        if self.world.is_first:
            self._prepare()
        self.world.from_first(0.0)  # the others wait for the text
        is_done = self.stand.has_learnt or (self.is_finishing() and self.stand.learnt.latest() is not None)
        if self.world.from_first(float(is_done)):
            return
        try:
            self._supervised(self._listener("supervised", 0))
        finally:
            self._took(begin_s)

    def _prepare(self) -> None:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            if not self.text.is_complete:
                self.text.prepare(self.request, self.store, self.report, self._given_tokenizer())
        except OSError as error:
            raise TrainingError(
                f"The text cannot be prepared: {error}.", "Make room on the disk, or let the folder be written."
            ) from error

    def play(self) -> None:
        """Self-play, if that was asked for."""
        begin_s = time.monotonic()
        if self.request.self_play is None or self.is_finishing():
            return
        try:
            self._self_play(self._listener("self-play", self.stand.offset))
        finally:
            self._took(begin_s)

    def finish(self) -> dict:
        """Make the best checkpoint the model, and measure it."""
        ended = Ended(self.run.id, self.request, self.stand, self.text, environment(self.world, self.threads or 0))
        return finished_model(ended, self.store, self.report)

    def is_finishing(self) -> bool:
        """Whether a person asked to finish here with what there is; the disk is asked a few times a second."""
        now_s = time.monotonic()
        if not self._is_finishing and now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s, self._is_finishing = now_s, self.finish_mark.exists()
        return self._is_finishing

    def should_stop(self) -> bool:
        """Asked before each update, whether for a pause or for good."""
        try:
            self.report.check()
        except Cancelled:
            return True
        return self.is_finishing()

    def _supervised(self, listen: OnEvent) -> None:
        from engine.training.supervised import train

        model, tokenizer = self._model()
        settings = self.request.training
        result = train(
            model,
            tokenizer,
            self.text.stream(settings.seed),
            self.text.validation,
            settings,
            self.home,
            listen,
            self.should_stop,
        )
        if not self.world.is_first:
            return
        if not result.is_finished and not self.is_finishing():
            raise Cancelled(f"Paused after step {result.step}.", "Resume it to go on from there.")
        if result.ending == "diverged":
            raise TrainingError(
                f"The training stopped by itself at step {result.step}. {result.reason}",
                "The checkpoints before it are kept: finish here to make the best one the model, or start again.",
            )
        self.stand.keep(supervised={"ending": result.ending, "reason": result.reason, "step": result.step})

    def _self_play(self, listen: OnEvent) -> None:
        from engine.training.self_play import play

        model, tokenizer = self._learnt_model()
        result = play(
            model,
            tokenizer,
            copy.deepcopy(model),
            self.text.stream(self.request.self_play.seed),
            self.text.validation,
            self.request.self_play,
            self_play_folder(self.home, self.stand.offset),
            listen,
            self.should_stop,
        )
        if not result.is_finished and not self.is_finishing():
            raise Cancelled(f"Paused after iteration {result.step} of self-play.", "Resume it to go on from there.")
        self.stand.keep(self_play={"ending": result.ending, "reason": result.reason, "step": result.step})

    def _model(self) -> tuple[Decoder, PreTrainedTokenizerFast]:
        """The model before training: new weights from the seed, or those it goes on from."""
        import torch

        from engine.training.llama_folder import load_llama
        from engine.training.model import Decoder

        if self.request.start_from:
            # Where the run has a checkpoint, its weights come from there: the model it began with may be gone.
            return load_llama(self.stand.learnt.latest() or Path(self.request.start_from))
        tokenizer = self.text.tokenizer()
        shape = replace(self.request.model, vocabulary_size=len(tokenizer))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.request.training.seed)
            return Decoder(shape), tokenizer

    def _learnt_model(self) -> tuple[Decoder, PreTrainedTokenizerFast]:
        """What self-play begins with: the best checkpoint of the supervised phase, or the model given."""
        from engine.training.llama_folder import load_llama

        if self.request.training is None:
            return self._model()
        return load_llama(self.stand.learnt.best() or self.stand.learnt.latest())

    def _given_tokenizer(self) -> PreTrainedTokenizerFast | None:
        """That of the model it goes on from: ids then keep their meaning, whatever the new text is."""
        from engine.training.llama_folder import load_llama

        return load_llama(Path(self.request.start_from))[1] if self.request.start_from else None

    def _listener(self, phase: str, offset: int) -> OnEvent:
        """What takes a phase's events; in all processes but the first, nobody does."""
        if self.recorder is None:
            return lambda event: None
        record = self.recorder.listener(phase, offset)

        def listen(event: Event) -> None:
            if isinstance(event, Saved) and event.step == 0 and self.request.model is not None:
                keep_initial(self.home, event.folder)
            record(event)

        return listen

    def _took(self, begin_s: float) -> None:
        if self.world.is_first:
            self.stand.keep(elapsed_s=self.stand.known.get("elapsed_s", 0.0) + time.monotonic() - begin_s)
