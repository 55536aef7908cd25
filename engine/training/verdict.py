"""Whether self-play made the model better, or only its reward: a plain verdict on each look.

The reward alone can never say that, as the model learns to please it. So each look also measures what is not rewarded:
the price of held-out text, and every part of the reward, whether it counts or not, on prompts that are always the same.
Everything is compared with the look before the first update, prompt by prompt and piece by piece, and a difference
counts only beyond its own standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.errors import TrainingError
from engine.training.held_out import HeldOutLoss

Verdict = Literal["improved", "hacked", "unstable", "unchanged"]

SIGMAS = 3.0
"""Standard errors that a difference must exceed. A run has tens of looks, and at 2 one look in 44 cries wolf; at 3 it
is one in 740 (normal), or one in 220 with the 16 prompts of a benchmark (Student)."""

LEAST_GAIN = 0.02
"""A smaller rise of the reward, whose parts go from 0 to 1, is called unchanged. Chosen by us."""

TOLERANCE = 0.02
"""Held-out text may cost 2 % more before a gain is called hacked. Chosen by us, see LOG.md: thirty updates of the
default settings cost 1 %, and a reward that leads away from text costs more than 2 % within ten."""

PART_LOSS = 0.1
"""A part of the reward may fall by a tenth of its range before a gain is called hacked. Chosen by us."""

DAMAGE = 0.25
"""Held-out text that costs a quarter more, with no gain to show for it, is a model that falls apart. Chosen by us."""

FALL_BACK = 0.5
"""A reward that has lost more than half of what it had gained has not settled. Chosen by us."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was measured after one iteration; 0 is the look before the first update.

    Attributes:
        rewards: the weighted reward of each benchmark prompt, the mean of its samples.
        parts: the same for every part of the reward, also those without weight.
        held_out_nats, held_out_tokens, held_out_bytes: the price of each piece of held-out text, and its length.
        continuation_nats, continuation_bytes: the price of the true continuation of each benchmark prompt.
        kl: KL(model ‖ reference) of what it wrote, nats a token. entropy: of its predictions there, nats a token.
        mean_length: tokens written.
    """

    iteration: int
    rewards: tuple[float, ...]
    parts: dict[str, tuple[float, ...]]
    held_out_nats: tuple[float, ...]
    held_out_tokens: tuple[int, ...]
    held_out_bytes: tuple[int, ...]
    continuation_nats: tuple[float, ...]
    continuation_bytes: tuple[int, ...]
    kl: float
    entropy: float
    mean_length: float

    @property
    def reward(self) -> float:
        """Mean over the benchmark prompts."""
        return float(np.mean(self.rewards))

    @property
    def bits_per_byte(self) -> float:
        """Of held-out text."""
        return self.held_out.bits_per_byte

    @property
    def held_out(self) -> HeldOutLoss:
        """The price of all held-out text."""
        return HeldOutLoss(math.fsum(self.held_out_nats), sum(self.held_out_tokens), sum(self.held_out_bytes))

    @property
    def continuation_bits_per_byte(self) -> float:
        """Of the true continuations of the benchmark prompts."""
        return math.fsum(self.continuation_nats) / math.log(2) / sum(self.continuation_bytes)

    @property
    def is_finite(self) -> bool:
        """Whether every number is one."""
        rows = [self.rewards, *self.parts.values(), self.held_out_nats, self.continuation_nats]
        return all(map(math.isfinite, [*(value for row in rows for value in row), self.kl, self.entropy]))

    @property
    def metrics(self) -> dict[str, float]:
        """What a chart shows of it, by name; the price of held-out text is reported apart."""
        parts = {f"benchmark/{name}": float(np.mean(values)) for name, values in self.parts.items()}
        return {
            "benchmark/reward": self.reward,
            "benchmark/continuation_bits_per_byte": self.continuation_bits_per_byte,
            "benchmark/kl": self.kl,
            "benchmark/entropy": self.entropy,
            "benchmark/mean_length": self.mean_length,
            **parts,
        }


def look_from(values: dict[str, Any]) -> Look:
    """The look whose `dataclasses.asdict` went through JSON, equal to the bit."""
    lists = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Look(**lists | {"parts": {name: tuple(numbers) for name, numbers in values["parts"].items()}})


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on the last look of a history.

    Attributes:
        reason: why, in words and numbers. must_stop: whether going on makes no sense.
    """

    verdict: Verdict
    reason: str
    must_stop: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A difference with its standard error; ∞ where nothing is known about it."""

    mean: float
    error: float

    def exceeds(self, threshold: float) -> bool:
        """Whether it is above a threshold ≥ 0, and above zero beyond doubt."""
        return self.mean > threshold and self.mean > SIGMAS * self.error

    def falls_below(self, threshold: float) -> bool:
        """Whether it is below −threshold, and below zero beyond doubt."""
        return Change(-self.mean, self.error).exceeds(threshold)


def mean_change(before: Sequence[float], after: Sequence[float]) -> Change:
    """Mean of after − before over pairs, and its standard error s / √n; the error of a single pair is unknown: ∞."""
    differences = np.subtract(after, before)
    count = len(differences)
    error = differences.std(ddof=1) / math.sqrt(count) if count > 1 else math.inf
    return Change(float(differences.mean()), float(error))


def relative_change(before: Sequence[float], after: Sequence[float]) -> Change:
    """Σ after / Σ before − 1 over pieces of text, and the standard error of a ratio over pieces.

    The error is √(n / (n − 1) · Σ(after − before − R · before)²) / Σ before (Cochran 1977, chapter 6). For one piece it
    is taken as 0: the difference on that text is exact, and nothing is said of other text.
    """
    before, after = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    total, count = before.sum(), len(before)
    ratio = float((after - before).sum() / total)
    if count < 2:
        return Change(ratio, 0.0)
    residuals = after - before - ratio * before
    return Change(ratio, float(np.sqrt(count / (count - 1) * (residuals**2).sum()) / total))


def judge(history: Sequence[Look]) -> Judgement:
    """The verdict on the last look, against the first and the best between.

    A gain is a reward that rose by over LEAST_GAIN. Harm is held-out text that costs over TOLERANCE more, or a part of
    the reward, counted or not, that fell by over PART_LOSS. Each only beyond SIGMAS standard errors. Then

        gain without harm: improved. gain with harm: hacked. harm without gain: unstable. neither: unchanged.

    Unstable are also numbers that are not finite, and a reward that has lost over FALL_BACK of the highest gain it had
    without harm. Going on makes no sense after such numbers, and after harm above DAMAGE without gain.

    Args: history: at least two looks, the first before any update; those between may be any.
    Raises: TrainingError for fewer.
    """
    if len(history) < 2:
        raise TrainingError(
            f"A verdict compares two looks, got {len(history)}.", "Look once before the first iteration."
        )
    start, now = history[0], history[-1]
    if not now.is_finite:
        return Judgement("unstable", "A measure is no number any more: the model has left them.", must_stop=True)
    gain = mean_change(start.rewards, now.rewards)
    cost = relative_change(start.held_out_nats, now.held_out_nats)
    has_gained, numbers = gain.exceeds(LEAST_GAIN), _numbers(start, now, gain, cost)
    harm = _harm(start, now)
    if harm and not has_gained:
        reason = f"The text got worse and the reward did not rise for certain: {', '.join(harm)} ({numbers})."
        return Judgement("unstable", reason, must_stop=cost.exceeds(DAMAGE))
    fallen = _fallen_from(history)
    if fallen is not None:
        return Judgement("unstable", f"The reward fell back from {fallen.reward:.3f} at {fallen.iteration}: {numbers}.")
    if harm:
        return Judgement("hacked", f"The reward rose at the price of the text: {', '.join(harm)} ({numbers}).")
    if has_gained:
        return Judgement("improved", f"The reward rose and nothing else was lost: {numbers}.")
    return Judgement("unchanged", f"{_why_unchanged(gain)}: {numbers}.")


def _harm(start: Look, now: Look) -> list[str]:
    """What got worse beyond doubt, in words: held-out text, then parts of the reward, the largest loss first."""
    cost = relative_change(start.held_out_nats, now.held_out_nats)
    changes = {name: mean_change(before, now.parts[name]) for name, before in start.parts.items()}
    lost = {name: change.mean for name, change in changes.items() if change.falls_below(PART_LOSS)}
    told = [f"held-out text costs {cost.mean:.1%} more"] if cost.exceeds(TOLERANCE) else []
    return told + [f"{name} fell by {-mean:.2f}" for name, mean in sorted(lost.items(), key=lambda item: item[1])]


def _fallen_from(history: Sequence[Look]) -> Look | None:
    """The harmless look with the highest reward, if the last one has lost more than half of its gain beyond doubt.

    Coming down from a reward that was hacked is no instability.
    """
    start, now = history[0], history[-1]
    peak = max((look for look in history[:-1] if not _harm(start, look)), key=lambda look: look.reward)
    gain, fall = mean_change(start.rewards, peak.rewards), mean_change(peak.rewards, now.rewards)
    has_fallen = gain.exceeds(LEAST_GAIN) and fall.falls_below(max(FALL_BACK * gain.mean, LEAST_GAIN))
    return peak if has_fallen else None


def _why_unchanged(gain: Change) -> str:
    if gain.falls_below(LEAST_GAIN):
        return "The reward is lower than at the start"
    if gain.mean > LEAST_GAIN:
        return f"The reward rose by less than {SIGMAS:g} standard errors, which may be chance"
    return f"The reward rose by less than {LEAST_GAIN:g}"


def _numbers(start: Look, now: Look, gain: Change, cost: Change) -> str:
    error = f" ± {gain.error:.3f}" if math.isfinite(gain.error) else ""
    return (
        f"reward {start.reward:.3f} → {now.reward:.3f} ({gain.mean:+.3f}{error}) on {len(now.rewards)} prompts, "
        f"held-out text {start.bits_per_byte:.3f} → {now.bits_per_byte:.3f} bits per byte "
        f"({cost.mean:+.1%} ± {cost.error:.1%}), KL {now.kl:.3f} nats a token"
    )
