"""Making features comparable: each one's distance from the typical matrix, in robust standard deviations."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from engine.discovery.signature.registry import FEATURES, transformed
from engine.outliers import NORMAL_MAD

CLIP = 5.0
"""Robust standard deviations beyond which a feature says only "very far": one odd number is not the whole signature.
Chosen by us."""


@dataclass(frozen=True, eq=False)
class Standardisation:
    """A centre and a unit for each number of a vector, in transformed units (`registry.transformed`).

    Attributes:
        centre: (n,) float64, the medians. spread: (n,) float64, 1.4826·MAD, at least the features' resolutions.
    """

    centre: np.ndarray
    spread: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """(value − centre)/spread, held within ±5; what is undefined becomes 0, the typical value.

        So undefined features neither add to a product of two signatures nor to their length.

        Args: values: (…, n) transformed. Returns: (…, n) float32, finite.
        """
        found = np.clip((values - self.centre) / self.spread, -CLIP, CLIP)
        return np.where(np.isnan(found), 0.0, found).astype(np.float32)


def resolutions() -> np.ndarray:
    """(n,) the smallest difference of each feature that means something."""
    return np.array([entry.resolution for entry in FEATURES.values()])


def fit_standardisation(values: np.ndarray) -> Standardisation:
    """Medians and spreads of many matrices' features.

    Args: values: (matrices, n) raw features, NaN where undefined. Without any matrix the centre is 0.
    """
    centre, spread = robust(transformed(values))
    return Standardisation(centre, np.maximum(spread, resolutions()))


def robust(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column by column (median, 1.4826·MAD) of the defined numbers; both 0 where there is none."""
    if len(values) == 0:
        return np.zeros(values.shape[1]), np.zeros(values.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns without a number give NaN, which is then 0
        centre = np.nanmedian(values, axis=0)
        spread = NORMAL_MAD * np.nanmedian(np.abs(values - centre), axis=0)
    return np.nan_to_num(centre), np.nan_to_num(spread)
