"""What a number of models can answer at all, said before anything is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.discovery.effect_sizes import sign_assignments

SIMULATIONS = 400
"""Simulated studies behind a power: its standard error is at most 0.025."""


@dataclass(frozen=True, slots=True)
class Power:
    """What so many independent models can show.

    Attributes:
        num_models: independent lineages. num_tests: effects tested at once. alpha: share of false ones allowed.
        smallest_p: the smallest p that can come out. smallest_q: of one effect alone among the tests.
        num_needed_together: models with which effects can be found if most are there; num_needed_alone: if one is.
        power: P(a medium effect is found) if half of the tests have it; 0 … 1.
        words: all that as a person is told.
    """

    num_models: int
    num_tests: int
    alpha: float
    smallest_p: float
    smallest_q: float
    num_needed_together: int
    num_needed_alone: int
    power: float
    words: str

    @property
    def can_answer(self) -> bool:
        return self.smallest_p <= self.alpha


def smallest_p(num_models: int) -> float:
    """2 / 2ⁿ: all models on one side of their nulls, two-sided; 1 of fewer than 2 models."""
    return 2.0 ** (1 - num_models) if num_models >= 2 else 1.0


def models_needed(num_tests: int, alpha: float = 0.05) -> int:
    """Fewest models with which an effect that stands alone among the tests can be found after Benjamini-Hochberg."""
    return max(2, math.ceil(1 + math.log2(max(num_tests, 1) / alpha)))


def power(num_models: int, num_tests: int = 1, shift: float = 1.0, alpha: float = 0.05) -> Power:
    """What to expect of a study of so many models.

    Args: shift: size of the effect to find, in standard deviations between models (1 is large: Cohen 1988).
    """
    found = simulated_power(num_models, num_tests, shift, alpha) if num_models >= 2 else 0.0
    together, alone = models_needed(1, alpha), models_needed(num_tests, alpha)
    lowest = smallest_p(num_models)
    words = _words(num_models, num_tests, alpha, shift, found)
    return Power(
        num_models, num_tests, alpha, lowest, min(lowest * max(num_tests, 1), 1.0), together, alone, found, words
    )


def simulated_power(
    num_models: int, num_tests: int = 1, shift: float = 1.0, alpha: float = 0.05, share: float = 0.5, seed: int = 0
) -> float:
    """P(a true effect is found): studies of normal differences, `share` of the tests true, tested as real ones are."""
    if smallest_p(num_models) > alpha:
        return 0.0
    from scipy.stats import false_discovery_control

    random = np.random.default_rng(seed)
    num_tests = min(max(num_tests, 1), 40)  # more tests with an equal share of true ones change little and take long
    num_true = max(round(num_tests * share), 1)
    studies = max(SIMULATIONS // num_tests, 20)
    signs = sign_assignments(num_models).T.astype(np.float64)
    found = 0
    for _ in range(studies):
        values = random.standard_normal((num_tests, num_models))
        values[:num_true] += shift
        sums = np.abs(values @ signs)
        p = (sums >= sums[:, :1] - 1e-9).mean(axis=1)
        found += int((false_discovery_control(p)[:num_true] <= alpha).sum())
    return found / (studies * num_true)


def _words(num_models: int, num_tests: int, alpha: float, shift: float, found: float) -> str:
    needed, alone = models_needed(1, alpha), models_needed(num_tests, alpha)
    noun = "model" if num_models == 1 else "independent models"
    if num_models < needed:
        return (
            f"With {num_models} {noun} this cannot be answered: even if every one lies on the same side of its null, "
            f"p is {smallest_p(num_models):.2g}. Add at least {needed - num_models} that share neither their start nor "
            f"a parent; it takes {alone} in all to find an effect that stands alone among {num_tests:,} tests."
        )
    said = (
        f"With {num_models} {noun} the smallest possible p is {smallest_p(num_models):.2g}. An effect as large as "
        f"{shift:g} standard deviation between models is found with probability {found:.0%}, if half of {num_tests:,} "
        "tests have one."
    )
    if num_models < alone:
        said += f" An effect that stands alone cannot be found: that takes {alone}."
    return said
