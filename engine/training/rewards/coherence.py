"""Coherence: whether the frozen reference finds the text as surprising as it finds real text."""

from __future__ import annotations

import numpy as np

from engine.training.rewards.registry import reward_part
from engine.training.rewards.sample import Group, Standards

WINDOW = 16
"""Tokens over which surprise is averaged. Chosen by us: one token of real text may cost anything, but 16 in a row do
not; and a text that is half loop and half noise, whose overall mean looks ordinary, still fails in each half."""

BAND = (0.05, 0.95)
"""Quantiles of the surprise of real text between which a text is not marked down. Chosen by us."""


@reward_part(title="Coherence")
def coherence(group: Group, standards: Standards) -> list[float]:
    """How near each stretch's surprise under the frozen reference is to that of real text: 0 … 1, 1 inside the band.

    Surprise is the mean of −ln p over a window of 16 tokens (all of a shorter text). A window inside the band of real
    text, [low, high], counts 1; one at distance d from it counts exp(−d / half the band's width); the text gets the
    mean over its windows. Both ends matter: above the band lies gibberish, below it lies text that is likelier than
    people write, which is how a loop looks. An empty text has 0.

    Source: people do not write the likeliest text, and likelihood alone leads into loops (Holtzman et al. 2020); what
    people prefer rises with likelihood only up to that of human text, then falls (Zhang et al. 2021); surprise near
    its expected value marks human text (Meister et al. 2023). The shape of the fall is ours.
    """
    return [
        banded(window_surprise(sample.reference_log_probs), standards.surprise_low, standards.surprise_high)
        for sample in group
    ]


def window_surprise(log_probs: np.ndarray) -> np.ndarray:
    """Mean −ln p, nats a token, of every window of WINDOW tokens; of the whole where it is shorter; empty for none."""
    log_probs = np.asarray(log_probs, dtype=np.float64)
    size = min(WINDOW, len(log_probs))
    return -np.lib.stride_tricks.sliding_window_view(log_probs, size).mean(axis=-1) if size else np.empty(0)


def banded(surprise: np.ndarray, low: float, high: float) -> float:
    """Mean over windows of 1 inside low … high and exp(−distance / half the width) outside; 0 without a window."""
    if not len(surprise):
        return 0.0
    distance = np.maximum(np.maximum(low - surprise, surprise - high), 0)
    return float(np.exp(-distance / max((high - low) / 2, np.finfo(float).tiny)).mean())
