"""Repetition: the penalty for saying the same again, and for loops, turned so that more is better."""

from __future__ import annotations

from collections.abc import Sequence

from engine.training.rewards.diversity import ngrams
from engine.training.rewards.registry import reward_part
from engine.training.rewards.sample import Group, Standards

SIZE = 4
"""Tokens of a run that counts as said before: seq-rep-4 of Welleck et al. 2020."""

ROUNDS = 3
"""Times in a row that make a repeated block a loop: "had had" and "bye bye" are language. Chosen by us."""


@reward_part(title="No repetition")
def repetition(group: Group, standards: Standards) -> list[float]:
    """1 − the larger of `repeated_share` and `loop_share`: 0 … 1; 1 for a text that never repeats itself.

    0 is a loop from the first token to the last. A text too short to repeat anything has 1 (being short is what
    `length` marks down); an empty one has 0.

    Source: seq-rep-n of Welleck et al. 2020; loops as in Holtzman et al. 2020.
    """
    texts = [sample.tokens for sample in group]
    return [1 - max(repeated_share(text), loop_share(text)) if text else 0.0 for text in texts]


def repeated_share(tokens: Sequence[int]) -> float:
    """Share of the text's 4-grams that stood in it before: 1 − different / all; 0 for fewer than five tokens."""
    grams = ngrams(tokens, SIZE)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def loop_share(tokens: Sequence[int]) -> float:
    """Share of tokens inside a block that stands three or more times in a row, whatever its length; 0 for no text."""
    num_tokens = len(tokens)
    in_loop = [False] * num_tokens
    for period in range(1, num_tokens // ROUNDS + 1):
        run = 0  # tokens in a row that equal the one a period before
        for index in range(period, num_tokens):
            run = run + 1 if tokens[index] == tokens[index - period] else 0
            if run >= (ROUNDS - 1) * period:
                start = index - run - period + 1
                in_loop[start : index + 1] = [True] * (index + 1 - start)
    return sum(in_loop) / num_tokens if num_tokens else 0.0
