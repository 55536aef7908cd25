"""Length: the guard against pleasing the other parts by writing next to nothing."""

from __future__ import annotations

from engine.training.rewards.registry import reward_part
from engine.training.rewards.sample import Group, Standards

ROOM = (0.5, 1.0)
"""The target band, as parts of the tokens a sample may have. Chosen by us: a text that is cut off did nothing wrong, as
most training text goes on for longer; one that ends early may have dodged the penalties."""


@reward_part(title="Length")
def length(group: Group, standards: Standards) -> list[float]:
    """1 where the text fills at least half of the tokens it may have, else its length / that half: 0 … 1.

    Counted in tokens without END_OF_TEXT. An empty text has 0.
    """
    low, high = (share * standards.new_tokens for share in ROOM)
    return [within_band(len(sample.tokens), low, high) for sample in group]


def within_band(num_tokens: int, low: float, high: float) -> float:
    """1 inside low … high; below it num_tokens / low; above it falls to 0 at high + low, as steeply as it rose."""
    return float(max(min(num_tokens / low, 1.0, 1 - (num_tokens - high) / low), 0.0))
