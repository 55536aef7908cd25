"""The compiled loops over all weights: sums, extremes and counts of bit patterns.

All kernels take contiguous slices and release the interpreter lock. A kernel and all it calls live in one file because
the compiler's cache is renewed when that file changes, and only then. Weights are taken by their bit patterns: a "top"
is the upper 16 bits of a pattern; a "key" is the pattern rearranged so that keys sort as the values do.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import float32, float64, int16, int32, int64, njit, types, uint8, uint32, uint64
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from engine.measures.compilation import array, kernel

BLOCK = 8192
"""Weights taken at once through the inner loops of `scan`, so that they stay in the nearest caches; measured."""

# Sums may be reordered, but NaN and Inf keep their meaning.
_inner = njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})


LINE = 8
"""Words of a cache line."""

AHEAD = 256
"""Words between what is read and what is fetched meanwhile; the best of 64 to 1024, measured."""


@intrinsic
def _prefetch(_context, words, index):
    """Begin to fetch words[index], which may lie beyond the end, while the loop is busy with what it has.

    The processor does so by itself, but not across pages, and a loop that counts never runs far enough ahead.
    """

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, shape, "llvm.prefetch.p0")
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(function, [address, number(0), number(3), number(1)])  # a read of data, into the nearest cache
        return context.get_dummy_value()

    return types.void(words, types.int64), generate


@kernel((array(uint64, readonly=True),))
def stream(words):
    """The sum of all words: nothing but a read of the memory, the yardstick of the benchmarks."""
    total = np.uint64(0)
    for i in range(words.size):
        total += words[i]
    return total


@kernel((array(uint64, readonly=True), array(uint32, 2)))
def count_patterns(words, table):
    """Count 16-bit patterns, four to a word.

    Two tables keep an increment from waiting for the one before it on the same pattern; whole lines that repeat the
    word before them are counted as a run, so that long stretches of one value cost no more than reading them.

    Args: words: (n,) uint64. table: (2, 65536) uint32, added to.
    """
    # Written out: a function that takes the table is not inlined here, and calling it a word costs four times the work.
    even, odd, low, one = table[0], table[1], np.uint64(0xFFFF), np.uint32(1)
    run, last = np.uint32(0), np.uint64(0)
    full = words.size // LINE * LINE
    for line in range(0, full, LINE):
        _prefetch(words, line + AHEAD)
        changes = np.uint64(0)
        for i in range(line, line + LINE):
            changes |= words[i] ^ last
        if changes == np.uint64(0):
            run += np.uint32(LINE)
            continue
        for i in range(line, line + LINE):
            word = words[i]
            even[word & low] += one
            odd[(word >> np.uint64(16)) & low] += one
            even[(word >> np.uint64(32)) & low] += one
            odd[word >> np.uint64(48)] += one
        if run:
            _add_word(even, odd, last, run)
            run = np.uint32(0)
        last = words[line + LINE - 1]
    _add_word(even, odd, last, run)
    for i in range(full, words.size):
        _add_word(even, odd, words[i], one)


@register_jitable
def _add_word(even, odd, word, times):
    low = np.uint64(0xFFFF)
    even[word & low] += times
    odd[(word >> np.uint64(16)) & low] += times
    even[(word >> np.uint64(32)) & low] += times
    odd[word >> np.uint64(48)] += times


@register_jitable
def merge(a, b):
    """The moment sums of two sets together; all seven numbers of each are floats, as in `moment_sums.MomentSums`.

    The means are given as a round number and a small offset from it, so that their difference keeps its digits even
    where the values lie close together and far from zero.

    Source: Chan, Golub & LeVeque 1979; Pébay 2008, SAND2008-6212, equations 1.5 and 2.1.
    """
    n_a, origin_a, offset_a, s2_a, s3_a, s4_a, l1_a = a
    n_b, origin_b, offset_b, s2_b, s3_b, s4_b, l1_b = b
    if n_a == 0.0:
        return b
    if n_b == 0.0:
        return a
    n = n_a + n_b
    p, q, delta = n_a / n, n_b / n, (origin_b - origin_a) + (offset_b - offset_a)
    square = delta * delta
    spread = square * p * n_b
    s2 = s2_a + s2_b + spread
    s3 = s3_a + s3_b + delta * (spread * (p - q) + 3.0 * (p * s2_b - q * s2_a))
    s4 = s4_a + s4_b + square * (spread * (p * p - p * q + q * q) + 6.0 * (p * p * s2_b + q * q * s2_a))
    s4 += 4.0 * delta * (p * s3_b - q * s3_a)
    return n, origin_a, offset_a + delta * q, s2, s3, s4, l1_a + l1_b


@_inner
def _powers(values, shift):
    """Σd, Σd², Σd³, Σd⁴ with d = x − shift, and Σ|x|."""
    s1 = s2 = s3 = s4 = l1 = 0.0
    for i in range(values.size):
        x = np.float64(values[i])
        d = x - shift
        square = d * d
        s1 += d
        s2 += square
        s3 += square * d
        s4 += square * square
        l1 += abs(x)
    return s1, s2, s3, s4, l1


@register_jitable
def _block_sums(values, shift):
    """The moment sums of some finite values, first about a shift that is thought to be near their mean.

    If it was not, the powers have lost digits to cancellation and are taken again about the mean just found.
    """
    n = float(values.size)
    s1, s2, s3, s4, l1 = _powers(values, shift)
    step = s1 / n
    if step * s1 > 0.25 * s2:
        shift += step
        s1, s2, s3, s4, l1 = _powers(values, shift)
        step = s1 / n
    c2 = s2 - step * s1
    c3 = s3 - 3.0 * step * s2 + 2.0 * step * step * s1
    c4 = s4 - 4.0 * step * s3 + 6.0 * step * step * s2 - 3.0 * step * step * step * s1
    return n, shift, step, max(c2, 0.0), c3, max(c4, 0.0), l1


@_inner
def _pattern_extremes(bits, signed):
    """Smallest and largest pattern, read without and with sign: four plain integer reductions."""
    low, high, low_signed, high_signed = bits[0], bits[0], signed[0], signed[0]
    for i in range(bits.size):
        low = min(low, bits[i])
        high = max(high, bits[i])
        low_signed = min(low_signed, signed[i])
        high_signed = max(high_signed, signed[i])
    return low, high, low_signed, high_signed


@register_jitable
def _key(pattern, sign):
    """The key of a pattern (uint64), without a branch: all bits turn where the sign is set, else the sign alone."""
    is_negative = np.uint64((pattern & sign) != 0)
    return pattern ^ (is_negative * (sign - np.uint64(1)) | sign)


@register_jitable
def _key_extremes(bits, signed, sign):
    """Smallest and largest key: the most negative value has the largest pattern read without sign."""
    low, high, low_signed, high_signed = _pattern_extremes(bits, signed)
    smallest = np.uint64(high) if low_signed < 0 else np.uint64(low)
    largest = np.uint64(high_signed) if high_signed >= 0 else np.uint64(low)
    # A zero of either sign is the smallest pattern of its sign.
    has_zero = low == 0 or np.uint64(low_signed) & (sign | (sign - np.uint64(1))) == sign
    return _key(smallest, sign), _key(largest, sign), has_zero


@_inner
def _num_zero(values):
    total = 0
    for i in range(values.size):
        total += np.int64(values[i] == 0)
    return total


@register_jitable
def _keep_finite(values, kept, special):
    """Copy the finite values to `kept`, count NaN, +Inf and −Inf in `special`; returns how many were kept."""
    n = 0
    for i in range(values.size):
        value = values[i]
        if math.isfinite(value):
            kept[n] = value
            n += 1
        elif math.isnan(value):
            special[1] += 1
        elif value > 0:
            special[2] += 1
        else:
            special[3] += 1
    return n


@register_jitable
def _count_tops(bits, words, top_shift, table):
    """Count the upper 16 bits of patterns, given also as 64-bit words: of 32-bit patterns, two to a word.

    Meanwhile the block after this one is fetched.
    """
    even, odd, one = table[0], table[1], np.uint32(1)
    if top_shift == 48:
        for i in range(words.size):
            table[i & 1, words[i] >> np.uint64(48)] += one
        return
    full = words.size // LINE * LINE
    for line in range(0, full, LINE):
        _prefetch(words, line + words.size)
        for i in range(line, line + LINE):
            even[(words[i] >> np.uint64(16)) & np.uint64(0xFFFF)] += one
            odd[words[i] >> np.uint64(48)] += one
    for i in range(2 * full, bits.size):
        even[bits[i] >> top_shift] += one


def _scan_signature(floating, unsigned, signed):
    memory = types.Tuple([array(each, readonly=True) for each in (floating, unsigned, signed, uint64)])
    kept = types.Tuple([array(each) for each in (floating, unsigned, signed)])
    return memory, unsigned, array(uint32, 2), array(int64), array(uint64), kept


@kernel(_scan_signature(float32, uint32, int32), _scan_signature(float64, uint64, int64))
def scan(memory, top_shift, table, special, extremes, kept):
    """Moment sums, extremes, special values and the histogram of tops of one slice, block by block.

    The plain sums come first, for they run ahead of the memory; the table of tops last, from the cache.

    Args:
        memory: (values, bits, signed, words): the same memory as (n,) floats, unsigned and signed integers, and as
            64-bit words, as many as are full.
        top_shift: width of a pattern less 16.
        table: (2, 65536) uint32, counts of tops, special values included; added to.
        special: (4,) int64, numbers of zeros, NaN, +Inf, −Inf; added to.
        extremes: (2,) uint64, smallest and largest key of a finite value; narrowed.
        kept: (values, bits, signed), (BLOCK,) each, scratch.
    Returns: the moment sums of the finite values, as in `merge`.
    """
    values, bits, signed, words = memory
    per_word = 2 if top_shift == 16 else 1
    sign = np.uint64(1) << np.uint64(top_shift + 15)
    infinity = np.uint64(0x7F800000) if top_shift == 16 else np.uint64(0x7FF0000000000000)
    highest, lowest = infinity | sign, _key(infinity | sign, sign)
    sums, shift = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0
    for start in range(0, values.size, BLOCK):
        stop = min(start + BLOCK, values.size)
        finite = values[start:stop]
        block = _block_sums(finite, shift)
        smallest, largest, has_zero = _key_extremes(bits[start:stop], signed[start:stop], sign)
        if smallest <= lowest or largest >= highest:
            n = _keep_finite(finite, kept[0], special)
            finite = kept[0][:n]
            if n > 0:
                block = _block_sums(finite, shift)
                smallest, largest, has_zero = _key_extremes(kept[1][:n], kept[2][:n], sign)
        _count_tops(bits[start:stop], words[start // per_word : stop // per_word], top_shift, table)
        if finite.size > 0:
            extremes[0], extremes[1] = min(extremes[0], smallest), max(extremes[1], largest)
            if has_zero:
                special[0] += _num_zero(finite)
            sums, shift = merge(sums, block), block[1] + block[2]
    return sums


CHUNK = 8192
"""Weights sifted at once in the second pass; those that stay are then taken up one by one."""


@register_jitable
def _sift(bits, words, top_shift, wanted, kept):
    """Copy to `kept` the patterns whose top is wanted, without a branch; returns how many."""
    n = np.uint64(0)
    full = words.size // LINE * LINE if top_shift == 16 else 0
    for line in range(0, full, LINE):
        _prefetch(words, line + AHEAD)
        for i in range(line, line + LINE):
            word = words[i]
            kept[n] = np.uint32(word)
            n += np.uint64(wanted[(word >> np.uint64(16)) & np.uint64(0xFFFF)])
            kept[n] = np.uint32(word >> np.uint64(32))
            n += np.uint64(wanted[word >> np.uint64(48)])
    for i in range(2 * full, bits.size):
        kept[n] = bits[i]
        n += np.uint64(wanted[bits[i] >> top_shift])
    return n


@register_jitable
def _split(patterns, top_shift, kind_of, with_table, with_edges):
    """Sort sifted patterns into those whose top has a table, one edge (moved up in place) or several; three numbers."""
    num_table, num_single, num_several = np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(patterns.size):  # without a branch, for the order is random
        pattern = patterns[i]
        kind = np.uint64(kind_of[pattern >> top_shift])
        with_table[num_table] = pattern
        patterns[num_single] = pattern
        with_edges[num_several] = pattern
        num_table += kind & np.uint64(1)
        num_single += (kind >> np.uint64(1)) & np.uint64(1)
        num_several += kind >> np.uint64(2)
    return num_table, num_single, num_several


@register_jitable
def _num_reached(edges, low, high, key):
    """How many of all ascending edges a key reaches, given that it reaches `low` of them and at most `high`."""
    while low < high:
        middle = (low + high) >> 1
        if edges[middle] <= key:
            low = middle + 1
        else:
            high = middle
    return low


def _refine_signature(unsigned):
    by_top = [array(uint8), array(uint8), array(int16), array(unsigned), array(int16)]
    plan = types.Tuple([*by_top, array(int32), array(uint64)])
    kept = types.UniTuple(array(unsigned), 3)
    memory = types.Tuple([array(unsigned, readonly=True), array(uint64, readonly=True)])
    return memory, unsigned, unsigned, plan, array(uint32, 2), array(int64), kept


@kernel(_refine_signature(uint32), _refine_signature(uint64))
def refine(memory, top_shift, digit_shift, plan, tables, hits, kept):
    """Count, within the wanted tops only, the next 16 bits, or how many patterns reach each of the top's edges.

    Args:
        memory: (n,) patterns, and the same memory as 64-bit words, as many as are full.
        top_shift, digit_shift: how far right the top and the 16 bits below it lie.
        plan: by top, (65536,) each: wanted, 1 or 0; kind, 1 with a table, + 2 with one edge or + 4 with several;
            table_of, its table; limit, the pattern to be reached, of one edge; slot_of, its number among the tops with
            several edges. By slot: edge_start (slots + 1,), its slice of the ascending keys `edges`.
        tables: (t + 1, 65536) uint32, added to; the last one by top, patterns not below its limit.
        hits: (edges + slots,) int64, added to: of each slot, how many keys reach none, one, two … of its edges.
        kept: three of (CHUNK + 1,), scratch.
    """
    wanted, kind_of, table_of, limit, slot_of, edge_start, edges = plan
    reached = tables[-1]
    bits, words = memory
    per_word = 2 if top_shift == 16 else 1
    sign = np.uint64(1) << np.uint64(top_shift + 15)
    for start in range(0, bits.size, CHUNK):
        stop = min(start + CHUNK, bits.size)
        n = _sift(bits[start:stop], words[start // per_word : stop // per_word], top_shift, wanted, kept[0])
        num_table, num_single, num_several = _split(kept[0][:n], top_shift, kind_of, kept[1], kept[2])
        for i in range(num_table):
            pattern = kept[1][i]
            tables[table_of[pattern >> top_shift], (pattern >> digit_shift) & 0xFFFF] += np.uint32(1)
        for i in range(num_single):
            pattern = kept[0][i]
            reached[pattern >> top_shift] += np.uint32(pattern >= limit[pattern >> top_shift])
        for i in range(num_several):
            slot, key = slot_of[kept[2][i] >> top_shift], _key(np.uint64(kept[2][i]), sign)
            hits[slot + _num_reached(edges, edge_start[slot], edge_start[slot + 1], key)] += 1


@kernel(
    (
        array(uint64, readonly=True),
        array(uint8),
        uint64,
        uint64,
        array(uint64),
        array(uint32, 2),
        array(uint64),
    )
)
def refine_below(bits, wanted, prefix_shift, digit_shift, prefixes, tables, kept):
    """Count the 16 bits below each of a few wanted prefixes of 64-bit patterns.

    Args:
        bits: (n,) patterns. wanted: (65536,) 1 for the tops of the prefixes, a first sieve.
        prefix_shift, digit_shift: how far right the prefix and the 16 bits below it lie.
        prefixes: (t,) sorted. tables: (t, 65536) uint32, added to. kept: (CHUNK + 1,) scratch.
    """
    for start in range(0, bits.size, CHUNK):
        chunk = bits[start : min(start + CHUNK, bits.size)]
        n = _sift(chunk, chunk, np.uint64(48), wanted, kept)
        for i in range(n):
            prefix = kept[i] >> prefix_shift
            j = np.searchsorted(prefixes, prefix)
            if j < prefixes.size and prefixes[j] == prefix:
                tables[j, (kept[i] >> digit_shift) & np.uint64(0xFFFF)] += np.uint32(1)


@kernel((array(int64), int64))
def entry_at(counts, rank):
    """Which entry of a table of counts holds a rank, counted from 0, and its rank within that entry."""
    for entry in range(counts.size):
        if rank < counts[entry]:
            return entry, rank
        rank -= counts[entry]
    return counts.size, rank
