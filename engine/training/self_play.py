"""Self-play: a trained model writes, its own texts are rewarded, and it learns from the better ones of each prompt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from engine.errors import TrainingError
from engine.runners.devices import chosen_device
from engine.training.advantage import ADVANTAGES
from engine.training.benchmark_prompts import SAMPLES, Benchmark
from engine.training.checkpoints import Checkpoints, TrainingState, read_state
from engine.training.corpus import Document
from engine.training.determinism import derived_seed, reproducible
from engine.training.events import Evaluated, Judged, Noticed, OnEvent, Sampled, Saved, StepDone
from engine.training.llama_folder import load_llama
from engine.training.optimizers import adamw, optimizer_tensors, restore_optimizers
from engine.training.pace import Pace, card_memory
from engine.training.play_round import Round, Rules, play_round
from engine.training.playable import check_playable, identity
from engine.training.policy_gradient import kl_estimate, next_kl_coefficient, policy_loss, written_log_probs
from engine.training.rewards import check_weights
from engine.training.settings import SelfPlaySettings
from engine.training.standards import measure_standards
from engine.training.standing import Standing
from engine.training.verdict import Look, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from engine.training.corpora.token_stream import TokenStream
    from engine.training.model import Decoder

Ending = Literal["finished", "stopped", "unstable"]

SHOWN = 3
"""Texts of a look that are reported: the first after each of the first prompts."""


@dataclass(frozen=True, slots=True)
class SelfPlayResult:
    """How self-play ended.

    Attributes:
        ending: "finished" (all iterations done), "stopped" (asked to; resume by calling `play` again) or "unstable"
            (numbers left their range or the model fell apart; it is back at its best checkpoint).
        reason: the same in a sentence, for a person.
        step: iterations that the model in memory has behind it.
        best_step: the iteration with the highest reward on the benchmark prompts among those judged "improved", or 0,
            the model as it was, if there is none. Its checkpoint is kept, and `Checkpoints.best` names it.
        best_reward, best_bits_per_byte: of that iteration, on the benchmark prompts and on held-out text.
        verdict: on the last look; "unchanged" before there was one.
        elapsed_s: of this call.
    """

    ending: Ending
    reason: str
    step: int
    best_step: int
    best_reward: float
    best_bits_per_byte: float
    verdict: Verdict
    elapsed_s: float

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to resume."""
        return self.ending != "stopped"


def play(
    model: Decoder,
    tokenizer: PreTrainedTokenizerFast,
    reference: Decoder,
    stream: TokenStream,
    held_out: Sequence[Document],
    settings: SelfPlaySettings,
    folder: Path,
    on_event: OnEvent,
    should_stop: Callable[[], bool],
) -> SelfPlayResult:
    """Let the model play in place; goes on from the latest checkpoint in `folder` if there is one.

    Each iteration writes `group` texts after each of `prompts` stretches of training text, rewards them, and makes one
    update. Looks at held-out text and at benchmark prompts are taken before the first iteration, every
    `evaluate_every` and after the last, and each gets a verdict. Going on gives the same bits as never having stopped,
    on a CPU with as many threads: prompts and random numbers follow from seed and iteration, all else is in the
    checkpoint.

    Args:
        model: trained, in fp32; replaced by the checkpoint's weights when going on. Nothing of it is dropped out.
        reference: the model as it was before self-play, not the same object; frozen here and never changed.
        stream: gives prompts, and what real text is like. held_out: never learnt from; not empty.
        folder: for `checkpoint-<iteration>` folders of this self-play alone. on_event: told of everything, in order.
        should_stop: asked before each update; True saves a checkpoint and returns.
    Raises: TrainingError if settings are impossible, the checkpoint there belongs to another self-play or reference, or
        one cannot be written; RunnerError if there is no such device.
    """
    weights = check_weights(settings.weights)
    check_playable(model, reference, settings)
    device = chosen_device(settings.device)
    with reproducible(settings.seed, settings.threads, device):
        was_training = model.training
        model.to(device).eval()
        reference.to(device).eval().requires_grad_(False)
        try:
            rules = Rules(
                reference=reference,
                standards=measure_standards(reference, stream, settings),
                weights=weights,
                temperature=settings.temperature,
                new_tokens=settings.new_tokens,
                stop=tokenizer.eos_token_id,
            )
            game = _SelfPlay(model, tokenizer, stream, settings, rules)
            game.benchmark = Benchmark(
                tokenizer, held_out, rules, settings.prompt_tokens, derived_seed(settings.seed, "benchmark")
            )
            game.checkpoints, game.on_event = Checkpoints(folder, settings.keep_last), on_event
            game.begin()
            return game.run(should_stop)
        finally:
            model.train(was_training)


