"""Orders of a matrix's rows that show what lies beside what: by norm, by seriation, by hierarchical clustering.

Sorting finds neighbours in anything, also in noise: the best of many random lines resemble each other by chance. So
every order comes with two numbers that belong together, the correlation of neighbouring lines after sorting, and the
same for a copy whose entries were shuffled and then sorted in the same way. Only what exceeds the second is structure.

Columns are the rows of the transposed matrix.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.sources.base import TensorInfo

Kind = Literal["file order", "norm", "seriation", "hierarchical"]

ORDERS: tuple[Kind, ...] = ("file order", "norm", "seriation", "hierarchical")

MAX_ENTRIES = 1 << 26
"""Of a tensor that is sorted: its lines are held in memory as float32, 256 MiB; chosen by us."""

MAX_LINES = 1 << 18
"""That are sorted; the browser gets the number of each, 1 MiB; chosen by us."""

LEAF_LINES = 1000
"""Lines a hierarchy is built of one by one. Its best leaf order takes time with their third power: some 2 s for 1,000
lines of noise, 8 s for 1,500 (measured). More lines are grouped first."""

NUM_GROUPS = 800
"""Groups that more lines are gathered into; chosen by us."""

GROUP_DIRECTIONS = 32
"""Leading directions in which lines are grouped; chosen by us."""

_OVERSAMPLING, _ITERATIONS = 10, 8
"""Of the randomised singular vectors; Halko, Martinsson & Tropp 2011 advise 5 to 10, and more iterations for the flat
spectra that weights have."""

_STILL = 1e-3
"""Fall of the mean distance from line to group centre that ends k-means; lines have unit length; chosen by us."""

_BLOCK_ENTRIES = 1 << 22


def check_sortable(info: TensorInfo) -> None:
    """Raises: MeasureError if a tensor is too large to be sorted."""
    rows, columns = matrix_shape(info.shape)
    if rows * columns <= MAX_ENTRIES and max(rows, columns) <= MAX_LINES:
        return
    raise MeasureError(
        f"Tensor {info.name!r} is too large to be sorted: it has {rows:,} × {columns:,} entries, and sorting holds up "
        f"to {MAX_ENTRIES:,} entries and {MAX_LINES:,} rows or columns in memory.",
        "It is shown in file order. Zooming, sums and norms along the edges, and statistics work at any size.",
    )


def line_order(matrix: np.ndarray, kind: Kind) -> np.ndarray:
    """The order of a matrix's rows.

    - "file order": as they are.
    - "norm": falling √Σx², ties in file order.
    - "seriation": by the angle of each line in the plane of the two leading singular vectors, cut where the gap between
      angles is widest. Lines are centred and of unit length, so the plane is that of their correlations.
    - "hierarchical": leaves of an average-linkage tree over the distance √(2 − 2r) of the lines' correlation r, turned
      so that neighbouring leaves are as near as the tree allows. Beyond `LEAF_LINES` lines, k-means gathers them into
      `NUM_GROUPS` groups (in their `GROUP_DIRECTIONS` leading directions), the tree orders the groups, and the lines of
      a group lie along the way from the group before to the group after.

    Args:
        matrix: (n, d), any real type; NaN and ±Inf count as the mean of their line.
    Returns: (n,) int64, the row at each place; a permutation, always the same for the same matrix. Of the last two
        orders, read from the end that is nearer to row 0.
    Source: angular order, Friendly 2002 (Corrgrams); optimal leaf order, Bar-Joseph, Gifford & Jaakkola 2001.
    """
    num_lines = matrix.shape[0]
    if kind == "file order" or num_lines < 2 or matrix.shape[1] == 0:
        return np.arange(num_lines)
    if kind == "norm":
        return np.argsort(-_norms(matrix), kind="stable")
    if num_lines < 3:
        return np.arange(num_lines)
    lines = _standardised(matrix)
    found = _angular(lines) if kind == "seriation" else _hierarchical(lines)
    place_of_first = int(np.flatnonzero(found == 0)[0])
    return np.ascontiguousarray(found[::-1] if 2 * place_of_first > num_lines - 1 else found, np.int64)


def neighbour_correlation(matrix: np.ndarray, order: np.ndarray | None = None) -> float:
    """Mean Pearson correlation of each row with the next one; pairs with a constant row are left out.

    Args: matrix: as in `line_order`. order: (n,) permutation; None for the rows as they are.
    Returns: −1 … 1; NaN without a pair.
    """
    order = np.arange(matrix.shape[0]) if order is None else order
    total, count = 0.0, 0
    step = max(2, _BLOCK_ENTRIES // max(1, matrix.shape[1]))
    for start in range(0, order.size - 1, step):
        lines = _standardised(matrix[order[start : start + step + 1]])
        is_varied = lines.any(axis=1)
        pairs = np.einsum("ij,ij->i", lines[1:], lines[:-1], dtype=np.float64)
        total += float(pairs.sum())
        count += int((is_varied[1:] & is_varied[:-1]).sum())
    return total / count if count else float("nan")


def shuffled(matrix: np.ndarray, seed: int = 0) -> np.ndarray:
    """The null: a float32 copy with all entries in random places, so that every value stays and all structure goes."""
    flat = matrix.astype(np.float32).reshape(-1)
    np.random.default_rng(seed).shuffle(flat)
    return flat.reshape(matrix.shape)


def _norms(matrix: np.ndarray) -> np.ndarray:
    norms = np.zeros(matrix.shape[0])
    for rows, block in _blocks(matrix):
        norms[rows] = np.sqrt(np.square(np.where(np.isfinite(block), block, 0.0)).sum(axis=1))
    return norms


def _standardised(matrix: np.ndarray) -> np.ndarray:
    """Rows less their mean, of unit length; float32; zero where a row is constant."""
    lines = np.zeros(matrix.shape, np.float32)
    for rows, block in _blocks(matrix):
        is_finite = np.isfinite(block)
        is_whole = bool(is_finite.all())
        sums = block.sum(axis=1) if is_whole else np.where(is_finite, block, 0.0).sum(axis=1)
        means = sums / np.maximum(1, is_finite.sum(axis=1))
        block = block - means[:, None]
        if not is_whole:
            block[~is_finite] = 0.0
        largest = np.abs(block).max(axis=1, keepdims=True, initial=0.0)
        is_varied = largest > 1e-12 * np.abs(means[:, None])  # less is rounding of a constant line
        block = np.divide(block, largest, out=np.zeros_like(block), where=is_varied)
        norms = np.sqrt(np.square(block).sum(axis=1, keepdims=True))
        lines[rows] = np.divide(block, norms, out=block, where=norms > 0)
    return lines


def _blocks(matrix: np.ndarray):
    """(rows, those rows as float64), a few million entries at a time."""
    step = max(1, _BLOCK_ENTRIES // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], step):
        rows = slice(start, start + step)
        yield rows, matrix[rows].astype(np.float64)


def _leading(lines: np.ndarray, count: int) -> np.ndarray:
    """(n, count): the lines' places along their leading singular directions, U·S; randomised, with a fixed seed.

    Source: Halko, Martinsson & Tropp 2011, algorithm 4.4.
    """
    width = min(count + _OVERSAMPLING, *lines.shape)
    start = np.random.default_rng(0).standard_normal((lines.shape[1], width), dtype=np.float32)
    basis = np.linalg.qr(lines @ start)[0]
    for _ in range(_ITERATIONS):
        basis = np.linalg.qr(lines @ np.linalg.qr(lines.T @ basis)[0])[0]
    left, values, _ = np.linalg.svd(basis.T @ lines, full_matrices=False)
    return (basis @ left)[:, :count] * values[:count]


def _angular(lines: np.ndarray) -> np.ndarray:
    places = _leading(lines, 2)
    if places.shape[1] < 2:
        return np.argsort(places[:, 0], kind="stable")
    angles = np.arctan2(places[:, 1], places[:, 0])
    order = np.argsort(angles, kind="stable")
    gaps = np.diff(np.append(angles[order], angles[order[0]] + 2 * np.pi))
    return np.roll(order, -(int(np.argmax(gaps)) + 1))


def _hierarchical(lines: np.ndarray) -> np.ndarray:
    if lines.shape[0] > LEAF_LINES:
        return _grouped(lines)
    return _leaves(np.sqrt(np.maximum(0.0, 2.0 - 2.0 * (lines @ lines.T))))


def _leaves(distances: np.ndarray) -> np.ndarray:
    """Leaves of the tree over an (n, n) matrix of distances."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    np.fill_diagonal(distances, 0.0)
    condensed = squareform(distances.astype(np.float64), checks=False)
    return leaves_list(optimal_leaf_ordering(linkage(condensed, "average"), condensed))


def _grouped(lines: np.ndarray) -> np.ndarray:
    """Groups in the order of their tree, and the lines of each along the way from the group before to the one after."""
    from scipy.cluster.vq import kmeans, vq

    places = _leading(lines, GROUP_DIRECTIONS).astype(np.float64)
    seeds = places[np.random.default_rng(0).choice(places.shape[0], NUM_GROUPS, replace=False)]
    centres, _ = kmeans(places, seeds, thresh=_STILL)
    group, _ = vq(places, centres)
    if len(centres) < 3:
        return np.argsort(group, kind="stable")
    squares = np.square(centres).sum(axis=1)
    distances = np.sqrt(np.maximum(0.0, squares[:, None] + squares - 2.0 * (centres @ centres.T)))
    leaves = _leaves(distances)
    ways = centres[np.append(leaves[1:], leaves[-1])] - centres[np.append(leaves[:1], leaves[:-1])]
    rank = np.argsort(leaves)  # of a group, its place among the leaves
    along = np.einsum("ij,ij->i", places, ways[rank[group]])
    return np.lexsort((along, rank[group]))
