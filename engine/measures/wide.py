"""Types wider than 16 bits: float32 as it is, float64 and all wide integers as float64."""

from __future__ import annotations

import numpy as np

from engine.measures.axes import Profiler
from engine.measures.kernels import BLOCK, CHUNK, refine, refine_below, scan
from engine.measures.moment_sums import MomentSums, safe_exponent, sums_of_constant
from engine.measures.order_statistics import Findings, bin_edges, quantile_ranks
from engine.measures.results import Distribution
from engine.measures.selection import Layout, Selection
from engine.measures.spans import Progress, SliceReader, Tally, in_order

FEW = 1 << 16
"""Up to so many values, sorting a copy is faster than selecting; measured, see benchmarks."""

TABLE_MEMORY = 24 << 20
"""Bytes of the tables of the second pass, shared by all threads; a table set is at most 7.5 MiB."""


class WideTensor:
    """One tensor while its distribution is found.

    Args: as in `distribution_of_wide`.
    """

    def __init__(
        self, reader: SliceReader, layout: Layout, cuts: list[tuple[int, int]], threads: int, progress: Progress
    ) -> None:
        self._reader, self._layout, self._cuts, self._threads = reader, layout, cuts, threads
        self._progress = progress
        self._tops = Tally((2, 65536), threads)

    def scan(self, profiler: Profiler | None, exponent: int = 0) -> tuple[MomentSums, np.ndarray, np.ndarray]:
        """The first pass: moment sums of the values times 2^−exponent, special counts, smallest and largest key."""
        layout, scale = self._layout, 2.0**-exponent

        def scan_span(start: int, stop: int):
            sums, special, extremes = MomentSums(), np.zeros(4, np.int64), np.array([2**64 - 1, 0], np.uint64)
            kept = _views(np.empty(BLOCK, layout.floating), layout)
            part = profiler.part() if profiler else None
            with self._tops.borrowed(stop - start) as table:
                for piece in self._reader.segments(start, stop, row=profiler.num_columns if profiler else 0):
                    scaled = piece if exponent == 0 else _frozen(piece * scale)
                    memory = (*_views(scaled, layout), _words(scaled))
                    found = scan(memory, layout.unsigned(layout.top_shift), table, special, extremes, kept)
                    sums = sums.merged(found)
                    if part:
                        part.add(piece)
            return sums, special, extremes, part

        sums, special, lowest, highest = MomentSums(), np.zeros(4, np.int64), 2**64 - 1, 0
        for length, (more, counted, extremes, part) in in_order(scan_span, self._cuts, self._threads):
            sums, special = sums.merged(more), special + counted
            lowest, highest = min(lowest, int(extremes[0])), max(highest, int(extremes[1]))
            if part:
                profiler.merge(part)
            self._progress.advance(0.5 * length / self._reader.size)
        return sums, special, np.array([lowest, highest], dtype=np.uint64)

    def order_statistics(self, num_zero: int, ranks: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values at the sorted, distinct ranks and the numbers of values below the edges."""
        if self._reader.size <= FEW:
            values = np.sort(self._reader.read(0, self._reader.size))  # NaN go last
            values = values[np.searchsorted(values, -np.inf, side="right") : np.searchsorted(values, np.inf)]
            values = values.astype(np.float64)
            return values[ranks], np.searchsorted(values, edges, side="left")
        selection = Selection(self._layout, self._tops.total().sum(axis=0, dtype=np.int64), num_zero, ranks, edges)
        if selection.is_open:
            tables, hits = self._refine(selection)
            selection.place_edges(tables, hits)
            selection.descend(tables)
        while selection.is_open:
            selection.descend(self._refine_below(selection))
        return selection.rank_values(), selection.num_below

    def _refine(self, selection: Selection) -> tuple[np.ndarray, np.ndarray]:
        """The first further pass: tables and hits of `kernels.refine`, summed over all spans."""
        layout, plan = self._layout, selection.plan()
        shifts = layout.unsigned(layout.top_shift), layout.unsigned(layout.top_shift - 16)

        def refine_span(start: int, stop: int) -> np.ndarray:
            hits = np.zeros(plan.num_hits, np.int64)
            kept = tuple(np.empty((3, CHUNK + 1), layout.unsigned))
            with tables.borrowed(stop - start) as table:
                for piece in self._reader.segments(start, stop):
                    memory = piece.view(layout.unsigned), _words(piece)
                    refine(memory, *shifts, tuple(plan), table, hits, kept)
            return hits

        tables = _tables(selection.prefixes.size + 1, self._threads)
        hits = sum(self._swept(refine_span, 0.2))
        return tables.total(), hits

    def _refine_below(self, selection: Selection) -> np.ndarray:
        prefixes, wanted = selection.pattern_prefixes()
        digit_shift = np.uint64(self._layout.width - selection.num_bits - 16)
        prefix_shift = digit_shift + np.uint64(16)

        def refine_span(start: int, stop: int) -> None:
            kept = np.empty(CHUNK + 1, np.uint64)
            with tables.borrowed(stop - start) as table:
                for piece in self._reader.segments(start, stop):
                    refine_below(piece.view(np.uint64), wanted, prefix_shift, digit_shift, prefixes, table, kept)

        tables = _tables(prefixes.size, self._threads)
        for _ in self._swept(refine_span, 0.1):
            pass
        return tables.total()

    def _swept(self, task, share: float):
        for length, result in in_order(task, self._cuts, self._threads):
            yield result
            self._progress.advance(share * length / self._reader.size)


def distribution_of_wide(
    reader: SliceReader,
    layout: Layout,
    cuts: list[tuple[int, int]],
    threads: int,
    progress: Progress,
    profiler: Profiler | None,
) -> Distribution:
    """The distribution of a tensor whose values `reader` gives as float32 or float64."""
    tensor = WideTensor(reader, layout, cuts, threads, progress)
    sums, special, keys = tensor.scan(profiler)
    num_zero, num_nan, num_posinf, num_neginf = (int(each) for each in special)
    findings = Findings(reader.size, num_nan, num_posinf, num_neginf, num_zero)
    num_values = reader.size - num_nan - num_posinf - num_neginf
    if num_values == 0:
        return findings.without_values()
    low, high = (float(each) for each in layout.values(keys))
    exponent = 0
    if low == high:
        sums = sums_of_constant(low, num_values)
        values, num_below = np.full(1, low), np.where(bin_edges(low, high)[1:-1] > low, num_values, 0)
        ranks = np.zeros(1, dtype=np.int64)
    else:
        exponent = safe_exponent(max(-low, high)) if layout.width == 64 else 0
        before, after, _ = quantile_ranks(num_values)
        ranks = np.union1d(before, after)
        values, num_below = tensor.order_statistics(num_zero, ranks, bin_edges(low, high)[1:-1])
        if exponent:
            sums = WideTensor(reader, layout, cuts, threads, progress).scan(None, exponent)[0]
    before, after = (values[np.searchsorted(ranks, each) % values.size] for each in quantile_ranks(num_values)[:2])
    return findings.distribution(sums, (low, high), (before, after), num_below, exponent)


def _views(values: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return values, values.view(layout.unsigned), values.view(layout.signed)


def _words(values: np.ndarray) -> np.ndarray:
    return values[: values.nbytes // 8 * 8 // values.itemsize].view(np.uint64)


def _frozen(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values


def _tables(num_tables: int, threads: int) -> Tally:
    size = 4 * 65536 * num_tables
    return Tally((num_tables, 65536), max(1, min(threads, TABLE_MEMORY // size)))
