"""Which values stand at given ranks, and how many lie below given edges, without sorting.

The first pass over a tensor counted the upper 16 bits of its patterns, the "tops". So it is known in which top every
wanted rank and every edge lies, and a further pass looks only at weights with one of those tops: a table counts the
next 16 bits where a rank is wanted, and a weight is held against the edges of its own top, usually one. 64-bit patterns
take two more passes for the remaining bits of the ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.measures.kernels import entry_at


@dataclass(frozen=True, slots=True)
class Layout:
    """How a floating-point type is taken apart. `top_shift` is its width less 16."""

    floating: type
    unsigned: type
    signed: type
    top_shift: int

    @property
    def width(self) -> int:
        """Bits of a pattern."""
        return self.top_shift + 16

    @property
    def sign(self) -> int:
        return 1 << (self.top_shift + 15)

    @property
    def ones(self) -> int:
        return 2 * self.sign - 1

    @property
    def infinite_top(self) -> int:
        """The top of +∞; NaN have the same top, or one above."""
        return 0x7F80 if self.top_shift == 16 else 0x7FF0

    def keys(self, values: np.ndarray) -> np.ndarray:
        """(n,) uint64: for each float64, the key of the smallest value of this type that is not below it."""
        nearest = values.astype(self.floating)
        too_low = nearest.astype(np.float64) < values
        nearest[too_low] = np.nextafter(nearest[too_low], self.floating(np.inf))
        nearest[nearest == 0] = -0.0  # the smaller key of the two zeros
        patterns = nearest.view(self.unsigned).astype(np.uint64)
        negative = (patterns & np.uint64(self.sign)) != 0
        return np.where(negative, patterns ^ np.uint64(self.ones), patterns | np.uint64(self.sign))

    def patterns(self, keys: np.ndarray) -> np.ndarray:
        """(n,) of the unsigned type: the patterns that have these keys."""
        positive = (keys & np.uint64(self.sign)) != 0
        return np.where(positive, keys ^ np.uint64(self.sign), keys ^ np.uint64(self.ones)).astype(self.unsigned)

    def values(self, keys: np.ndarray) -> np.ndarray:
        """(n,) float64: the values that have these keys."""
        return self.patterns(keys).view(self.floating).astype(np.float64)


SINGLE = Layout(np.float32, np.uint32, np.int32, 16)
DOUBLE = Layout(np.float64, np.uint64, np.int64, 48)

_TOPS = np.arange(65536)
_RAW_TOP = np.where(_TOPS < 0x8000, 0xFFFF - _TOPS, _TOPS - 0x8000)  # of each key's top, the pattern's
_ZEROS = [0x7FFF, 0x8000]  # the key tops of −0 and +0


class Plan(NamedTuple):
    """What `kernels.refine` looks for; see there."""

    wanted: np.ndarray
    kind: np.ndarray
    table_of: np.ndarray
    limit: np.ndarray
    slot_of: np.ndarray
    edge_start: np.ndarray
    edges: np.ndarray

    @property
    def num_hits(self) -> int:
        return self.edges.size + self.edge_start.size - 1


class Selection:
    """The order statistics and edges wanted of one tensor, and what is known of them so far.

    Args:
        layout: of the tensor's type. tops: (65536,) int64, how often each top occurs.
        num_zero: exact zeros among the values. ranks: (r,) sorted, distinct ranks of finite values, from 0.
        edges: (e,) float64, ascending.

    Attributes:
        num_below: (e,) int64, values below each edge; final after `place_edges`, or if no pass is needed.
        prefixes: (t,) uint64, ascending: the upper `num_bits` bits, as keys, of the ranks that are not yet found.
    """

    def __init__(self, layout: Layout, tops: np.ndarray, num_zero: int, ranks: np.ndarray, edges: np.ndarray) -> None:
        self.layout = layout
        counts = np.zeros(65536, dtype=np.int64)
        counts[_ZEROS[0] + 1 - layout.infinite_top : _ZEROS[0] + 1] = tops[0x8000 : 0x8000 + layout.infinite_top][::-1]
        counts[_ZEROS[1] : _ZEROS[1] + layout.infinite_top] = tops[: layout.infinite_top]
        below = np.concatenate(([0], np.cumsum(counts)))
        is_open = counts > 0
        if counts[_ZEROS].sum() == num_zero:
            is_open[_ZEROS] = False  # they hold nothing but zeros, perhaps most of a sparse tensor

        self._edge_keys = layout.keys(edges)
        edge_top = (self._edge_keys >> np.uint64(layout.top_shift)).astype(np.int64)
        past_zero = (edge_top == _ZEROS[1]) & ~is_open[edge_top] & (self._edge_keys > np.uint64(layout.sign))
        self.num_below = below[edge_top] + np.where(past_zero, counts[edge_top], 0)

        rank_top = np.searchsorted(below[1:], ranks, side="right")
        self._is_sought = is_open[rank_top]
        self._rank_prefix = rank_top.astype(np.uint64)
        self._rest = ranks - below[rank_top]
        self.prefixes = np.unique(self._rank_prefix[self._is_sought])
        self.num_bits = 16

        # A table of all the remaining bits places the edges of its top too.
        has_table = np.isin(edge_top, self.prefixes.astype(np.int64)) & (layout is SINGLE)
        tops_with_edges, num_edges = np.unique(edge_top[is_open[edge_top] & ~has_table], return_counts=True)
        self._single_tops, self._several_tops = tops_with_edges[num_edges == 1], tops_with_edges[num_edges > 1]
        self._by_table = np.flatnonzero(is_open[edge_top] & has_table)
        self._by_limit = np.flatnonzero(np.isin(edge_top, self._single_tops))
        self._by_hit = np.flatnonzero(np.isin(edge_top, self._several_tops))
        self._edge_top, self._counts = edge_top, counts

    @property
    def is_open(self) -> bool:
        """Whether a pass over the tensor is still needed."""
        are_edges_open = self.num_bits == 16 and self._by_limit.size + self._by_hit.size > 0
        return self.num_bits < self.layout.width and (self.prefixes.size > 0 or are_edges_open)

    def plan(self) -> Plan:
        """The plan of the first further pass."""
        wanted, kind = np.zeros(65536, dtype=np.uint8), np.zeros(65536, dtype=np.uint8)
        table_of, slot_of = np.zeros(65536, dtype=np.int16), np.zeros(65536, dtype=np.int16)
        limit = np.zeros(65536, dtype=self.layout.unsigned)
        for bit, tops in ((1, self.prefixes.astype(np.int64)), (2, self._single_tops), (4, self._several_tops)):
            wanted[_RAW_TOP[tops]] = 1
            kind[_RAW_TOP[tops]] |= bit
        table_of[_RAW_TOP[self.prefixes.astype(np.int64)]] = np.arange(self.prefixes.size)
        slot_of[_RAW_TOP[self._several_tops]] = np.arange(self._several_tops.size)
        # Negative patterns run against their keys: there the pattern after the edge's is the first below the edge.
        is_negative = self._single_tops < _ZEROS[1]
        limit[_RAW_TOP[self._single_tops]] = self.layout.patterns(self._edge_keys[self._by_limit]) + is_negative
        edge_start = np.searchsorted(self._edge_top[self._by_hit], np.append(self._several_tops, 65536))
        edges = self._edge_keys[self._by_hit]
        return Plan(wanted, kind, table_of, limit, slot_of, edge_start.astype(np.int32), edges)

    def pattern_prefixes(self) -> tuple[np.ndarray, np.ndarray]:
        """The prefixes as patterns, ascending, and the (65536,) uint8 sieve of their tops; for the later passes."""
        patterns = np.sort(self._flipped(self.prefixes))
        wanted = np.zeros(65536, dtype=np.uint8)
        wanted[(patterns >> np.uint64(self.num_bits - 16)).astype(np.int64)] = 1
        return patterns, wanted

    def place_edges(self, tables: np.ndarray, hits: np.ndarray) -> None:
        """Take up what the first further pass counted of the edges; to be followed by `descend`."""
        several, tops = self._edge_top[self._by_hit], self._edge_top[self._by_limit]
        slots = np.searchsorted(self._several_tops, several)
        up_to = np.concatenate(([0], np.cumsum(hits)))
        first = np.searchsorted(several, several) + slots  # where the slot of the edge begins among the hits
        self.num_below[self._by_hit] += up_to[np.arange(several.size) + slots + 1] - up_to[first]
        past = tables[-1][_RAW_TOP[tops]]
        self.num_below[self._by_limit] += np.where(tops < _ZEROS[1], past, self._counts[tops] - past)
        for edge in self._by_table:
            top = np.uint64(self._edge_top[edge])
            table = self._in_key_order(tables[np.searchsorted(self.prefixes, top)], top)
            self.num_below[edge] += table[: int(self._edge_keys[edge] & np.uint64(0xFFFF))].sum(dtype=np.int64)

    def descend(self, tables: np.ndarray) -> None:
        """Take up what one pass counted of the ranks: 16 more of their bits.

        Args: tables: (t, 65536) of integers, one for each prefix, in the order of `prefixes` in the first further
            pass, of `pattern_prefixes` in the others.
        """
        by_key = np.arange(self.prefixes.size)
        if self.num_bits > 16:
            by_key = np.argsort(np.argsort(self._flipped(self.prefixes)))
        prefix, rest = self._rank_prefix.copy(), self._rest.copy()
        for index, current in enumerate(self.prefixes):
            table = np.ascontiguousarray(self._in_key_order(tables[by_key[index]], current), dtype=np.int64)
            for rank in np.flatnonzero(self._is_sought & (self._rank_prefix == current)):
                digit, rest[rank] = entry_at(table, rest[rank])
                prefix[rank] = int(current) << 16 | digit
        self._rank_prefix, self._rest = prefix, rest
        self.num_bits += 16
        self.prefixes = np.unique(prefix[self._is_sought])

    def rank_values(self) -> np.ndarray:
        """(r,) float64: the values at the ranks, once nothing is open."""
        return np.where(self._is_sought, self.layout.values(self._rank_prefix), 0.0)

    def _in_key_order(self, table: np.ndarray, prefix: np.uint64) -> np.ndarray:
        is_negative = not int(prefix) >> (self.num_bits - 1)
        return table[::-1] if is_negative else table

    def _flipped(self, prefixes: np.ndarray) -> np.ndarray:
        """Prefixes of keys as prefixes of patterns."""
        sign = np.uint64(1 << (self.num_bits - 1))
        return np.where((prefixes & sign) != 0, prefixes ^ sign, prefixes ^ (sign | (sign - np.uint64(1))))