class _SelfPlay:
    """One self-play: what it holds, and what it does between updates."""

    benchmark: Benchmark
    checkpoints: Checkpoints
    on_event: OnEvent

    def __init__(self, model, tokenizer, stream, settings: SelfPlaySettings, rules: Rules) -> None:
        self.model, self.tokenizer, self.stream = model, tokenizer, stream
        self.settings, self.rules = settings, rules
        self.optimizer = adamw(list(model.parameters()), settings.learning_rate, weight_decay=0.0)
        self.identity = identity(tokenizer, stream, settings, rules.reference)
        self.standing = Standing(settings.kl_coefficient)

    def begin(self) -> None:
        """Take up the latest checkpoint, or look at the model as it is and write the first."""
        steps = self.checkpoints.steps()
        if steps:
            self._take_up(steps[-1])
            self.on_event(Noticed(steps[-1], f"Going on after iteration {steps[-1]}."))
            return
        look, played = self.benchmark.look(self.model, 0)
        if not look.is_finite:
            raise TrainingError(
                "The model's predictions are no numbers before the first iteration.",
                "Start from a checkpoint that predicts text.",
            )
        self.standing.begin(look)
        self._report(look, played)
        self._save(look)

    def run(self, should_stop: Callable[[], bool]) -> SelfPlayResult:
        """Play until there is a reason to end."""
        standing = self.standing
        self.pace = Pace(self.settings.iterations - standing.iteration)
        while standing.iteration < self.settings.iterations:
            if should_stop():
                if standing.iteration not in self.checkpoints.steps():
                    self._save(None)
                return self._result("stopped", f"Stopped after iteration {standing.iteration}; it can be resumed.")
            problem = self._advance()
            if problem:
                return self._unstable(problem)
        return self._result("finished", f"All {self.settings.iterations} iterations are done.")

    def _advance(self) -> str:
        """One update and what is due after it. Returns: why self-play must end, or ""."""
        settings, standing, before_s = self.settings, self.standing, time.perf_counter()
        iteration, coefficient = standing.iteration + 1, standing.kl_coefficient
        ids, _ = self.stream.batch(iteration - 1, settings.prompts, settings.prompt_tokens)
        seed = derived_seed(settings.seed, "round", iteration)
        played = play_round(self.model, self.rules, ids.tolist(), settings.group, seed)
        kl, entropy, norm = self._gradients(played, ADVANTAGES[settings.advantage](played.rewards))
        for name, value in (("KL divergence", kl), ("entropy", entropy), ("length of the gradient", norm)):
            if not math.isfinite(value):
                return f"The {name} of iteration {iteration} is {value}."
        self.optimizer.step()
        self.optimizer.zero_grad()
        standing.iteration = iteration
        standing.kl_coefficient = next_kl_coefficient(coefficient, kl, settings.kl_target, settings.kl_coefficient)
        self.pace.updated(played.samples.num_written, time.perf_counter() - before_s)
        metrics = {"kl": kl, "kl_coefficient": coefficient, "entropy": entropy, **played.metrics}
        return self._look_around(metrics, played.samples.num_written, norm)

    def _gradients(self, played: Round, advantages: np.ndarray) -> tuple[float, float, float]:
        """The gradient of the whole batch, shortened to max_norm, a bounded number of tokens at a time.

        Returns: KL and entropy in nats a token, of the model that wrote; the gradient's length before shortening.
        """
        settings, samples = self.settings, played.samples
        by_token = torch.from_numpy(advantages.ravel()).repeat_interleave(samples.is_written.sum(dim=1).cpu())
        by_token = by_token.to(played.reference_log_probs)
        room = len(samples.ids) * settings.new_tokens  # a constant, see policy_loss
        kl = entropy = 0.0
        for part, place in samples.parts():
            reference_log_probs = played.reference_log_probs[place]
            log_probs, entropies = written_log_probs(self.model, part, settings.temperature)
            loss = policy_loss(log_probs, by_token[place], reference_log_probs, self.standing.kl_coefficient)
            (loss / room).backward()
            kl += float(kl_estimate(log_probs.detach(), reference_log_probs).double().sum())
            entropy += float(entropies.double().sum())
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.max_norm))
        return kl / samples.num_written, entropy / samples.num_written, norm

    def _look_around(self, metrics: dict[str, float], num_tokens: int, norm: float) -> str:
        """Look, judge and save where it is due, and report. Returns: why self-play must end, or ""."""
        settings, standing = self.settings, self.standing
        iteration, is_last = standing.iteration, standing.iteration == settings.iterations
        if iteration % settings.evaluate_every and not is_last:
            self.on_event(self._step_done(metrics, num_tokens, norm))
            look = None
        else:
            look, played = self.benchmark.look(self.model, iteration)
            judgement = standing.judged(look)
            self.on_event(self._step_done(metrics | look.metrics if look.is_finite else metrics, num_tokens, norm))
            if look.is_finite:
                self._report(look, played)
            self.on_event(Judged(iteration, judgement.verdict, judgement.reason))
            if judgement.must_stop:
                return judgement.reason
        if iteration % settings.save_every == 0 or is_last or standing.is_best:
            self._save(look)
        return ""

    def _report(self, look: Look, played: Round) -> None:
        price, is_best = look.held_out, self.standing.is_best
        self.on_event(Evaluated(look.iteration, price.loss, price.perplexity, price.bits_per_byte, is_best))
        for prompt, written in zip(self.benchmark.prompts[:SHOWN], played.written[::SAMPLES], strict=False):
            texts = (self.tokenizer.decode(ids, skip_special_tokens=True) for ids in (prompt.prompt, written.tokens))
            self.on_event(Sampled(look.iteration, *texts))

    def _step_done(self, metrics: dict[str, float], num_tokens: int, norm: float) -> StepDone:
        return StepDone(
            step=self.standing.iteration,
            steps=self.settings.iterations,
            loss=math.nan,
            tokens=num_tokens,
            tokens_per_s=self.pace.tokens_per_s,
            left_s=self.pace.left_s,
            learning_rate=self.settings.learning_rate,
            gradient_norm=norm,
            memory_bytes=self.pace.memory_bytes,
            metrics=metrics | card_memory(str(self.model.head.device)),
        )

    def _save(self, look: Look | None) -> None:
        """Write a checkpoint; one that is not the best so far can never be named the best."""
        standing = self.standing
        folder = self.checkpoints.save(
            standing.iteration,
            self.model,
            self.tokenizer,
            TrainingState(optimizer_tensors(self.model, [self.optimizer]), standing.facts(self.identity)),
            math.nan if look is None else look.bits_per_byte,
            score=-standing.best_reward if standing.is_best else math.nan,
        )
        self.on_event(Saved(standing.iteration, folder, standing.is_best))

    def _take_up(self, iteration: int) -> None:
        folder = self.checkpoints.path(iteration)
        state = read_state(folder)
        self.standing = Standing.from_facts(folder, state.facts, self.identity)
        loaded, _ = load_llama(folder)
        self.model.load_state_dict(loaded.state_dict())
        restore_optimizers(self.model, [self.optimizer], state.tensors)

    def _unstable(self, problem: str) -> SelfPlayResult:
        """Back to the best checkpoint: what was written last may be damaged already."""
        iteration, best_step = self.standing.iteration, self.standing.best_step
        self._take_up(best_step)
        reason = (
            f"{problem} Self-play ended after iteration {iteration}; the weights are those of iteration {best_step}. "
            f"Lower the learning rate, or raise the KL coefficient."
        )
        self.standing.verdict = "unstable"
        self.on_event(Noticed(iteration, reason))
        return self._result("unstable", reason)

    def _result(self, ending: Ending, reason: str) -> SelfPlayResult:
        standing = self.standing
        return SelfPlayResult(
            ending=ending,
            reason=reason,
            step=standing.iteration,
            best_step=standing.best_step,
            best_reward=standing.best_reward,
            best_bits_per_byte=standing.best_bits_per_byte,
            verdict=standing.verdict,
            elapsed_s=self.pace.elapsed_s,
        )
