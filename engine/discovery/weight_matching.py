"""The order of B's units and channels in which its weights are most like A's: all permutations that change no output.

`engine.compare.alignment` asks which head is which and leaves the residual stream as it is. Here the stream's channels
move as well, as independent models have them in any order. One pass puts units in order for a given stream, the next
the stream for given units, until nothing is gained.

Source: weight matching, Ainsworth et al. 2022 ("Git Re-Basin", arXiv 2209.04836).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.compare.alignment import assignment
from engine.compare.matching import Match, Matching
from engine.compare.units import Block, unit_blocks
from engine.compare.views import MatchedSource
from engine.sources.base import Source

MAX_WEIGHTS = 1 << 27
"""Weights of a pair that are looked at: of more, those of evenly spaced layers; chosen by us: 2 GiB for all copies."""

MAX_PASSES, SMALLEST_GAIN = 12, 1e-5
"""Passes over stream and units, and the gain in mean correlation below which they end; chosen by us."""

_READS_STREAM = frozenset({"query", "key", "value", "qkv", "ffn_in", "ffn_gate", "ffn_gate_in"})
_WRITES_STREAM = frozenset({"output", "ffn_out"})
_TABLES = frozenset({"token_embedding", "position_embedding", "segment_embedding", "lm_head"})

Matrices = dict[str, np.ndarray]


@dataclass(frozen=True)
class Layout:
    """Which axes of which matrices may be permuted, and with what.

    Attributes:
        matches: the matrices by A's name. blocks: heads and feed-forward units, as `engine.compare.units` finds them.
        by_column: matrices that are looked at transposed, so that the stream runs along their columns.
        stream: matrices with the residual stream along their columns; empty if it cannot be told.
        is_rotary: whether the channels of query and key stay where they are.
    """

    matches: dict[str, Match]
    blocks: tuple[Block, ...]
    by_column: frozenset[str]
    stream: frozenset[str]
    is_rotary: bool

    @property
    def num_weights(self) -> int:
        return sum(match.num_compared for match in self.matches.values())


@dataclass(frozen=True, eq=False)
class Fit:
    """One way to lay B over A.

    Attributes:
        name: "as stored", "units" (heads and feed-forward units moved) or "units and stream".
        correlations: matrix -> Pearson correlation of its entries with their partners.
        rows: matrix -> B's row for each of A's, as looked at; without it, as stored. stream: B's channel for each.
        side_bits: what it takes to say the permutations: Σ log₂ n!.
    """

    name: str
    correlations: dict[str, float]
    rows: dict[str, np.ndarray] = field(default_factory=dict)
    stream: np.ndarray | None = None
    side_bits: float = 0.0

    def placed(self, name: str, array: np.ndarray, layout: Layout) -> np.ndarray:
        """A matrix of B, looked at as `read_matrices` gives it, in A's order."""
        array = array[self.rows[name]] if name in self.rows else array
        return array[:, self.stream] if self.stream is not None and name in layout.stream else array


def layout(source_a: Source, matching: Matching, max_weights: int = MAX_WEIGHTS) -> Layout:
    """The matrices that A and B share, entry for entry, and how they hang together.

    Vectors are left out: their few numbers have signs and means of their own. Of more than `max_weights` weights, the
    matrices of evenly spaced layers are kept.
    """
    matches = {
        m.name_a: m
        for m in matching.matches
        if m.is_comparable and m.matched_by != "tied" and m.place.part == "weight" and _is_matrix(m.compared_shape)
    }
    matches = _within(matches, max_weights)
    blocks = tuple(
        block
        for block in unit_blocks(source_a, matching)
        if all(side.name in matches for side in block.sides if side.part == "weight")
    )
    sides = {side.name: side for block in blocks for side in block.sides if side.part == "weight"}
    by_column = frozenset(name for name, side in sides.items() if side.is_by_column)
    stream, turned = _stream(matches, blocks, sides)
    is_rotary = not any(match.place.role == "position_embedding" for match in matching.matches)
    return Layout(matches, blocks, by_column | turned, stream, is_rotary)


def read_matrices(source: Source, matching: Matching, plan: Layout, is_b: bool) -> Matrices:
    """The matrices of A, or B's in A's layout, with the stream along their columns: float32; not finite becomes 0."""
    view = MatchedSource(source, matching) if is_b else source
    found = {}
    for name, match in plan.matches.items():
        array = np.asarray(view.read(name))[: match.compared_shape[0]].astype(np.float32)
        array = array.reshape(len(array), -1)
        found[name] = np.nan_to_num(array.T if name in plan.by_column else array, posinf=0, neginf=0)
    return found


