"""What a reward part looks at: one written text as it was generated, and what it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.training.rewards.bigrams import BigramModel


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One text, as the tokens that were drawn; it was never decoded and encoded again.

    Attributes:
        tokens: ids in their order, without the prompt and without the END_OF_TEXT that ended it.
        reference_log_probs: (tokens,) ln p of each under the frozen reference, given the prompt and the tokens before
            it, at the temperature of the sampling.
        is_finished: whether it ended by END_OF_TEXT; else it was cut off.
    """

    tokens: tuple[int, ...]
    reference_log_probs: np.ndarray
    is_finished: bool = False


@dataclass(frozen=True, slots=True)
class Standards:
    """What real text is like, measured once before self-play begins and then kept.

    Attributes:
        new_tokens: the most a sample may have.
        surprise_low, surprise_high: nats a token; the band in which the frozen reference finds real text (`coherence`).
        bigrams: token pairs of the training text. bigram_level: mean ln p of the training text's own pairs under it.
    """

    new_tokens: int
    surprise_low: float
    surprise_high: float
    bigrams: BigramModel
    bigram_level: float


Group = Sequence[Sample]
"""Samples of one prompt."""
