"""Learning to predict the next token: from a stream of text to checkpoints, with looks at held-out text between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from engine.errors import TrainingError
from engine.training.checkpoints import Checkpoints, TrainingState, read_state
from engine.training.continuation import check_same, identity, settings_hash
from engine.training.corpus import Document
from engine.training.determinism import derived_seed, reproducible
from engine.training.distributed import World, joined
from engine.training.divergence import LossWatch
from engine.training.events import Evaluated, Noticed, OnEvent, Sampled, Saved, StepDone
from engine.training.generation import generate
from engine.training.held_out import HeldOut, beginnings, encode
from engine.training.llama_folder import load_llama
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

MILESTONES = (1000, 300, 100, 50, 30, 20, 10, 5, 3)
"""Perplexities worth a word when held-out text falls below them for the first time."""

HUGE = 1e9
"""Stands for any perplexity beyond it, in JSON too."""

SAMPLE_PROMPT_TOKENS, SAMPLE_TOKENS = 12, 64


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        ending: "finished" (all steps done), "patience" (held-out text no longer gained), "stopped" (asked to; resume by
            calling `train` again) or "diverged" (the loss left the numbers or rose for good: resuming would repeat it).
        reason: the same in a sentence, for a person.
        step: updates that the model in memory and the latest checkpoint have behind them.
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
        training = _Training(world, model, tokenizer, stream, settings, Checkpoints(folder, settings.keep_last))
        training.held_out = HeldOut(tokenizer, beginnings(held_out), model.settings.context)
        training.on_event = on_event if world.is_first else lambda event: None
        training.prompt = encode(tokenizer, _longest(held_out))[:SAMPLE_PROMPT_TOKENS][: model.settings.context - 1]
        try:
            training.begin()
            return training.run(should_stop)
        finally:
            model.eval()


class _Training:
    """One training in one process: what it holds, and what it does between updates."""

    held_out: HeldOut
    on_event: OnEvent
    prompt: list[int]

    def __init__(self, world: World, model, tokenizer, stream, settings: TrainingSettings, checkpoints) -> None:
        self.world, self.model, self.tokenizer, self.stream = world, model, tokenizer, stream
        self.settings, self.checkpoints = settings, checkpoints
        self.identity = identity(model, tokenizer, stream, settings)
        self.watch = LossWatch()
        self.step, self.precision = 0, "fp32"
        self.best_step, self.best, self.best_perplexity, self.waited = 0, math.inf, HUGE, 0
        self.tokens = 0

    def begin(self) -> None:
        """Take up the latest checkpoint, or look at the model as it is and write the first."""
        steps = self.checkpoints.steps()
        latest = int(self.world.from_first(steps[-1] if steps else -1))
        if latest >= 0:
            self._take_up(latest)
        else:
            ids, targets = self.stream.batch(0, self.settings.batch_size, self.model.settings.context)
            if self.world.is_first:
                with reproducible(0, torch.get_num_threads(), self.world.device):
                    ids, targets = ids.to(self.world.device), targets.to(self.world.device)
                    self.precision = chosen_precision(self.settings.precision, self.model.train(), ids, targets)
            self.precision = "bf16" if self.world.from_first(self.precision == "bf16") else "fp32"
            self.optimizers = optimizers_for(self.model, self.settings, self.precision)
            self._notice(f"Computing in {self.precision} on {self.world.device} in {self.world.size} process(es).")
        self.update = Update(self.world, self.model, self.stream, self.optimizers, self.settings, self.precision)
        if latest < 0:
            bits_per_byte = self._evaluate()
            if not math.isfinite(bits_per_byte):
                raise TrainingError(
                    f"Held-out text costs {bits_per_byte} bits per byte before the first update.",
                    "The weights to begin with are damaged; begin with others.",
                )
            self._save(bits_per_byte)

    def run(self, should_stop: Callable[[], bool]) -> TrainingResult:
        """Update until there is a reason to end."""
        self.pace = Pace(self.settings.steps - self.step)
        while True:
            if self.step >= self.settings.steps:
                return self._result("finished", f"All {self.settings.steps} updates are done.")
            if self.settings.patience and self.waited >= self.settings.patience:
                return self._result("patience", f"Held-out text gained nothing in the last {self.waited} looks.")
            problem = self._advance(should_stop)
            if problem is None:
                self._keep()
                return self._result("stopped", f"Stopped after update {self.step}; it can be resumed.")
            if problem:
                return self._diverged(problem)

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
            bits_per_byte = self._evaluate()
            if not math.isfinite(bits_per_byte):
                return f"Held-out text costs {bits_per_byte} bits per byte after update {step}: training has diverged."
        is_over = is_last or (settings.patience and self.waited >= settings.patience)
        if self.watch.is_calm and (step % settings.save_every == 0 or self.best_step == step or is_over):
            self._save(bits_per_byte)
        if settings.sample_every and step % settings.sample_every == 0:
            self._sample()
        return ""

    def _evaluate(self) -> float:
        """Look at held-out text; all processes learn its bits per byte from the first."""
        price = self.held_out.price(self.model) if self.world.is_first else None
        bits_per_byte = self.world.from_first(price.bits_per_byte if price else math.nan)
        is_best = bits_per_byte < self.best
        if is_best:
            self.best, self.best_step, self.waited = bits_per_byte, self.step, 0
        else:
            self.waited += 1
        if price:
            self.on_event(Evaluated(self.step, price.loss, price.perplexity, bits_per_byte, is_best))
            for milestone in MILESTONES:
                if price.perplexity < milestone <= self.best_perplexity and self.step:
                    self._notice(f"Held-out perplexity fell below {milestone}.")
            self.best_perplexity = min(self.best_perplexity, price.perplexity)
        return bits_per_byte

    def _save(self, bits_per_byte: float) -> None:
        if self.world.is_first:
            state = TrainingState(optimizer_tensors(self.model, self.optimizers), self._facts())
            folder = self.checkpoints.save(self.step, self.model, self.tokenizer, state, bits_per_byte)
            self.on_event(Saved(self.step, folder, self.best_step == self.step))

    def _keep(self) -> None:
        """Save this step if it is worth going on from and not there yet."""
        if self.watch.is_calm and self.step not in self.checkpoints.steps():
            self._save(math.nan)

    def _facts(self) -> dict:
        return {
            "step": self.step,
            "tokens": self.tokens,
            "precision": self.precision,
            "best": {"step": self.best_step, "bits_per_byte": self.best, "perplexity": self.best_perplexity},
            "looks_without_gain": self.waited,
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
            self.best_step, self.best = facts["best"]["step"], facts["best"]["bits_per_byte"]
            self.best_perplexity, self.waited = facts["best"]["perplexity"], facts["looks_without_gain"]
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
        self._notice(f"Going on after update {step}.")

    def _diverged(self, problem: str) -> TrainingResult:
        """Back to the last good checkpoint."""
        latest = int(self.world.from_first(self.checkpoints.steps()[-1]))
        self._take_up(latest)
        reason = f"{problem} The weights are those of update {latest}. Lower the learning rate or lengthen the warm-up."
        self._notice(reason)
        return self._result("diverged", reason)

    def _sample(self) -> None:
        if not self.world.is_first:
            return
        written = generate(
            self.model,
            [self.prompt],
            SAMPLE_TOKENS,
            temperature=0.8,
            top_k=50,
            seed=derived_seed(self.settings.seed, "sample", self.step),
            stop=self.tokenizer.eos_token_id,
        )[0]
        prompt, text = (self.tokenizer.decode(ids, skip_special_tokens=True) for ids in (self.prompt, written.tokens))
        self.on_event(Sampled(self.step, prompt, text))

    def _notice(self, text: str) -> None:
        self.on_event(Noticed(self.step, text))

    def _result(self, ending: Ending, reason: str) -> TrainingResult:
        elapsed_s = self.pace.elapsed_s
        return TrainingResult(ending, reason, self.step, self.best_step, self.best, self.precision, elapsed_s)


def _longest(documents: Sequence[Document]) -> str:
    return max((document.text for document in documents), key=len, default="")
