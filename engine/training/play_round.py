"""One round of self-play: write texts, let the frozen reference read them, and reward them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from engine.training.determinism import derived_seed
from engine.training.generation import Written, generate
from engine.training.model import Decoder
from engine.training.policy_gradient import Rollout, log_probs_in_parts, rollout
from engine.training.rewards import Sample, Standards, score, total

ROWS_AT_ONCE = 256
"""Texts whose keys and values are in memory at once. Chosen by us: more are hardly written faster."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What does not change from round to round.

    Attributes:
        reference: frozen. standards: of real text. weights: of the reward's parts, as `check_weights` gives them.
        temperature: of sampling. new_tokens: of a text at the most. stop: the id of END_OF_TEXT.
    """

    reference: Decoder
    standards: Standards
    weights: dict[str, float]
    temperature: float
    new_tokens: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """What was written and what it earned.

    Attributes:
        written: prompts × group texts. samples: the same as rows of token ids.
        reference_log_probs: (num_written,) of every drawn token, END_OF_TEXT included, under the reference.
        scores: part -> (prompts, group) float64. rewards: (prompts, group), their weighted mean.
    """

    written: list[Written]
    samples: Rollout
    reference_log_probs: torch.Tensor
    scores: dict[str, np.ndarray]
    rewards: np.ndarray

    @property
    def mean_length(self) -> float:
        """Tokens drawn, END_OF_TEXT included."""
        return self.samples.num_written / len(self.written)

    @property
    def metrics(self) -> dict[str, float]:
        """What a chart shows of it, by name: means over all texts."""
        return {
            "reward": float(self.rewards.mean()),
            **{f"reward/{name}": float(scores.mean()) for name, scores in self.scores.items()},
            "reward_deviation": float(self.rewards.std(axis=1).mean()),
            "mean_length": self.mean_length,
            "finished_share": sum(each.ended == "stop" for each in self.written) / len(self.written),
        }


def play_round(model: Decoder, rules: Rules, prompts: Sequence[Sequence[int]], group: int, seed: int) -> Round:
    """Write `group` texts after each prompt and reward them; the same arguments give the same round.

    Nothing is dropped out: the model is sampled, and later scored, as it is. Its mode is left alone.
    """
    written = _written(model, rules, prompts, group, seed)
    rows = [prompt for prompt in prompts for _ in range(group)]
    samples = rollout(rows, [each.tokens for each in written], str(rules.reference.head.device))
    reference_log_probs, _ = log_probs_in_parts(rules.reference, samples, rules.temperature)
    drawn = reference_log_probs.cpu().double().numpy()
    stops = np.cumsum([len(each.tokens) for each in written])
    texts = [_sample(each, log_probs) for each, log_probs in zip(written, np.split(drawn, stops[:-1]), strict=True)]
    groups = [score(texts[start : start + group], rules.standards) for start in range(0, len(texts), group)]
    scores = {name: np.stack([each[name] for each in groups]) for name in groups[0]}
    return Round(written, samples, reference_log_probs, scores, total(scores, rules.weights))


def _written(model: Decoder, rules: Rules, prompts: Sequence[Sequence[int]], group: int, seed: int) -> list[Written]:
    """Prompts × group texts, about ROWS_AT_ONCE at a time; each has random numbers of its own."""
    count, written = max(ROWS_AT_ONCE // group, 1), []
    for start in range(0, len(prompts), count):
        some = prompts[start : start + count]
        numbers = range(start * group, (start + len(some)) * group)
        written += generate(
            model,
            some,
            rules.new_tokens,
            temperature=rules.temperature,
            samples=group,
            seed=[derived_seed(seed, number) for number in numbers],
            stop=rules.stop,
        )
    return written


def _sample(written: Written, log_probs: np.ndarray) -> Sample:
    """What is rewarded: the text without the END_OF_TEXT that ended it."""
    count = len(written.tokens) - (written.ended == "stop")
    return Sample(tuple(written.tokens[:count]), log_probs[:count], written.ended == "stop")
