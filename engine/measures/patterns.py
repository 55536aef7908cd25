"""8- and 16-bit types: count how often each bit pattern occurs; everything else follows exactly."""

from __future__ import annotations

import numpy as np

from engine.measures.axes import Profiler
from engine.measures.kernels import count_patterns
from engine.measures.moment_sums import sums_of_constant, sums_of_counted
from engine.measures.order_statistics import Findings, bin_edges, quantile_ranks
from engine.measures.pattern_values import pattern_values
from engine.measures.results import Distribution
from engine.measures.spans import Progress, SliceReader, Tally, in_order


def distribution_of_patterns(
    reader: SliceReader,
    dtype: np.dtype,
    cuts: list[tuple[int, int]],
    threads: int,
    progress: Progress,
    profiler: Profiler | None,
) -> Distribution:
    """The distribution of a tensor of `dtype`, whose patterns `reader` gives as uint8 or uint16."""
    meaning = pattern_values(dtype)
    counts = _counts(reader, cuts, threads, progress, profiler)
    num_nan, num_posinf, num_neginf = (int(counts[each].sum()) for each in meaning[2:])
    by_value = counts[meaning.order]
    present = np.flatnonzero(by_value)
    values, counts = meaning.values[meaning.order[present]], by_value[present]
    findings = Findings(reader.size, num_nan, num_posinf, num_neginf, int(counts[values == 0].sum()))
    if values.size == 0:
        return findings.without_values()
    up_to = np.cumsum(counts)
    before, after, _ = quantile_ranks(int(up_to[-1]))
    edges = bin_edges(float(values[0]), float(values[-1]))
    return findings.distribution(
        sums_of_constant(float(values[0]), int(up_to[-1])) if values.size == 1 else sums_of_counted(values, counts),
        extremes=(float(values[0]), float(values[-1])),
        quantile_values=tuple(values[np.searchsorted(up_to, ranks, side="right")] for ranks in (before, after)),
        num_below=np.concatenate(([0], up_to))[np.searchsorted(values, edges[1:-1], side="left")],
    )


def _counts(reader, cuts, threads, progress, profiler) -> np.ndarray:
    """(256 or 65536,) int64: how often each pattern occurs."""
    tally = Tally((2, 65536), threads)

    def count_span(start: int, stop: int):
        part = profiler.part() if profiler else None
        strays = []
        with tally.borrowed(stop - start) as table:
            for piece in reader.segments(start, stop, row=profiler.num_columns if profiler else 0):
                words, stray = _words(piece)
                count_patterns(words, table)
                strays.append(stray)
                if part:
                    part.add(piece)
        return np.concatenate(strays), part

    num_patterns = 1 << 8 * reader.itemsize
    counts = np.zeros(num_patterns, dtype=np.int64)
    for length, (strays, part) in in_order(count_span, cuts, threads):
        counts += np.bincount(strays, minlength=num_patterns)
        if part:
            profiler.merge(part)
        progress.advance(length / reader.size)
    pairs = tally.total().sum(axis=0, dtype=np.int64)
    if reader.itemsize == 2:
        return counts + pairs
    pairs = pairs.reshape(256, 256)  # two bytes were counted as one pattern
    return counts + pairs.sum(axis=0) + pairs.sum(axis=1)


def _words(piece: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The slice as aligned 64-bit words, and the few patterns before and after them."""
    per_word = 8 // piece.itemsize
    address = piece.__array_interface__["data"][0]
    head = min(-address % 8 // piece.itemsize, piece.size)
    stop = head + (piece.size - head) // per_word * per_word
    return piece[head:stop].view(np.uint64), np.concatenate((piece[:head], piece[stop:]))
