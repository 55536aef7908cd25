"""Groups of signatures, and whether noise would group as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.discovery.projections import checked_table, one_thread, same_covariance_null
from engine.errors import MeasureError

Method = Literal["k-means", "HDBSCAN", "agglomerative"]

METHODS: tuple[Method, ...] = ("k-means", "HDBSCAN", "agglomerative")

MOST_GROUPS = 10
"""Tried when nobody says how many; the best silhouette decides. Chosen by us."""

DRAWS = 19
"""Null tables a clustering is held against: with 19, the smallest p-value is 0.05."""

MOST_JUDGED = 2000
"""Points of the silhouette; of more, a sample drawn by the seed."""

SMALLEST_GROUP = 5
"""Of HDBSCAN: scikit-learn's default."""

NOISE = -1
"""The label of points that belong to no group."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Groups that a method made of a table.

    Attributes:
        method: which. labels: (n,) int64, 0 … k−1 by falling size; `NOISE` for none. num_groups: k.
        silhouette: −1 … 1, how much nearer points are to their own group than to the next; NaN for fewer than 2 groups.
        null_silhouettes: the same of groups made in noise of the same covariance, in the same way; NaN where no
            groups were found there.
        null_groups: how many groups each null gave.
    """

    method: Method
    labels: np.ndarray
    num_groups: int
    silhouette: float
    null_silhouettes: tuple[float, ...] = ()
    null_groups: tuple[int, ...] = ()

    @property
    def p_value(self) -> float:
        """(1 + nulls at least as separated) / (1 + nulls); NaN without groups or nulls. A null without groups has 0."""
        if not self.null_silhouettes or np.isnan(self.silhouette):
            return np.nan
        nulls = np.nan_to_num(self.null_silhouettes, nan=0.0)
        return (1 + int((nulls >= self.silhouette).sum())) / (1 + len(nulls))


def cluster(table: np.ndarray, method: Method, num_groups: int = 0, seed: int = 0, null_draws: int = DRAWS) -> Clusters:
    """Group the rows of a table, and hold the groups against those of noise.

    Args:
        table: (n, d) finite standardised features, n ≥ 4. method: one of `METHODS`; HDBSCAN finds the number itself.
        num_groups: wanted; 0 takes the number from 2 to `MOST_GROUPS` with the best silhouette, in each null too.
        seed: of k-means, the nulls, and the silhouette's sample. null_draws: nulls; 0 for none.
    Raises: MeasureError for an unfit table or number.
    Source: Rousseeuw 1987 (silhouette); Campello et al. 2013 (HDBSCAN); average linkage, Euclidean.
    """
    table = checked_table(table, least=4)
    if method not in METHODS:
        raise MeasureError(f"There is no clustering {method!r}.", f"There are: {', '.join(METHODS)}.")
    if num_groups and not 2 <= num_groups < len(table):
        raise MeasureError(
            f"{num_groups} groups cannot be made of {len(table)} signatures.", "Ask for 2 or more, or for automatic."
        )
    with one_thread():
        labels, silhouette = _grouped(table, method, num_groups, seed)
        clouds = (same_covariance_null(table, seed + draw) for draw in range(1, null_draws + 1))
        nulls = [_grouped(cloud, method, num_groups, seed) for cloud in clouds]
    return Clusters(
        method,
        labels,
        _count(labels),
        silhouette,
        tuple(value for _, value in nulls),
        tuple(_count(each) for each, _ in nulls),
    )


def dendrogram_linkage(table: np.ndarray) -> np.ndarray:
    """Which groups join at which distance: (n − 1, 4), scipy's linkage matrix; average linkage, cosine distance.

    Args: table: (n ≥ 2, d) standardised features. A row of zeros is as far from every other as a right angle.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distances = 1 - similarity_matrix(checked_table(table, least=2))
    np.fill_diagonal(distances, 0.0)
    return linkage(squareform(np.clip(distances, 0, None), checks=False), "average", optimal_ordering=len(table) <= 500)


def similarity_matrix(table: np.ndarray) -> np.ndarray:
    """Cosines between all rows: (n, n), −1 … 1, symmetric, exactly 1 on the diagonal; 0 to and from rows of zeros."""
    table = np.asarray(table, np.float64)
    lengths = np.linalg.norm(table, axis=1)
    unit = np.divide(table, lengths[:, None], where=lengths[:, None] > 0, out=np.zeros_like(table))
    cosines = np.clip(unit @ unit.T, -1.0, 1.0)
    cosines = (cosines + cosines.T) / 2
    np.fill_diagonal(cosines, 1.0)
    return cosines


def _grouped(table: np.ndarray, method: Method, num_groups: int, seed: int) -> tuple[np.ndarray, float]:
    """(labels by falling size, silhouette)."""
    if method == "HDBSCAN":
        from sklearn.cluster import HDBSCAN

        smallest = max(2, min(SMALLEST_GROUP, len(table) // 2))
        labels = _by_size(HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(table))
        return labels, _silhouette(table, labels, seed)
    most = min(MOST_GROUPS, len(table) - 1)
    tried = [_cut(table, method, count, seed) for count in ([num_groups] if num_groups else range(2, most + 1))]
    judged = [(_silhouette(table, labels, seed), labels) for labels in tried]
    silhouette, labels = max(judged, key=lambda pair: -2.0 if np.isnan(pair[0]) else pair[0])
    return labels, silhouette


def _cut(table: np.ndarray, method: Method, count: int, seed: int) -> np.ndarray:
    if method == "k-means":
        from sklearn.cluster import KMeans

        return _by_size(KMeans(count, n_init=4, random_state=seed).fit_predict(table))
    from sklearn.cluster import AgglomerativeClustering

    return _by_size(AgglomerativeClustering(count, linkage="average").fit_predict(table))


def _silhouette(table: np.ndarray, labels: np.ndarray, seed: int) -> float:
    from sklearn.metrics import silhouette_score

    kept = np.flatnonzero(labels != NOISE)
    if len(kept) > MOST_JUDGED:
        kept = np.random.default_rng(seed).choice(kept, MOST_JUDGED, replace=False)
    groups = len(np.unique(labels[kept]))
    if not 2 <= groups < len(kept):
        return np.nan
    return float(silhouette_score(table[kept], labels[kept]))


def _by_size(labels: np.ndarray) -> np.ndarray:
    """The same groups, numbered from the largest; the first point decides between equals."""
    names, first, sizes = np.unique(labels[labels != NOISE], return_index=True, return_counts=True)
    order = names[np.lexsort((first, -sizes))]
    places = {int(name): place for place, name in enumerate(order)}
    return np.array([places.get(int(label), NOISE) for label in labels], np.int64)


def _count(labels: np.ndarray) -> int:
    return len(set(labels.tolist()) - {NOISE})
