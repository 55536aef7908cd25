"""Maps: signatures laid out on a plane, with a number that says how far the plane can be trusted.

Every map shows groups, also of noise. `same_covariance_null` makes the table to draw beside it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.errors import MeasureError

Method = Literal["PCA", "UMAP", "t-SNE"]

METHODS: tuple[Method, ...] = ("PCA", "UMAP", "t-SNE")

NEIGHBOURS = 15
"""Of a point that a map tries to keep close, and that trustworthiness asks for: UMAP's own default."""

MOST_JUDGED = 4000
"""Points whose neighbourhoods are compared; of more, an even sample. Chosen by us: 4000² distances take 1 s."""

PERPLEXITY = 30.0
"""Of t-SNE: scikit-learn's default (van der Maaten & Hinton 2008: 5 to 50)."""


@dataclass(frozen=True, eq=False)
class Projection:
    """Points on a plane.

    Attributes:
        method: how they were laid out. points: (n, 2) float64.
        trustworthiness: 0 … 1, how far neighbours on the plane are neighbours in the table; NaN for fewer than
            4 points. A random layout has about 0.5.
        explained: shares of the table's variance along both axes, for PCA; else ().
        num_judged: points that trustworthiness was computed of; fewer than n is a sample, hence an estimate.
    """

    method: Method
    points: np.ndarray
    trustworthiness: float
    explained: tuple[float, ...]
    num_judged: int


def project(table: np.ndarray, method: Method, seed: int = 0, neighbours: int = NEIGHBOURS) -> Projection:
    """Lay the rows of a table out on a plane.

    PCA is linear and keeps large distances; UMAP and t-SNE keep neighbourhoods, and neither sizes of groups nor the
    distances between them mean anything.

    Args:
        table: (n, d) finite standardised features, n ≥ 3. method: one of `METHODS`.
        seed: fixes UMAP and t-SNE to the bit on one machine. neighbours: for UMAP and for trustworthiness, ≥ 2.
    Raises: MeasureError for a table that cannot be laid out.
    Source: McInnes, Healy & Melville 2018 (UMAP); van der Maaten & Hinton 2008 (t-SNE).
    """
    table = checked_table(table, least=3)
    explained: tuple[float, ...] = ()
    if method == "PCA":
        points, explained = _principal(table)
    elif method == "UMAP":
        points = _umap(table, seed, neighbours)
    elif method == "t-SNE":
        points = _tsne(table, seed)
    else:
        raise MeasureError(f"There is no map {method!r}.", f"Maps are: {', '.join(METHODS)}.")
    trust, num_judged = trustworthiness(table, points, neighbours)
    return Projection(method, points, trust, explained, num_judged)


def trustworthiness(table: np.ndarray, points: np.ndarray, neighbours: int = NEIGHBOURS) -> tuple[float, int]:
    """How far neighbours on the plane are neighbours in the table, and of how many points that was computed.

    T = 1 − 2/(n·k·(2n − 3k − 1)) · Σᵢ Σ_{j ∈ Uᵢ} (r(i, j) − k): U are the k neighbours on the plane that are not among
    the k nearest in the table, r their rank there.

    Returns: 0 … 1; NaN for fewer than 4 points. `neighbours` is lowered below n / 2 where there are few.
    Source: Venna & Kaski 2001; scikit-learn.
    """
    from sklearn.manifold import trustworthiness as sklearn_trustworthiness

    count = len(table)
    chosen = np.arange(count) if count <= MOST_JUDGED else np.linspace(0, count - 1, MOST_JUDGED).astype(np.int64)
    if len(chosen) < 4:
        return np.nan, len(chosen)
    k = max(1, min(neighbours, (len(chosen) - 1) // 2))
    return float(sklearn_trustworthiness(table[chosen], points[chosen], n_neighbors=k)), len(chosen)


def same_covariance_null(table: np.ndarray, seed: int = 0) -> np.ndarray:
    """One Gaussian cloud with the table's mean and covariance: as many rows, the same directions, and no groups.

    What a map or a clustering of it shows as well is no finding.

    Args: table: (n, d). Returns: (n, d) float64. Where n ≤ d it lies in the span of the rows, as the table does.
    """
    table = checked_table(table, least=2)
    centred = table - table.mean(axis=0)
    mix = np.random.default_rng(seed).standard_normal((len(table), len(table)))
    return table.mean(axis=0) + mix @ centred / np.sqrt(len(table) - 1)


def checked_table(table: np.ndarray, least: int) -> np.ndarray:
    """The table as float64. Raises MeasureError if it is not (n ≥ least, d ≥ 1), or not finite."""
    table = np.asarray(table, np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise MeasureError(f"Expected a table of features, got an array of shape {table.shape}.")
    if len(table) < least:
        raise MeasureError(
            f"There are {len(table)} signatures here, at least {least} are needed.",
            "Widen the filters, or take signatures of more models.",
        )
    if not np.isfinite(table).all():
        raise MeasureError("The table holds undefined features.", "Standardise it first; that fills them in.")
    return table


def _principal(table: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """The first two principal components, each turned so that its largest loading is positive."""
    centred = table - table.mean(axis=0)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    if len(values) < 2:  # a table of one column
        left, right = np.pad(left, ((0, 0), (0, 1))), np.pad(right, ((0, 1), (0, 0)))
        values = np.pad(values, (0, 1))
    signs = np.sign(right[np.arange(2), np.abs(right[:2]).argmax(axis=1)])
    total = float(np.square(values).sum())
    shares = np.square(values[:2]) / total if total else np.zeros(2)
    return left[:, :2] * values[:2] * np.where(signs == 0, 1, signs), (float(shares[0]), float(shares[1]))


def _umap(table: np.ndarray, seed: int, neighbours: int) -> np.ndarray:
    if len(table) < 5:  # its graph needs more points than it has dimensions
        return _principal(table)[0]
    import warnings

    from umap import UMAP

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_jobs value")  # a fixed seed means one thread: as we want it
        reducer = UMAP(n_neighbors=max(2, min(neighbours, len(table) - 1)), random_state=seed, n_jobs=1)
        return np.asarray(reducer.fit_transform(table), np.float64)


def _tsne(table: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(table) - 1) / 3)
    start = "pca" if table.shape[1] > 1 else "random"
    with one_thread():
        found = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(table)
    return np.asarray(found, np.float64)


def one_thread() -> AbstractContextManager:
    """scikit-learn on one thread: its threads wait for each other by spinning, which on a machine that does something
    else too is slower by a factor of hundreds (90 points in t-SNE: 0.8 s, or over 10 minutes)."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)
