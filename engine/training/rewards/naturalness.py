"""Naturalness: whether neighbouring tokens are neighbours in the training text too."""

from __future__ import annotations

import math

from engine.training.rewards.registry import reward_part
from engine.training.rewards.sample import Group, Standards


@reward_part(title="Natural bigrams")
def naturalness(group: Group, standards: Standards) -> list[float]:
    """How much of what pairs of tokens tell in training text they tell here: 0 … 1.

        (mean ln p(next | token) + ln V) / (the same of training text + ln V), held to 0 … 1

    with p the smoothed bigram model of the training text and V its vocabulary. 0: pairs no likelier than by drawing all
    tokens alike; 1: as likely as in real text. More than that pays nothing, so loops of the commonest pair do not win.
    A text of fewer than two tokens has 0.
    """
    unknowing = math.log(standards.bigrams.vocabulary_size)
    level = max(standards.bigram_level + unknowing, math.ulp(1.0))
    shares = []
    for sample in group:
        log_probs = standards.bigrams.log_probs(sample.tokens)
        shares.append(min(max((log_probs.mean() + unknowing) / level, 0.0), 1.0) if len(log_probs) else 0.0)
    return shares
