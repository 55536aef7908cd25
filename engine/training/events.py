"""What a training says while it works: one frozen event each, handed to a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StepDone:
    """One update of the weights.

    Attributes:
        step: from 1. steps: at the most. loss: nats per token of this update's batch; NaN in self-play.
        tokens: learnt from in this update. tokens_per_s: over the last steps. left_s: until the last step at that rate.
        learning_rate: of this update. gradient_norm: before clipping. memory_bytes: of this process.
        metrics: more numbers of this step by name (self-play: reward, each part as "reward/<part>", kl, …).
    """

    step: int
    steps: int
    loss: float
    tokens: int
    tokens_per_s: float
    left_s: float
    learning_rate: float
    gradient_norm: float
    memory_bytes: int
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A look at held-out text: `loss` in nats per token, perplexity, bits per byte; whether it is the best so far."""

    step: int
    loss: float
    perplexity: float
    bits_per_byte: float
    is_best: bool


@dataclass(frozen=True, slots=True)
class Sampled:
    """A text that the model wrote after `prompt`."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint is complete on disk: an ordinary model folder. `is_best` by held-out bits per byte."""

    step: int
    folder: Path
    is_best: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """Self-play's verdict on one iteration: "improved", "hacked", "unstable" or "unchanged", and why in words."""

    step: int
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something a reader of the log wants to know: a milestone, a warning."""

    step: int
    text: str


Event = StepDone | Evaluated | Sampled | Saved | Judged | Noticed
OnEvent = Callable[[Event], None]
