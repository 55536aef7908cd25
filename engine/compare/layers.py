"""Which layer of B is which layer of A, where layers were added, removed or moved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from engine.compare.names import Named, stripped, with_layer
from engine.compare.samples import correlation, sample
from engine.compare.wording import numbers
from engine.sources.base import Source

LIKE = 0.3
"""Mean correlation of two layers' samples above which they may be one; chosen by us: unrelated ones stay below 0.1."""


@dataclass(frozen=True, slots=True)
class LayerMap:
    """By stack: A's layer -> B's layer; a stack that is not in it keeps its numbers."""

    by_stack: dict[str, dict[int, int]] = field(default_factory=dict)

    @property
    def is_identity(self) -> bool:
        return not self.by_stack

    def is_mapped(self, one: Named) -> bool:
        """Whether a tensor of A may have a partner at all: its layer has one, or it is in no layer."""
        layers = self.by_stack.get(one.place.stack)
        return layers is None or one.place.layer is None or one.place.layer in layers

    def in_b(self, one: Named) -> Named:
        """A's tensor with its layer numbered as in B."""
        layers = self.by_stack.get(one.place.stack)
        if layers is None or one.place.layer is None:
            return one
        return replace(one, place=replace(one.place, layer=layers[one.place.layer]))


def align_layers(source_a: Source, a: list[Named], source_b: Source, b: list[Named]) -> tuple[LayerMap, list[str]]:
    """Pair the layers of every stack whose numbers of layers differ, by content and without crossing; and say so."""
    maps: dict[str, dict[int, int]] = {}
    notes: list[str] = []
    for stack in sorted({one.place.stack for one in a} & {one.place.stack for one in b}):
        counts = [len({o.place.layer for o in side if o.place.stack == stack} - {None}) for side in (a, b)]
        if counts[0] == counts[1] or not all(counts):
            continue
        layers_a, layers_b = _layers(source_a, a, stack), _layers(source_b, b, stack)
        if not layers_a or not layers_b:
            continue
        table = np.array([[_likeness(x, y) for y in layers_b.values()] for x in layers_a.values()])
        pairs = _without_crossing(table)
        which = f" of the {stack}" if stack else ""
        if not pairs:
            notes.append(
                f"A has {len(layers_a)} layers{which}, B has {len(layers_b)}, and their contents do not tell which are "
                "the same: they are paired by number."
            )
            continue
        numbers_a, numbers_b = list(layers_a), list(layers_b)
        maps[stack] = {numbers_a[i]: numbers_b[j] for i, j in pairs}
        gone = [number for number in numbers_a if number not in maps[stack]]
        new = [number for number in numbers_b if number not in maps[stack].values()]
        said = [f"layers {numbers(gone)} of A are missing in B"] if gone else []
        said += [f"layers {numbers(new)} of B are new"] if new else []
        notes.append(f"Layers{which} paired by content: {' and '.join(said)}.")
    return LayerMap(maps), notes


def _layers(source: Source, tensors: list[Named], stack: str) -> dict[int, dict[str, np.ndarray]]:
    """Layer -> name without its number -> sample, of the matrices of one stack."""
    layers: dict[int, dict[str, np.ndarray]] = {}
    for one in tensors:
        if one.place.stack == stack and one.place.layer is not None and len(one.info.shape) >= 2:
            name = f"{with_layer(stripped(one.info.name))} {one.info.shape}"
            layers.setdefault(one.place.layer, {})[name] = sample(source, one.info)
    return dict(sorted(layers.items()))


def _likeness(x: dict[str, np.ndarray], y: dict[str, np.ndarray]) -> float:
    """Mean correlation of what two layers have in common, 0 if nothing."""
    common = x.keys() & y.keys()
    return float(np.mean([correlation(x[name], y[name]) for name in common])) if common else 0.0


def _without_crossing(table: np.ndarray) -> list[tuple[int, int]]:
    """The pairs (i, j), rising in both, with the largest sum of likeness above LIKE; by dynamic programming."""
    gain = np.maximum(table - LIKE, 0)
    best = np.zeros((table.shape[0] + 1, table.shape[1] + 1))
    for i in range(table.shape[0]):
        for j in range(table.shape[1]):
            best[i + 1, j + 1] = max(best[i, j + 1], best[i + 1, j], best[i, j] + gain[i, j])
    pairs, (i, j) = [], table.shape
    while i and j:
        if gain[i - 1, j - 1] > 0 and best[i, j] == best[i - 1, j - 1] + gain[i - 1, j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif best[i, j] == best[i - 1, j]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]
