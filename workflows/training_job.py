"""The work of a training: text, supervised phase, self-play, and the best checkpoint as a model of the library."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Cancelled, TrainingError, WeightscopeError
from engine.training.checkpoints import Checkpoints
from engine.training.events import Event, OnEvent, Saved
from storage.store import Store
from workflows.extract import ExtractSettings, extract
from workflows.folders import replace_text
from workflows.reports import Meter, Report
from workflows.runs import RunFolder
from workflows.trained_models import (
    PARENT_HASH_KEY,
    PARENT_KEY,
    RUN_KEY,
    keep_initial,
    model_folder,
    publish,
    self_play_folder,
)
from workflows.training_card import CardFacts, environment, model_card
from workflows.training_recorder import Recorder
from workflows.training_request import TrainingRequest
from workflows.training_text import PreparedText

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from engine.training.distributed import World
    from engine.training.model import Decoder

JUDGED_BYTES = 1 << 19
"""Held-out text that the finished model is priced on, at the most: half a mebibyte, some seconds. Chosen by us."""

LOOK_EVERY_S = 0.25


def train_model(request: TrainingRequest, *, store: Store, run: RunFolder, report: Report) -> dict:
    """Do what was asked, from where the run stands.

    Args: run: its folder keeps text, tokens and how far the phases are. report: hears progress, may pause the work.
    Returns: what became of it (see `workflows.training.TrainingRun.result`).
    Raises: Cancelled when it was paused: a checkpoint is kept; TrainingError; SourceError; StorageError at the end.
    """
    from engine.training.distributed import joined

    store.begin_training(run.id, request.name, request.to_json(), _Stand(run, store, request).step)
    try:
        with joined(_device(request)) as world:
            _from_first(world, str(run.path))
            work = _Work(request, store, run, report, world)
            work.learn()
        result = work.finish()
    except WeightscopeError as error:
        status = "cancelled" if isinstance(error, Cancelled) else "failed"
        store.finish_experiment(run.id, status, message=error.message)
        raise
    store.finish_experiment(run.id, "done", result)
    return result


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


class _Stand:
    """How far a run is, kept in its folder: phases that ended, and the time they took."""

    def __init__(self, run: RunFolder, store: Store, request: TrainingRequest) -> None:
        self._file = run.checkpoints / "phases.json"
        self._home, self._request = model_folder(store, request.name), request
        self.known: dict = json.loads(self._file.read_text(encoding="utf-8")) if self._file.is_file() else {}

    def keep(self, **values) -> None:
        self.known |= values
        self._file.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self._file, json.dumps(self.known))

    @property
    def learnt(self) -> Checkpoints:
        return Checkpoints(self._home, self._request.training.keep_last if self._request.training else 1)

    @property
    def offset(self) -> int:
        """Steps before self-play."""
        return self.known.get("supervised", {}).get("step", 0)

    @property
    def played(self) -> Checkpoints:
        keep_last = self._request.self_play.keep_last if self._request.self_play else 1
        return Checkpoints(self_play_folder(self._home, self.offset), keep_last)

    @property
    def step(self) -> int:
        """Of the run's last checkpoint."""
        steps = self.played.steps() if self.has_learnt else self.learnt.steps()
        return (self.offset if self.has_learnt else 0) + (steps[-1] if steps else 0)

    @property
    def has_learnt(self) -> bool:
        return self._request.training is None or "supervised" in self.known


