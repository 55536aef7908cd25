"""Vocabulary richness, freed of the length of the text."""

from __future__ import annotations

from collections.abc import Sequence

from engine.training.rewards.registry import reward_part
from engine.training.rewards.sample import Group, Standards

WINDOW = 24
"""Tokens of a window, or all that a sample may have where that is fewer. Chosen by us: half of the default 48."""


@reward_part(title="Vocabulary")
def vocabulary(group: Group, standards: Standards) -> list[float]:
    """Different tokens / tokens in a window, the mean over all windows of the text (MATTR): 0 … 1.

    The plain ratio falls with the length of a text (Heaps' law), a moving window does not. 1: no token twice within 24;
    1/24: one token only. A text shorter than the window is counted as if the rest of it said nothing new, so that
    stopping early never pays; an empty one has 0. Real text lies well below 1: this part alone rewards word salad.

    Source: Covington & McFall 2010.
    """
    window = min(WINDOW, standards.new_tokens)
    return [moving_type_share(sample.tokens, window) for sample in group]


def moving_type_share(tokens: Sequence[int], window: int) -> float:
    """Mean over all windows of different tokens / window; different tokens / window for a text that is shorter."""
    starts = range(max(len(tokens) - window, 0) + 1)
    return sum(len(set(tokens[start : start + window])) for start in starts) / (len(starts) * window)