def fits(a: Matrices, b: Matrices, plan: Layout, check: Callable[[], None] = lambda: None) -> list[Fit]:
    """Every way to lay B over A that there is: as stored, with units in order, with units and stream in order.

    Args: a, b: as `read_matrices` gives them. check: called between steps; may raise Cancelled.
    """
    a, b = ({name: standard(array) for name, array in side.items()} for side in (a, b))
    found = [Fit("as stored", _correlations(a, b, {}, None, plan))]
    if not plan.blocks:
        return found
    work = _Work(a, b, plan, check)
    rows = work.unit_rows(None)
    found.append(Fit("units", _correlations(a, b, rows, None, plan), rows, None, work.side_bits()))
    if plan.stream:
        stream, rows = work.whole()
        width = math.lgamma(len(stream) + 1) / math.log(2)
        correlations = _correlations(a, b, rows, stream, plan)
        found.append(Fit("units and stream", correlations, rows, stream, work.side_bits() + width))
    return found


def standard(array: np.ndarray) -> np.ndarray:
    """Entries of mean 0 and variance 1, float32; a constant matrix becomes 0."""
    mean, spread = float(array.mean(dtype=np.float64)), float(array.std(dtype=np.float64))
    return ((array - np.float32(mean)) / np.float32(spread if spread > 0 else 1)).astype(np.float32, copy=False)


def _correlations(a: Matrices, b: Matrices, rows: dict, stream: np.ndarray | None, plan: Layout) -> dict[str, float]:
    fit = Fit("", {}, rows, stream)
    return {
        name: float(np.clip(np.dot(a[name].ravel(), fit.placed(name, b[name], plan).ravel()) / a[name].size, -1, 1))
        for name in plan.matches
    }


