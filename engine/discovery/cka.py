"""Do two models compute alike? Centred kernel alignment of what they make of the same inputs.

Two networks with random weights already agree by about a half on the same inputs, since both only mix them: the number
says nothing without that of the same architectures before training.

Source: Kornblith et al. 2019 (arXiv 1905.00414); the debiased estimator: Song et al. 2012, Murphy et al. 2024
(arXiv 2405.01012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.errors import MeasureError

FEWEST = 4
"""Inputs below which the debiased estimator is undefined."""


@dataclass(frozen=True, slots=True)
class Cka:
    """value: of the models. null: of their random starts, mean; nulls: each. excess: value − null."""

    value: float
    null: float
    nulls: tuple[float, ...]

    @property
    def excess(self) -> float:
        return self.value - self.null


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Debiased linear CKA: HSIC(X, Y) / √(HSIC(X, X)·HSIC(Y, Y)), each estimated without bias.

    1 if Y is X turned, scaled or shifted; 0 on average if they have nothing in common, and so below 0 at times. The
    plain estimator instead rises with the number of features.

    Args: x, y: (inputs, features) of the same inputs in the same order; any real type.
    Returns: at most 1; NaN if either does not vary. Raises: MeasureError for other shapes or fewer than 4 inputs.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < FEWEST:
        raise MeasureError(
            f"CKA compares two tables of activations with a row for each of at least {FEWEST} inputs, got shapes "
            f"{x.shape} and {y.shape}.",
            "Run both models on the same inputs.",
        )
    grams = [_gram(each) for each in (x, y)]
    both, own_x, own_y = _hsic(*grams), _hsic(grams[0], grams[0]), _hsic(grams[1], grams[1])
    return both / math.sqrt(own_x * own_y) if own_x > 0 and own_y > 0 else math.nan


def _gram(x: np.ndarray) -> np.ndarray:
    """XXᵀ of centred features, with zeros on the diagonal."""
    x = x - x.mean(axis=0)
    table = x @ x.T
    np.fill_diagonal(table, 0)
    return table


def _hsic(k: np.ndarray, other: np.ndarray) -> float:
    """n(n − 3)·HSIC without bias, of Gram matrices with zero diagonals (Song et al. 2012, equation 5)."""
    n = len(k)
    sums = k.sum(axis=0), other.sum(axis=0)
    whole = float((k * other).sum()) + float(sums[0].sum() * sums[1].sum()) / ((n - 1) * (n - 2))
    return whole - 2 * float(sums[0] @ sums[1]) / (n - 2)
