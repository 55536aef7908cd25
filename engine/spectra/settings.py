"""How spectra are measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Precision = Literal["float64", "float32"]


@dataclass(frozen=True, slots=True)
class SpectrumSettings:
    """How to take a spectrum.

    Attributes:
        precision: of the Gram matrix and its decomposition. "float32" halves time and memory of large matrices; on
            the 39 matrices of all-MiniLM-L6-v2 it moved singular values and alpha by up to 1e-4 (of the largest one),
            and singular values below 0.7 % of the largest are not told from zero.
        max_exact_side: matrices whose smaller side is longer get an estimate of their largest singular values only.
            8192, chosen by us: the Gram matrix then takes 512 MiB, and one core works at it for a minute or two.
        num_leading: how many of the largest singular values the estimate gives.
        seed: of the estimate's random directions.
    """

    precision: Precision = "float64"
    max_exact_side: int = 8192
    num_leading: int = 32
    seed: int = 0

    def facts(self) -> dict[str, object]:
        """The settings as plain values."""
        return asdict(self)
