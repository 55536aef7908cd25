"""Do models lie in one subspace of weight space? Asked of a model that had no part in drawing it.

The directions of k models always hold all of those k models: the share of variance that the first few explain says how
many models there are, not that weights have a universal subspace (claimed by arXiv 2512.05117). The honest number is
the share of a left-out model that the others' directions explain, beside what their mean alone explains, and beside
the same of nulls, which have nothing in common. Models of one start or one parent would explain each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.discovery.nulls import DEFAULT_NULL, null_matrix
from engine.discovery.sharing_dividend import seed
from engine.sources.base import Source

SIBLINGS = 0.1
"""Correlation of equal places from which two models count as relatives; chosen by us: of one start 0.3 … 0.6 is usual,
independent ones stay below 0.01."""


@dataclass(frozen=True, slots=True)
class Subspace:
    """How much of a model the directions of others explain, with so many directions.

    Attributes:
        num_directions: 1, 2, …, the number of other models.
        left_out: share of a model's sum of squares, explained by so many leading directions of all others.
        unrelated: the same, with a model's relatives left out of the others; NaN where nobody is left.
        mean_only: explained by the mean of the unrelated others alone.
        null: what `unrelated` is of nulls. in_sample: explained by directions to which the model itself belongs.
    """

    num_directions: tuple[int, ...]
    left_out: tuple[float, ...]
    unrelated: tuple[float, ...]
    mean_only: float
    null: tuple[float, ...]
    in_sample: tuple[float, ...]
    num_weights: int
    num_models: int
    num_lineages: int

    @property
    def has_siblings(self) -> bool:
        return self.num_lineages < self.num_models


def gram(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """(models, models) inner products in float64, of arrays of one shape, each with its own mean taken away.

    What is not finite counts as 0. A common offset of all weights would be a direction that anything shares.
    """
    flat = np.stack([np.nan_to_num(np.asarray(v, np.float32).ravel(), posinf=0, neginf=0) for v in vectors])
    flat -= flat.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    whole = np.zeros((len(flat), len(flat)))
    for start in range(0, flat.shape[1], 1 << 20):
        part = flat[:, start : start + (1 << 20)].astype(np.float64)
        whole += part @ part.T
    return whole


def explained(products: np.ndarray, model: int, others: Sequence[int], num_directions: int) -> float:
    """Sum of squares of one model inside the leading directions of others, from inner products alone.

    The directions are the others' principal axes about 0: eigenvectors of their Gram matrix.

    Args: products: (models, models) of one tensor. Returns: 0 … products[model, model].
    """
    others = np.asarray(others, int)
    if not len(others) or not num_directions:
        return 0.0
    values, vectors = np.linalg.eigh(products[np.ix_(others, others)])
    order = np.argsort(values)[::-1][:num_directions]
    kept = order[values[order] > 1e-10 * max(values.max(), 1e-300)]
    along = products[model, others] @ vectors[:, kept]
    return float(np.sum(along * along / values[kept]))


def explained_by_mean(products: np.ndarray, model: int, others: Sequence[int]) -> float:
    """Sum of squares of one model along the mean of others; 0 if the mean is 0."""
    others = np.asarray(others, int)
    length = products[np.ix_(others, others)].sum() if len(others) else 0.0
    return float(products[model, others].sum() ** 2 / length) if length > 0 else 0.0


def subspace(
    tensors: Sequence[np.ndarray], nulls: Sequence[np.ndarray], lineages: Sequence[int], num_weights: int
) -> Subspace:
    """The leave-one-out test over several tensors, each with a subspace of its own, summed.

    Args:
        tensors: (models, models) inner products, one a tensor, as `gram` gives them. nulls: the same of their nulls.
        lineages: (models,) which models are relatives.
    Returns: shares of all tensors' sums of squares, 0 … 1; NaN where undefined.
    """
    models = range(len(lineages))
    directions = tuple(range(1, len(lineages)))
    apart = {m: [o for o in models if lineages[o] != lineages[m]] for m in models}
    others = {m: [o for o in models if o != m] for m in models}
    kept = {m: rest for m, rest in apart.items() if rest}
    everyone = {m: list(models) for m in models}

    def share(products: Sequence[np.ndarray], sets: dict[int, list[int]], count: int) -> float:
        return _share(products, sets, lambda table, model, rest: explained(table, model, rest, count))

    return Subspace(
        directions,
        tuple(share(tensors, others, count) for count in directions),
        tuple(share(tensors, kept, count) for count in directions),
        _share(tensors, kept, explained_by_mean),
        tuple(share(nulls, kept, count) for count in directions),
        tuple(share(tensors, everyone, count) for count in directions),
        num_weights,
        len(lineages),
        len(set(lineages)),
    )


def _share(tensors: Sequence[np.ndarray], sets: dict[int, list[int]], how: Callable[..., float]) -> float:
    whole = sum(float(table[model, model]) for table in tensors for model in sets)
    found = sum(how(table, model, rest) for table in tensors for model, rest in sets.items())
    return found / whole if whole > 0 else math.nan


def common_matrices(sources: Sequence[Source], max_weights: int) -> list[str]:
    """Names of the matrices that all models have in one shape, the smallest first until `max_weights` are reached."""
    tables = [{info.name: info.shape for info in source.infos() if len(info.shape) >= 2} for source in sources]
    first = tables[0]
    names = [name for name, shape in first.items() if all(table.get(name) == shape for table in tables)]
    found, used = [], 0
    for name in sorted(names, key=lambda one: (math.prod(first[one]), one)):
        used += math.prod(first[name])
        if used <= max_weights:
            found.append(name)
    return [name for name in names if name in set(found)]


def tensor_products(
    sources: Sequence[Source], name: str, null: str = DEFAULT_NULL, draw: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(inner products of one tensor over all models, the same of a null of each)."""
    arrays = [np.nan_to_num(np.asarray(source.read(name)).astype(np.float32), posinf=0, neginf=0) for source in sources]
    arrays = [array.reshape(len(array), -1) for array in arrays]
    nulls = [null_matrix(null, array, seed(name, draw, side)) for side, array in enumerate(arrays)]
    return gram(arrays), gram(nulls)


def lineages_of(correlations: np.ndarray, threshold: float = SIBLINGS) -> list[int]:
    """(models,) numbers from 0: models that correlate above the threshold, directly or through others, share one.

    Args: correlations: (models, models) of weights in equal places; NaN where two cannot be compared.
    """
    found = list(range(len(correlations)))
    for i in range(len(found)):
        for j in range(i):
            if correlations[i, j] > threshold and found[i] != found[j]:
                old, new = max(found[i], found[j]), min(found[i], found[j])
                found = [new if each == old else each for each in found]
    numbers = {each: number for number, each in enumerate(dict.fromkeys(found))}
    return [numbers[each] for each in found]
