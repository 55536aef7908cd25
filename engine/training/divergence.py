"""When a training has failed: the loss is no number any more, or rose for good."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

UPDATES = 5
"""A bad batch is one update; five in a row are a trend. Chosen by us."""

TIMES, NATS = 2.0, 2.0
"""The loss has risen when it is above both twice the lowest and the lowest + 2 nats: from 2 to over 4, from 0.2 to over
2.2. Weights that one step too far has thrown away cost more than that; new text hardly does. Chosen by us."""


@dataclass(slots=True)
class LossWatch:
    """Looks at the loss of each update.

    Attributes:
        last: of the last updates, at most UPDATES. lowest: mean of so many in a row; None before there were as many.
    """

    last: list[float] = field(default_factory=list)
    lowest: float | None = None

    def seen(self, step: int, loss: float, gradient_norm: float) -> str:
        """Why the training must stop before this update is made; "" if it may go on."""
        for name, value in (("loss", loss), ("length of the gradient", gradient_norm)):
            if not math.isfinite(value):
                return f"The {name} of update {step} is {value}: training has diverged."
        self.last = [*self.last, loss][-UPDATES:]
        if len(self.last) == UPDATES:
            if self.lowest is not None and min(self.last) > self.bound:
                return (
                    f"The loss rose from {self.lowest:.2f} to over {min(self.last):.2f} nats and stayed there "
                    f"for {UPDATES} updates (the last is {step}): training has diverged."
                )
            mean = math.fsum(self.last) / UPDATES
            self.lowest = mean if self.lowest is None else min(self.lowest, mean)
        return ""

    @property
    def bound(self) -> float:
        """A loss above it has risen; inf before anything is known."""
        return math.inf if self.lowest is None else max(TIMES * self.lowest, self.lowest + NATS)

    @property
    def is_calm(self) -> bool:
        """Whether the last loss had not risen: weights as they are now are worth keeping."""
        return not self.last or self.last[-1] <= self.bound