class _Work:
    """The matrices of both, and the orders found so far."""

    def __init__(self, a: Matrices, b: Matrices, plan: Layout, check: Callable[[], None]) -> None:
        self._a, self._b, self._plan, self._check = a, b, plan, check

    def whole(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(stream, rows), found from what is fixed first: the tables, whose rows are tokens or positions."""
        in_blocks = {side.name for block in self._plan.blocks for side in block.sides}
        stream = self._stream({}, self._plan.stream - in_blocks)
        best, last = (stream, {}), -math.inf
        for _ in range(MAX_PASSES):
            rows = self.unit_rows(stream)
            stream = self._stream(rows, self._plan.stream)
            reached = self._mean(rows, stream)
            if reached > last:
                best = stream, rows
            if reached < last + SMALLEST_GAIN:
                break
            last = reached
        return best

    def side_bits(self) -> float:
        """Σ log₂ n! over what a pass over the units puts in order."""
        whole = 0.0
        for block in self._plan.blocks:
            if not block.is_attention:
                whole += math.lgamma(block.num_units + 1)
                continue
            value = next(side for side in block.sides if side.role == "value" and side.part == "weight")
            channels = math.lgamma(len(self._a[value.name]) // block.num_groups + 1)
            whole += math.lgamma(block.num_groups + 1) + block.num_groups * channels * (
                1 if self._plan.is_rotary else 2
            )
            whole += block.num_groups * math.lgamma(block.num_units // block.num_groups + 1)
        return whole / math.log(2)

    def unit_rows(self, stream: np.ndarray | None) -> dict[str, np.ndarray]:
        """Matrix -> B's rows in A's order, for a stream that is in order."""
        rows = {}
        for block in self._plan.blocks:
            self._check()
            sides = [side for side in block.sides if side.part == "weight"]
            a = {side.role: self._a[side.name] for side in sides}
            b = {
                side.role: Fit("", {}, {}, stream).placed(s.name, self._b[s.name], self._plan)
                for side in sides
                for s in [side]
            }
            orders = head_rows(a, b, block, self._plan.is_rotary) if block.is_attention else unit_order(a, b)
            rows |= {side.name: orders[side.role] for side in sides}
        return rows

    def _stream(self, rows: dict[str, np.ndarray], names: frozenset[str]) -> np.ndarray:
        """B's channel for each of A's, from the matrices of these names with their rows in order."""
        self._check()
        width = next(self._a[name].shape[1] for name in self._plan.stream)
        table = np.zeros((width, width), np.float32)
        for name in sorted(names):
            b = self._b[name][rows[name]] if name in rows else self._b[name]
            table += self._a[name].T @ b
        return assignment(table) if names else np.arange(width)

    def _mean(self, rows: dict, stream: np.ndarray) -> float:
        found = _correlations(self._a, self._b, rows, stream, self._plan)
        return sum(rho * self._a[name].size for name, rho in found.items()) / self._plan.num_weights


def unit_order(a: Matrices, b: Matrices) -> dict[str, np.ndarray]:
    """Role -> B's feed-forward unit for each of A's: the largest sum of products of their weights."""
    order = assignment(sum(a[role] @ b[role].T for role in a))
    return dict.fromkeys(a, order)


def head_rows(a: Matrices, b: Matrices, block: Block, is_rotary: bool) -> dict[str, np.ndarray]:
    """Role -> B's rows in A's order: groups of heads, query heads within them, channels within heads."""
    groups, share = block.num_groups, block.num_units // block.num_groups
    a, b = ({role: _heads(each, role, block) for role, each in side.items()} for side in (a, b))
    channels = {}
    table = np.zeros((groups, groups))
    for i in range(groups):
        for j in range(groups):
            channels[i, j], table[i, j] = _match_group(a, b, (i, j), share, is_rotary)
    chosen = assignment(table)
    rows: dict[str, list[np.ndarray]] = {role: [] for role in a}
    for g, other in enumerate(chosen):
        qk, vo, heads = channels[g, other]
        rows["key"].append(other * len(qk) + qk)
        rows["value"].append(other * len(vo) + vo)
        for head in heads:
            rows["query"].append((other * share + head) * len(qk) + qk)
            rows["output"].append((other * share + head) * len(vo) + vo)
    return {role: np.concatenate(parts) for role, parts in rows.items()}


def _match_group(
    a: Matrices, b: Matrices, pair: tuple[int, int], share: int, is_rotary: bool
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], float]:
    """((query-key channels, value channels, query heads), gain) of laying one group of B over one of A."""
    g, other = pair
    mine, theirs = (slice(each * share, (each + 1) * share) for each in pair)
    qk_table, vo_table = a["key"][g] @ b["key"][other].T, a["value"][g] @ b["value"][other].T
    if share == 1:
        qk_table = qk_table + a["query"][g] @ b["query"][other].T
        vo_table = vo_table + a["output"][g] @ b["output"][other].T
    qk = np.arange(len(qk_table)) if is_rotary else assignment(qk_table)
    vo = assignment(vo_table)
    gain = float(qk_table[np.arange(len(qk)), qk].sum() + vo_table[np.arange(len(vo)), vo].sum())
    if share == 1:
        return (qk, vo, np.zeros(1, np.int64)), gain
    table = np.einsum("icw,jcw->ij", a["query"][mine], b["query"][theirs][:, qk])
    table = table + np.einsum("icw,jcw->ij", a["output"][mine], b["output"][theirs][:, vo])
    heads = assignment(table)
    return (qk, vo, heads), gain + float(table[np.arange(share), heads].sum())


def _heads(rows: np.ndarray, role: str, block: Block) -> np.ndarray:
    heads = block.num_groups if role in ("key", "value") else block.num_units
    return rows.reshape(heads, -1, rows.shape[1])


def _is_matrix(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 2 and shape[0] >= 2 and math.prod(shape[1:]) >= 2


def _within(matches: dict[str, Match], max_weights: int) -> dict[str, Match]:
    """As many layers as fit, evenly spaced, and what is outside the layers; if even that is too much, the smallest."""
    layers = sorted({m.place.layer for m in matches.values() if m.place.layer is not None})
    for count in range(len(layers), 0, -1):
        kept = {layers[i] for i in np.unique(np.linspace(0, len(layers) - 1, count).astype(int))}
        found = {name: m for name, m in matches.items() if m.place.layer is None or m.place.layer in kept}
        if sum(match.num_compared for match in found.values()) <= max_weights:
            return found
    found, used = {}, 0
    for name, match in sorted(matches.items(), key=lambda item: item[1].num_compared):
        used += match.num_compared
        if used <= max_weights:
            found[name] = match
    return found


def _stream(matches: dict[str, Match], blocks: Sequence[Block], sides: dict) -> tuple[frozenset[str], frozenset[str]]:
    """(matrices with the stream along their columns as looked at, those of them that must be turned for it)."""
    widths = {matches[n].compared_shape[0 if side.is_by_column else 1] for n, side in sides.items()}
    if len(widths) != 1 or len({block.stack for block in blocks}) != 1:
        return frozenset(), frozenset()
    width, stream, turned = widths.pop(), set(sides), set()
    for name, match in matches.items():
        shape, role = match.compared_shape, match.place.role
        if name in sides or len(shape) != 2:
            continue
        is_conv1d = any(word.startswith("c_") for word in name.split("."))
        is_across = role in (_READS_STREAM if is_conv1d else _WRITES_STREAM)
        if (role in _TABLES or role in _READS_STREAM or role in _WRITES_STREAM) and shape[
            0 if is_across else 1
        ] == width:
            stream.add(name)
            turned |= {name} if is_across else set()
    return frozenset(stream), frozenset(turned)
