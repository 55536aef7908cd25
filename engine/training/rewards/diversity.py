"""Diversity: whether a text repeats itself, and whether the texts of one prompt repeat each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.training.rewards.registry import reward_part
from engine.training.rewards.sample import Group, Standards

SIZES = (2, 3)
"""Lengths of the n-grams that are compared: single tokens repeat in any text, and runs of four rarely do by chance.
Li et al. 2016 use 1 and 2 of words; tokens are shorter."""


@reward_part(title="Diversity")
def diversity(group: Group, standards: Standards) -> list[float]:
    """Different 2- and 3-grams within the text, and those that no other text of the group has: 0 … 1.

    Half is `distinct_share` within the text; half is `own_share` against the other texts of the same prompt (left out
    where a text has no others). 1: no pair or triple of tokens twice, here or there; near 0: every text is the same
    token again and again. A text of fewer than two tokens has 0.

    Source: distinct-n of Li et al. 2016; across texts as Self-BLEU asks it (Zhu et al. 2018), by plain counts.
    """
    texts = [sample.tokens for sample in group]
    within = [distinct_share(text) for text in texts]
    if len(texts) < 2:
        return within
    return [(own + other) / 2 for own, other in zip(within, own_share(texts), strict=True)]


def ngrams(tokens: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Every run of `size` tokens, in order; none for a shorter text."""
    return [tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)]


def distinct_share(tokens: Sequence[int]) -> float:
    """Different n-grams / n-grams, the mean over SIZES; a size the text is too short for counts 0."""
    found = [ngrams(tokens, size) for size in SIZES]
    return sum(len(set(grams)) / len(grams) for grams in found if grams) / len(SIZES)


def own_share(texts: Sequence[Sequence[int]]) -> list[float]:
    """Of each text's different n-grams the share that no other text has, the mean over SIZES; too short counts 0."""
    shares = [0.0] * len(texts)
    for size in SIZES:
        kinds = [set(ngrams(text, size)) for text in texts]
        num_texts_with = Counter(gram for grams in kinds for gram in grams)
        for index, grams in enumerate(kinds):
            if grams:
                shares[index] += sum(num_texts_with[gram] == 1 for gram in grams) / len(grams) / len(SIZES)
    return shares