class _Work:
    """One run in one process."""

    def __init__(self, request: TrainingRequest, store: Store, run: RunFolder, report: Report, world: World) -> None:
        self.request, self.store, self.run, self.report, self.world = request, store, run, report, world
        self.home = model_folder(store, request.name)
        self.stand = _Stand(run, store, request)
        self.text = PreparedText(run.checkpoints / "text")
        self.finish_mark = run.path / "finish"
        self._looked_s, self._is_finishing = -math.inf, False
        self.threads = (request.training or request.self_play).threads or None

    def learn(self) -> None:
        """Prepare the text, and learn from it unless that is done."""
        begin_s = time.monotonic()
        if self.world.is_first:
            self.home.mkdir(parents=True, exist_ok=True)
            if not self.text.is_complete:
                self.text.prepare(self.request, self.store, self.report, self._given_tokenizer())
        self.world.from_first(0.0)  # the others wait for the text
        is_done = self.stand.has_learnt or (self.is_finishing() and self.stand.learnt.latest() is not None)
        if self.world.from_first(float(is_done)):
            return
        try:
            with self._listening("supervised", 0) as listen:
                self._supervised(listen)
        finally:
            self._took(begin_s)

    def finish(self) -> dict:
        """Play, if that was asked for; then make the best checkpoint the model, and measure it."""
        begin_s = time.monotonic()
        if self.request.self_play is not None and not self.is_finishing():
            try:
                with self._listening("self-play", self.stand.offset) as listen:
                    self._self_play(listen)
            finally:
                self._took(begin_s)
        return self._published(*self._best())

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
            return load_llama(Path(self.request.start_from))
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

    @contextmanager
    def _listening(self, phase: str, offset: int) -> Iterator[OnEvent]:
        """What takes a phase's events; in all processes but the first, nobody does."""
        if not self.world.is_first:
            yield lambda event: None
            return
        with Recorder(self.store, self.run.id, self.report, self.run.checkpoints, self.threads) as recorder:
            record = recorder.listener(phase, offset)

            def listen(event: Event) -> None:
                if isinstance(event, Saved) and event.step == 0 and self.request.model is not None:
                    keep_initial(self.home, event.folder)
                record(event)

            yield listen

    def _took(self, begin_s: float) -> None:
        if self.world.is_first:
            self.stand.keep(elapsed_s=self.stand.known.get("elapsed_s", 0.0) + time.monotonic() - begin_s)

    def _best(self) -> tuple[str, int, Path]:
        """Phase, step of the run, and folder of the checkpoint that becomes the model."""
        played, learnt = (kept.best() or kept.latest() for kept in (self.stand.played, self.stand.learnt))
        if played is not None and (_step(played) or learnt is None):  # its step 0 is the best one before it
            return "self-play", self.stand.offset + _step(played), played
        if learnt is None:
            raise TrainingError("The run has no checkpoint to make a model of.", "Resume it, or start it again.")
        return "supervised", _step(learnt), learnt

    def _published(self, phase: str, step: int, best: Path) -> dict:
        """Put the model in its place with its card, and measure it."""
        parent = self._parent()
        metadata = {RUN_KEY: self.run.id} | {key: value for key, value in parent.items() if value}
        outcome = {}

        def card(folder: Path) -> str:
            outcome.update(self._outcome(phase, step, folder))
            return model_card(CardFacts(self.request, self.text.facts, outcome, parent, environment(self.world)))

        Meter(self.report, "finishing the model").say(self.request.name)
        location = publish(self.store, self.request.name, best, metadata, card)
        settings = ExtractSettings(threads=self.threads)
        measured = extract(location.name, store=self.store, settings=settings, report=self.report)
        return outcome | {"name": location.name, "uri": location.uri, "content_hash": measured.content_hash}

    def _outcome(self, phase: str, step: int, folder: Path) -> dict:
        """What came of the run: plain numbers, None where undefined."""
        from engine.training.determinism import reproducible
        from engine.training.held_out import beginnings, held_out_loss
        from engine.training.llama_folder import load_llama

        model, tokenizer = load_llama(folder)
        test = beginnings(self.text.test, JUDGED_BYTES)
        settings = self.request.training or self.request.self_play
        with reproducible(settings.seed, settings.threads):
            price = held_out_loss(model, tokenizer, test, model.settings.context)
        known = self.stand.known
        return {
            "folder": str(self.home),
            "phase": phase,
            "best_step": step,
            "steps": self.stand.step,
            "ending": (known.get("self_play") or known.get("supervised") or {}).get("ending", "stopped"),
            "reason": (known.get("self_play") or known.get("supervised") or {}).get("reason", "Finished on request."),
            "bits_per_byte": price.bits_per_byte,
            "perplexity": price.perplexity,
            "test_bytes": price.num_bytes,
            "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
            "model": asdict(model.settings),
            "elapsed_s": known.get("elapsed_s", 0.0),
            "verdict": self._verdict(),
        }

    def _verdict(self) -> dict | None:
        """The last one on self-play, if it played."""
        verdicts = [remark for remark in self.store.training_remarks(self.run.id) if remark.is_verdict]
        return (
            {"step": verdicts[-1].step, "verdict": verdicts[-1].kind, "reason": verdicts[-1].text} if verdicts else None
        )

    def _parent(self) -> dict[str, str]:
        """Name and content hash of the model it went on from, as far as they are known."""
        if not self.request.start_from:
            return {}
        known = self.store.location(self.request.start_from)
        name = known.name if known else Path(self.request.start_from).name
        return {PARENT_KEY: name, PARENT_HASH_KEY: (known.content_hash if known else None) or ""}


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
