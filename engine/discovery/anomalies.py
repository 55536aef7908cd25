"""Signatures that do not fit in with the others, and the features that set them apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.discovery.projections import checked_table, one_thread

ROWS_A_DIMENSION = 5
"""Signatures that a direction of the robust covariance is estimated from, at least: Rousseeuw & van Driessen 1999."""

MOST_DIMENSIONS = 20
"""Principal directions that distances are taken in; chosen by us."""

REACH = 6.0
"""Robust deviations at which a feature is cut before the directions are found, so that one wild value makes none."""

NUM_REASONS = 5
"""Features named of an odd signature."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a signature is odd: a feature, its robust z, and its share of the squared distance (may be negative)."""

    feature: int
    z: float
    share: float


@dataclass(frozen=True, eq=False)
class Anomalies:
    """How odd each signature is.

    Attributes:
        distances: (n,) robust Mahalanobis distances. p_values: (n,) that a normal signature is as far out (χ²).
        isolation: (n,) 0 … 1, the isolation forest's score; about 0.5 for ordinary ones, towards 1 for odd ones.
        reasons: of each, its features by falling share.
        num_dimensions: principal directions the distance is taken in. is_robust: False where there are too few
            signatures for a robust covariance; the p-values are then too small and only the order counts.
    """

    distances: np.ndarray
    p_values: np.ndarray
    isolation: np.ndarray
    reasons: tuple[tuple[Reason, ...], ...]
    num_dimensions: int
    is_robust: bool


def anomalies(table: np.ndarray, seed: int = 0) -> Anomalies:
    """Hold each signature against all of them.

    d² = zᵀ·S⁻¹·z, z the coordinates along the first principal directions of the table (median and MAD scaled, cut at
    `REACH`), S their minimum covariance determinant estimate. d² is the sum of the features' shares
    (x − m)ⱼ·(V·S⁻¹·z)ⱼ, which name the reasons.

    Args: table: (n, d) finite standardised features, n ≥ 8.
    Raises: MeasureError if there are fewer, or undefined ones.
    Source: Rousseeuw & van Driessen 1999 (MCD); Liu, Ting & Zhou 2008 (isolation forest).
    """
    from scipy.stats import chi2

    table = checked_table(table, least=8)
    scaled = _robustly_scaled(table)
    directions = _directions(np.clip(scaled, -REACH, REACH))
    coordinates = scaled @ directions  # (n, k)
    with one_thread():
        centre, precision, is_robust = _location(coordinates, seed)
        isolation = _isolation(scaled, seed)
    centred = coordinates - centre
    weighted = centred @ precision
    squares = np.einsum("ij,ij->i", centred, weighted)
    shares = (scaled - centre @ directions.T) * (weighted @ directions.T)
    return Anomalies(
        np.sqrt(np.maximum(squares, 0.0)),
        chi2.sf(squares, directions.shape[1]),
        isolation,
        tuple(_reasons(z, share, square) for z, share, square in zip(scaled, shares, squares, strict=True)),
        directions.shape[1],
        is_robust,
    )


def _robustly_scaled(table: np.ndarray) -> np.ndarray:
    """(x − median) / (1.4826·MAD); where that is 0, by the standard deviation; a constant feature becomes 0."""
    centred = table - np.median(table, axis=0)
    spread = 1.482602218505602 * np.median(np.abs(centred), axis=0)
    spread = np.where(spread > 0, spread, table.std(axis=0))
    return np.divide(centred, spread, where=spread > 0, out=np.zeros_like(centred))


def _directions(table: np.ndarray) -> np.ndarray:
    """(d, k) orthonormal: as many principal directions as the rows can carry, without those of no variance."""
    _, values, right = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)
    rank = int((values > 1e-9 * values[0]).sum()) if values[0] > 0 else 1
    most = max(1, min(rank, MOST_DIMENSIONS, len(table) // ROWS_A_DIMENSION))
    return right[:most].T


def _location(coordinates: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """(centre, inverse covariance, whether robust)."""
    import warnings

    from sklearn.covariance import MinCovDet

    count, dimensions = coordinates.shape
    if count >= ROWS_A_DIMENSION * dimensions and count >= 20:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # told by is_robust instead
            try:
                found = MinCovDet(random_state=seed).fit(coordinates)
            except ValueError:  # more than half of the signatures are one and the same
                return _plain_location(coordinates)
        if np.linalg.matrix_rank(found.covariance_) == dimensions:
            return found.location_, np.linalg.inv(found.covariance_), True
    return _plain_location(coordinates)


def _plain_location(coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Mean and ordinary covariance."""
    centre = coordinates.mean(axis=0)
    covariance = (coordinates - centre).T @ (coordinates - centre) / (len(coordinates) - 1)
    return centre, np.linalg.pinv(covariance, hermitian=True), False


def _isolation(table: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.ensemble import IsolationForest

    return -IsolationForest(random_state=seed, n_jobs=1).fit(table).score_samples(table)


def _reasons(z: np.ndarray, shares: np.ndarray, square: float) -> tuple[Reason, ...]:
    order = np.argsort(-shares, kind="stable")[:NUM_REASONS]
    return tuple(Reason(int(j), float(z[j]), float(shares[j] / square) if square > 0 else math.nan) for j in order)
