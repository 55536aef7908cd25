"""From where a scene is seen, as five numbers that fit into a URL."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

LIMITS = ((-360.0, 360.0), (-89.0, 89.0), (0.2, 12.0), (-1.5, 1.5), (-1.5, 1.5))
DECIMALS = (1, 1, 3, 3, 3)


@dataclass(frozen=True, slots=True)
class Camera:
    """An orbit about a point of the ground.

    Attributes:
        azimuth: degrees around, −360 … 360; 0 looks from the last row to the first, as a heatmap lies.
        elevation: degrees above the ground, −89 … 89. distance: from the point, 0.2 … 12; the ground is 2 long.
        across, along: the point, −1.5 … 1.5: right of the middle (columns) and down from it (rows).
    """

    azimuth: float
    elevation: float
    distance: float
    across: float
    along: float

    @classmethod
    def of(cls, numbers: object) -> Camera | None:
        """The camera of five numbers, each brought into its range; None of anything else."""
        if not isinstance(numbers, list | tuple) or len(numbers) != len(LIMITS):
            return None
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            return None
        inside = (min(max(float(n), low), high) for n, (low, high) in zip(numbers, LIMITS, strict=True))
        return cls(*(round(n, digits) + 0.0 for n, digits in zip(inside, DECIMALS, strict=True)))

    @classmethod
    def parse(cls, text: str) -> Camera | None:
        """The camera that `text` ("azimuth,elevation,distance,across,along") names; None if it names none."""
        try:
            return cls.of([float(part) for part in text.split(",")])
        except ValueError:
            return None

    @property
    def numbers(self) -> list[float]:
        return list(astuple(self))

    @property
    def text(self) -> str:
        """As in a URL; `parse` reads it back to the same camera."""
        return ",".join(f"{n:g}" for n in self.numbers)
