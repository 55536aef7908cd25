"""How fast to learn at each update: pure functions of the update's number, so that a resumed training needs no state.

torch's own schedulers count their calls and would have to be saved and restored; these are two lines each.
"""

from __future__ import annotations

import math

from engine.errors import TrainingError
from engine.training.settings import TrainingSettings


def cosine(step: int, settings: TrainingSettings) -> float:
    """A linear rise over `warmup_steps`, then half a cosine down to `final_share` at the last update.

    Args: step: number of the update, 1 … steps.
    Returns: the rate as a share of the highest, 0 < share ≤ 1.
    Source: Loshchilov & Hutter 2017, without restarts.
    """
    warmup = min(settings.warmup_steps, settings.steps)
    if step <= warmup:
        return step / warmup
    done = min((step - warmup) / max(settings.steps - warmup, 1), 1.0)
    return settings.final_share + (1 - settings.final_share) * 0.5 * (1 + math.cos(math.pi * done))


def trapezoid(step: int, settings: TrainingSettings) -> float:
    """A linear rise over `warmup_steps`, a plateau, and a linear fall to `final_share` over the last `decay_share`.

    Where rise and fall would cross, the lower of the two counts.

    Args: step: number of the update, 1 … steps.
    Returns: the rate as a share of the highest, 0 < share ≤ 1.
    Source: Zhai et al. 2022; Hägele et al. 2024 (warm-up, stable, decay).
    """
    rise = step / settings.warmup_steps if step < settings.warmup_steps else 1.0
    falling = settings.decay_share * settings.steps
    left = max(settings.steps - step, 0)
    fall = settings.final_share + (1 - settings.final_share) * left / falling if left < falling else 1.0
    return min(rise, fall)


SCHEDULES = {"cosine": cosine, "trapezoid": trapezoid}


def rate_share(step: int, settings: TrainingSettings) -> float:
    """The share of the highest rate at update `step` (1 … steps), by the schedule of the settings.

    Raises: TrainingError for a schedule that does not exist.
    """
    if settings.schedule not in SCHEDULES:
        raise TrainingError(
            f"There is no schedule {settings.schedule!r}.", f"Choose one of: {', '.join(sorted(SCHEDULES))}."
        )
    return SCHEDULES[settings.schedule](step, settings)
