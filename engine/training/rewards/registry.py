"""The list of reward parts, and their weighted sum."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import TrainingError
from engine.training.rewards.sample import Group, Standards

PARTS: dict[str, RewardPart] = {}
"""Every part by name, in the order of the imports of this package."""


@dataclass(frozen=True, slots=True)
class RewardPart:
    """One registered part.

    Attributes:
        name: the function's name, and its name in SelfPlaySettings.weights.
        title: a few words for a slider. description: the function's docstring.
        lowest, highest: what it can be; more is better.
        function: (group, standards) -> one number for each sample of the group.
    """

    name: str
    title: str
    description: str
    lowest: float
    highest: float
    function: Callable[[Group, Standards], Sequence[float]]


def reward_part(*, title: str, lowest: float = 0.0, highest: float = 1.0) -> Callable:
    """Register a pure function of (group, standards) as a part under its own name; it is returned unchanged.

    Raises: TrainingError if the name is taken or the function has no docstring.
    """

    def register(function: Callable[[Group, Standards], Sequence[float]]) -> Callable:
        name, description = function.__name__, inspect.getdoc(function)
        if name in PARTS:
            raise TrainingError(f"The reward part {name} is registered twice.", "Give one of the two another name.")
        if not description:
            raise TrainingError(f"The reward part {name} has no docstring.", "Say what it pays for and give its range.")
        PARTS[name] = RewardPart(name, title, description, lowest, highest, function)
        return function

    return register


def check_weights(weights: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The weights of the parts that count, by name.

    Args: weights: (part, weight ≥ 0) pairs, as in SelfPlaySettings; a part that is not named has weight 0.
    Raises: TrainingError for an unknown or repeated part, a weight that is negative or not finite, or nothing above 0.
    """
    named: dict[str, float] = {}
    for name, weight in weights:
        if name not in PARTS:
            raise TrainingError(f'There is no reward part "{name}".', f"The parts are {', '.join(sorted(PARTS))}.")
        if name in named:
            raise TrainingError(f"The reward part {name} has two weights.", "Give each part one weight.")
        if not (math.isfinite(weight) and weight >= 0):
            raise TrainingError(f"The weight of {name} must be 0 or more, got {weight}.", "Use 0 to leave a part out.")
        named[name] = float(weight)
    counting = {name: weight for name, weight in named.items() if weight}
    if not counting:
        raise TrainingError("All reward weights are 0: nothing would be learnt.", "Raise the weight of one part.")
    return counting


def score(group: Group, standards: Standards) -> dict[str, np.ndarray]:
    """Every part of every sample, also of parts that do not count: they show what the others cost.

    Returns: name -> (samples,) float64 within the part's range; always finite.
    Raises: TrainingError if a part breaks its promise.
    """
    scores = {}
    for part in PARTS.values():
        values = np.asarray(part.function(group, standards), dtype=np.float64)
        if values.shape != (len(group),) or not np.all((values >= part.lowest) & (values <= part.highest)):
            raise TrainingError(
                f"The reward part {part.name} must give {len(group)} numbers in {part.lowest:g} … {part.highest:g}, "
                f"got {values.tolist()}.",
                "Correct the part's function.",
            )
        scores[part.name] = values
    return scores


def total(scores: dict[str, np.ndarray], weights: dict[str, float]) -> np.ndarray:
    """Σ weight · part / Σ weight: as large as the parts themselves, whatever the weights.

    Args: scores: of `score`. weights: of `check_weights`.
    """
    return sum(weight * scores[name] for name, weight in weights.items()) / sum(weights.values())
