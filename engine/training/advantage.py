"""How much better a sample is than the other samples of its prompt: what a policy gradient multiplies with."""

from __future__ import annotations

import numpy as np

from engine.errors import TrainingError

ROUNDING = 1e-9
"""Rewards of a group that differ by less are equal: dividing their rounding errors by themselves would make noise of
full size. Rewards are of order 1 in float64."""


def grpo(rewards: np.ndarray) -> np.ndarray:
    """(r − mean of its group) / standard deviation of its group; 0 for a group that got the same reward throughout.

    Args: rewards: (prompts, group) float64; group ≥ 2. The deviation is that of the group itself (divided by its size).
    Returns: (prompts, group); each group has mean 0, and mean square 1 or 0.
    Raises: TrainingError for one sample a prompt, or rewards that are not finite.
    Source: Shao et al. 2024 (group relative policy optimisation).
    """
    centred = _centred(rewards)
    deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True))
    return np.where(deviation > ROUNDING, centred / np.maximum(deviation, ROUNDING), 0.0)


def rloo(rewards: np.ndarray) -> np.ndarray:
    """r − mean of the other samples of its group: an unbiased gradient, as the baseline does not know the sample.

    Equal to (r − mean of its group) · group / (group − 1).

    Args, Raises: as for `grpo`. Returns: (prompts, group), in the unit of the reward; each group has mean 0.
    Source: Kool, van Hoof & Welling 2019; Ahmadian et al. 2024.
    """
    centred = _centred(rewards)
    return centred * (centred.shape[1] / (centred.shape[1] - 1))


ADVANTAGES = {"grpo": grpo, "rloo": rloo}
"""By the names of SelfPlaySettings.advantage."""


def _centred(rewards: np.ndarray) -> np.ndarray:
    """Rewards without the mean of their group."""
    rewards = np.asarray(rewards, dtype=np.float64)
    if rewards.ndim != 2 or rewards.shape[1] < 2:
        raise TrainingError(
            f"Advantages compare samples of one prompt: expected rewards of shape (prompts, 2 or more), "
            f"got {rewards.shape}.",
            "Ask for at least 2 samples a prompt.",
        )
    if not np.isfinite(rewards).all():
        raise TrainingError(
            f"{np.count_nonzero(~np.isfinite(rewards))} of {rewards.size} rewards are not finite.",
            "Look at the reward parts: each must give a number for any text.",
        )
    return rewards - rewards.mean(axis=1, keepdims=True)
