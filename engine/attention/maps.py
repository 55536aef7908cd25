"""What an attention map says in one number: where a head looks, and how widely.

A map A is (queries, keys): A[i, j] is the share of its attention that position i gives to position j; rows sum to 1.
Position 0 is left out of the scores of diagonals and first tokens: in a causal model it can only look at itself, which
would lift every head alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def entropy(maps: np.ndarray) -> np.ndarray:
    """Mean over the queries of −Σⱼ A[i, j] log₂ A[i, j]: how many bits it takes to say where a head looks.

    Args: maps: (..., queries, keys). Rows are divided by their sum first (models with attention sinks give less than
        1); rows without any attention are left out.
    Returns: (...,) float64, 0 (one key each) … log₂ keys (all keys alike); NaN for a map without attention.
    """
    weights = np.asarray(maps, np.float64)
    totals = weights.sum(-1, keepdims=True)
    is_there = totals[..., 0] > 0
    shares = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    bits = -np.sum(shares * np.log2(shares, out=np.zeros_like(shares), where=shares > 0), axis=-1)
    counts = is_there.sum(-1)
    sums = np.where(is_there, bits, 0.0).sum(-1) + 0.0
    means = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return np.where(np.isfinite(weights).all((-2, -1)), means, np.nan)


def diagonal(maps: np.ndarray) -> np.ndarray:
    """Mean over i ≥ 1 of A[i, i]: how much positions look at themselves.

    Args: maps: (..., n, n). Returns: (...,) float64, 0 … 1; NaN if the map is not square or n < 2.
    """
    return _mean_along(maps, 0)


def previous_token(maps: np.ndarray) -> np.ndarray:
    """Mean over i ≥ 1 of A[i, i − 1]: how much positions look at the one before. Args and returns: as `diagonal`."""
    return _mean_along(maps, -1)


def first_token(maps: np.ndarray) -> np.ndarray:
    """Mean over i ≥ 1 of A[i, 0]: how much positions look at the first token ([CLS], the beginning of the text), where
    many heads rest when they have nothing to say. Args and returns: as `diagonal`.
    """
    maps = np.asarray(maps, np.float64)
    return maps[..., 1:, 0].mean(-1) if _is_square(maps) else np.full(maps.shape[:-2], np.nan)


@dataclass(frozen=True, slots=True)
class MapScore:
    """A score of attention maps. Attributes: title: as people read it. wanted: what the head with the highest score is
    called. description: what it means. unit: "bits" or "" for a share. function: (..., queries, keys) -> (...,)."""

    name: str
    title: str
    wanted: str
    description: str
    function: Callable[[np.ndarray], np.ndarray]
    unit: str = ""


MAP_SCORES: dict[str, MapScore] = {
    row.name: row
    for row in (
        MapScore("diagonal", "Looks at itself", "Most diagonal", "mean attention of position i to i", diagonal),
        MapScore(
            "previous_token",
            "Looks one back",
            "Previous token",
            "mean attention of position i to i − 1",
            previous_token,
        ),
        MapScore("first_token", "Looks at the first", "First token", "mean attention of position i to 0", first_token),
        MapScore(
            "entropy", "Entropy", "Most spread out", "mean entropy of the queries' attention, in bits", entropy, "bits"
        ),
    )
}
"""Every score, by name. Add one with its function and one row here."""


def highest(scores: np.ndarray, count: int = 3) -> list[tuple[int, int]]:
    """The (layer, head) of the highest scores, the highest first; ties in reading order; NaN never.

    Args: scores: (layers, heads).
    """
    flat = np.where(np.isnan(scores), -np.inf, scores).ravel()
    order = np.argsort(-flat, kind="stable")[:count]
    return [tuple(int(n) for n in divmod(int(k), scores.shape[1])) for k in order if np.isfinite(flat[k])]


def _mean_along(maps: np.ndarray, offset: int) -> np.ndarray:
    maps = np.asarray(maps, np.float64)
    if not _is_square(maps):
        return np.full(maps.shape[:-2], np.nan)
    rows = np.arange(1, maps.shape[-1])
    return maps[..., rows, rows + offset].mean(-1)


def _is_square(maps: np.ndarray) -> bool:
    return maps.shape[-1] == maps.shape[-2] >= 2
