"""Learning to predict the next token: from a stream of text to checkpoints, with looks at held-out text between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import TrainingError
from engine.training.checkpoints import Checkpoints, TrainingState, read_state
from engine.training.continuation import check_same, identity, settings_hash
from engine.training.corpus import Document
from engine.training.determinism import reproducible
from engine.training.distributed import World, joined
from engine.training.divergence import LossWatch
from engine.training.events import Noticed, OnEvent, Saved, StepDone
from engine.training.llama_folder import load_llama
from engine.training.looks import Looks
from engine.training.optimizers import optimizer_tensors, optimizers_for, restore_optimizers, set_rates
from engine.training.pace import Pace, card_memory
from engine.training.precision import Chosen, chosen_precision
from engine.training.schedules import rate_share
from engine.training.settings import TrainingSettings
from engine.training.update import Update, check_shares

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from engine.training.corpora.token_stream import TokenStream
    from engine.training.model import Decoder

Ending = Literal["finished", "patience", "stopped", "diverged"]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        ending: "finished" (all steps done), "patience" (held-out text no longer gained), "stopped" (asked to; resume by
            calling `train` again) or "diverged" (the loss left the numbers or rose for good: resuming would repeat it).
        reason: the same in a sentence, for a person.
        step: updates that the model in memory has behind it; the latest checkpoint too, unless the loss had just risen
            when it was stopped.
        best_step, best_bits_per_byte: of the best look at held-out text; its checkpoint is kept.
        precision: what was computed in.
        elapsed_s: of this call.
    """

    ending: Ending
    reason: str
    step: int
    best_step: int
    best_bits_per_byte: float
    precision: Chosen
    elapsed_s: float

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to resume."""
        return self.ending != "stopped"


def train(
    model: Decoder,
    tokenizer: PreTrainedTokenizerFast,
    stream: TokenStream,
    held_out: Sequence[Document],
    settings: TrainingSettings,
    folder: Path,
    on_event: OnEvent,
    should_stop: Callable[[], bool],
) -> TrainingResult:
    """Train the model in place; goes on from the latest checkpoint in `folder` if there is one.

    A checkpoint is written before the first update, every `save_every` updates, at each new best look at held-out text
    and at the end. Going on gives the same bits as never having stopped, on a CPU with as many threads and the same
    versions: batches and dropout follow from seed and step, all else is in the checkpoint.

    Under torchrun every process calls this with equal arguments; the global batch is shared among them, and only the
    first process evaluates, writes and reports. Another number of processes may go on from the same folder.

    Args:
        model: fresh or loaded weights in fp32; replaced by the checkpoint's when going on. Left on the chosen
            device and in evaluation mode.
        stream: gives the batch of any step. held_out: never learnt from; at least one document that is not empty.
        folder: for `checkpoint-<step>` folders; nothing else is touched there. on_event: told of everything, in order.
        should_stop: asked before each update; True saves a checkpoint and returns.
    Raises: TrainingError if the checkpoint there belongs to other settings or cannot be read, settings are impossible,
        or a checkpoint cannot be written; RunnerError if there is no such device.
    """
    with joined(settings.device) as world, reproducible(settings.seed, settings.threads, world.device):
        check_shares(settings, world)
        model.to(world.device)
        report = on_event if world.is_first else lambda event: None
        looks = Looks(world, model, tokenizer, held_out, report)
        try:
            training = _Training(world, looks, report, Checkpoints(folder, settings.keep_last), settings)
            training.begin(model, tokenizer, stream)
            return training.run(should_stop)
        finally:
            model.eval()


class _Training:
    """One training in one process: what it holds, and what it does between updates."""

    def __init__(
        self, world: World, looks: Looks, on_event: OnEvent, checkpoints: Checkpoints, settings: TrainingSettings
    ) -> None:
        self.world, self.looks, self.on_event = world, looks, on_event
        self.checkpoints, self.settings = checkpoints, settings
        self.watch = LossWatch()
        self.step, self.tokens, self.precision = 0, 0, "fp32"

    def begin(self, model: Decoder, tokenizer: PreTrainedTokenizerFast, stream: TokenStream) -> None:
        """Take up the latest checkpoint, or look at the model as it is and write the first."""
        self.model, self.tokenizer = model, tokenizer
        self.identity = identity(model, tokenizer, stream, self.settings)
        steps = self.checkpoints.steps()
        latest = int(self.world.from_first(steps[-1] if steps else -1))
        if latest >= 0:
            self._take_up(latest)
            self._notice(f"Going on after update {latest}.")
        else:
            self.precision = self._measured_precision(stream)
            self.optimizers = optimizers_for(model, self.settings, self.precision)
        self._notice(f"Computing in {self.precision} on {self.world.device} in {self.world.size} process(es).")
        self.update = Update(self.world, model, stream, self.optimizers, self.settings, self.precision)
        if latest < 0:
            bits_per_byte = self.looks.price(0)
            if not math.isfinite(bits_per_byte):
                raise TrainingError(
                    f"Held-out text costs {bits_per_byte} bits per byte before the first update.",
                    "The weights to begin with are damaged; begin with others.",
                )
            self._save(bits_per_byte)

    def _measured_precision(self, stream: TokenStream) -> Chosen:
        """By the first process's measurement, in all."""
        is_bf16 = False
        if self.world.is_first:
            batch = stream.batch(0, self.settings.batch_size, self.model.settings.context)
            ids, targets = (tokens.to(self.world.device) for tokens in batch)
            is_bf16 = chosen_precision(self.settings.precision, self.model.train(), ids, targets) == "bf16"
        return "bf16" if self.world.from_first(is_bf16) else "fp32"

    def run(self, should_stop: Callable[[], bool]) -> TrainingResult:
        """Update until there is a reason to end."""
        self.pace = Pace(self.settings.steps - self.step)
        while True:
            if self.step >= self.settings.steps:
                return self._result("finished", f"All {self.settings.steps} updates are done.")
            if self._is_over_early:
                return self._result("patience", f"Held-out text gained nothing in the last {self.looks.waited} looks.")
            problem = self._advance(should_stop)
            if problem is None:
                return self._stopped()
            if problem:
                return self._diverged(problem)

    @property
    def _is_over_early(self) -> bool:
        return 0 < self.settings.patience <= self.looks.waited

    def _advance(self, should_stop: Callable[[], bool]) -> str | None:
        """One update and what is due after it. Returns: "" or why the training has failed; None if it shall stop."""
        step, before_s = self.step + 1, time.perf_counter()
        num_tokens, stops = self.update.prepare(step, should_stop)
        if stops:
            return None
        loss, norm = self.update.gradients()
        problem = self.watch.seen(step, loss, norm)
        if problem:
            return problem
        rate = set_rates(self.optimizers, rate_share(step, self.settings))
        self.update.apply()
        self.step, self.tokens = step, self.tokens + num_tokens
        self.pace.updated(num_tokens, time.perf_counter() - before_s)
        self.on_event(
            StepDone(
                step=step,
                steps=self.settings.steps,
                loss=loss,
                tokens=num_tokens,
                tokens_per_s=self.pace.tokens_per_s,
                left_s=self.pace.left_s,
                learning_rate=rate,
                gradient_norm=norm,
                memory_bytes=self.pace.memory_bytes,
                metrics=card_memory(self.world.device),
            )
        )
        return self._look_around()

    def _look_around(self) -> str:
        """Held-out text, checkpoint and sample where they are due. Returns: why the training has failed, or ""."""
        step, settings = self.step, self.settings
        is_last = step == settings.steps
        bits_per_byte = math.nan
        if step % settings.evaluate_every == 0 or is_last:
            bits_per_byte = self.looks.price(step)
            if not math.isfinite(bits_per_byte):
                return f"Held-out text costs {bits_per_byte} bits per byte after update {step}: training has diverged."
        is_due = step % settings.save_every == 0 or is_last or self._is_over_early
        if self.looks.best_step == step or (is_due and self.watch.is_calm):
            self._save(bits_per_byte)
        if settings.sample_every and step % settings.sample_every == 0:
            self.looks.sample(step, settings.seed)
        return ""

    def _save(self, bits_per_byte: float) -> None:
        if self.world.is_first:
            state = TrainingState(optimizer_tensors(self.model, self.optimizers), self._facts())
            folder = self.checkpoints.save(self.step, self.model, self.tokenizer, state, bits_per_byte)
            self.on_event(Saved(self.step, folder, self.looks.best_step == self.step))

    def _stopped(self) -> TrainingResult:
        """Save this step, unless the loss has just risen: going on then begins before it did."""
        if self.watch.is_calm and self.step not in self.checkpoints.steps():
            self._save(math.nan)
        return self._result("stopped", f"Stopped after update {self.step}; it can be resumed.")

    def _facts(self) -> dict:
        return {
            "step": self.step,
            "tokens": self.tokens,
            "precision": self.precision,
            "looks": self.looks.facts(),
            "last_losses": self.watch.last,
            "lowest_loss": self.watch.lowest,
            "random": f"batches and dropout of update n follow from seed {self.settings.seed} and n; next is "
            f"{self.step + 1}",
            "settings_hash": settings_hash(self.identity),
            "settings": self.identity,
        }

    def _take_up(self, step: int) -> None:
        folder = self.checkpoints.path(step)
        state = read_state(folder)
        facts = state.facts
        try:
            check_same(folder, facts["settings"], self.identity)
            self.step, self.tokens, self.precision = facts["step"], facts["tokens"], facts["precision"]
            self.looks.restore(facts["looks"])
            self.watch = LossWatch(facts["last_losses"], facts["lowest_loss"])
        except (KeyError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"{folder} was not written by this kind of training: {error!r} is missing.",
                "Start a new training from its weights, in another folder.",
            ) from error
        loaded, _ = load_llama(folder)
        self.model.load_state_dict(loaded.state_dict())
        self.optimizers = optimizers_for(self.model, self.settings, self.precision)
        restore_optimizers(self.model, self.optimizers, state.tensors)

    def _diverged(self, problem: str) -> TrainingResult:
        """Back to the last good checkpoint."""
        latest = int(self.world.from_first(self.checkpoints.steps()[-1]))
        self._take_up(latest)
        reason = f"{problem} The weights are those of update {latest}. Lower the learning rate or lengthen the warm-up."
        self._notice(reason)
        return self._result("diverged", reason)

    def _notice(self, text: str) -> None:
        self.on_event(Noticed(self.step, text))

    def _result(self, ending: Ending, reason: str) -> TrainingResult:
        best_step, best = self.looks.best_step, self.looks.best
        return TrainingResult(ending, reason, self.step, best_step, best, self.precision, self.pace.elapsed_s)
