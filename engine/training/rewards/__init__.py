"""What self-play pays for: six parts of a reward, each a pure function of what was written. Nothing here needs torch.

A new part is one file with a function under `@reward_part`, and its line among the imports below.
"""

from engine.training.rewards import (  # noqa: F401 - importing a part registers it
    coherence,
    diversity,
    length,
    naturalness,
    repetition,
    vocabulary,
)
from engine.training.rewards.registry import PARTS, RewardPart, check_weights, score, total
from engine.training.rewards.sample import Group, Sample, Standards

__all__ = ["PARTS", "Group", "RewardPart", "Sample", "Standards", "check_weights", "score", "total"]
