"""The compiled loops of `engine.compare.difference`: every metric of two tensors in one pass over both.

The bits are counted as they are, the values summed in float32 within a block and in float64 between blocks. A block
whose float32 sums cannot be trusted (NaN, infinities, squares that overflow or vanish) is read again, entry by entry,
in float64; so speed is for ordinary weights and the numbers are right for all.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import float64, int16, int64, njit, uint16, uint32
from numba.extending import overload

from engine.measures.compilation import array, compile_for, kernel

BLOCK = 512
"""Entries summed in float32 before they are added in float64: short for the sake of accuracy, long against the cost of
ending a block; chosen by us."""

TRUSTED = (1e-20, 2.0**32)
"""Sums of squares between which no entry that matters under- or overflows in float32. From 2³² on, half precision may
hold an infinity, which its fast conversion takes for 65,536."""

NUM_COUNTS = 8
CHANGED, ABOVE, FLIPS, NAN_A, INF_A, NAN_B, INF_B, EXCLUDED = range(NUM_COUNTS)
"""What the entries of `counts` are."""

_FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Liberties that let sums run on whole vectors; NaN and infinities keep their meaning."""


def _value(bits):
    """The finite value of a bit pattern: uint16 is bfloat16, int16 half precision, uint32 single precision."""
    raise NotImplementedError("only for compiled code")


@overload(_value, inline="always")
def _compiled_value(bits):
    if bits == uint16:
        return lambda bits: np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)
    if bits == int16:
        return lambda bits: np.float32(
            np.uint32(np.uint32(np.uint32(bits) & np.uint32(0x7FFF)) << np.uint32(13)).view(np.float32)
            * np.float32(2.0**112)
            * np.float32(np.float32(1) - np.float32(np.float32(2) * np.float32(bits < 0)))
        )
    if bits == uint32:
        return lambda bits: np.uint32(bits).view(np.float32)
    return None


def _any_value(bits):
    """The value of any bit pattern, NaN and infinities included, in float64."""
    raise NotImplementedError("only for compiled code")


@overload(_any_value)
def _compiled_any_value(bits):
    if bits == int16:

        def half(bits):
            if bits & 0x7C00 == 0x7C00:
                return np.nan if bits & 0x3FF else (-np.inf if bits < 0 else np.inf)
            return np.float64(_value(bits))

        return half
    return lambda bits: np.float64(_value(bits))


def _bit_counts(a, b):
    """(entries whose bits differ, entries whose sign differs and of which neither is zero)."""
    raise NotImplementedError("only for compiled code")


@overload(_bit_counts)
def _compiled_bit_counts(a, b):
    """Counters as wide as the entries, which suffice for a block, so that the loop runs on whole vectors."""
    wide = a.dtype == uint32
    kind = np.uint32 if wide else np.uint16
    one, sign = kind(1), kind(1 << (31 if wide else 15))

    def counts(a, b):
        changed, flips = kind(0), kind(0)
        for k in range(a.size):
            p, q = kind(a[k]), kind(b[k])
            x = kind(p ^ q)
            changed = kind(changed + kind(x != 0))
            flips = kind(flips + kind((x >= sign) & (kind(p << one) != 0) & (kind(q << one) != 0)))
        return np.int64(changed), np.int64(flips)

    return counts


@njit(error_model="numpy", fastmath=_FAST)
def _float_sums(a, b, tolerance):
    """(Σa², Σb², Σab, Σ(b − a)², the largest |b − a|, how many |b − a| exceed the tolerance)."""
    a2, b2, ab, d2 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    largest, above = np.int32(0), np.int32(0)
    limit = np.float32(tolerance).view(np.int32)
    for k in range(a.size):
        x, y = _value(a[k]), _value(b[k])
        d = np.float32(y - x)
        a2 += x * x
        b2 += y * y
        ab += x * y
        d2 += d * d
        magnitude = np.int32(d.view(np.int32) & np.int32(0x7FFFFFFF))
        largest = np.int32(max(largest, magnitude))
        above = np.int32(above + np.int32(magnitude > limit))
    extreme = np.int32(largest).view(np.float32)
    return np.float64(a2), np.float64(b2), np.float64(ab), np.float64(d2), extreme, np.int64(above)


@njit(error_model="numpy")
def _is_trusted(total, bits):
    """Whether a float32 sum of squares is as good as one in float64; a zero is if all entries are zeros."""
    if TRUSTED[0] <= total <= TRUSTED[1]:
        return True
    if total != 0:
        return False
    seen = bits[0] ^ bits[0]
    for k in range(bits.size):
        seen |= bits[k]
    return seen == 0


@njit(error_model="numpy")
def _careful_sums(a, b, first, tolerance, sums, counts, largest):
    """A block entry by entry; what is no number is counted, and its pair left out of the sums."""
    for k in range(a.size):
        x, y = _any_value(a[k]), _any_value(b[k])
        is_finite = np.isfinite(x) and np.isfinite(y)
        counts[NAN_A] += np.isnan(x)
        counts[INF_A] += np.isinf(x)
        counts[NAN_B] += np.isnan(y)
        counts[INF_B] += np.isinf(y)
        counts[EXCLUDED] += not is_finite
        if is_finite:
            d = y - x
            sums[0] += x * x
            sums[1] += y * y
            sums[2] += x * y
            sums[3] += d * d
            counts[ABOVE] += abs(d) > tolerance
            counts[FLIPS] += (x < 0 < y) or (y < 0 < x)
            if abs(d) > sums[4]:
                sums[4] = abs(d)
                largest[0] = first + k


def _signature(bits):
    return (
        array(bits, readonly=True),
        array(bits, readonly=True),
        int64,
        float64,
        array(float64),
        array(int64),
        array(int64),
    )


@kernel(_signature(uint16), _signature(int16), _signature(uint32))
def add_difference(a, b, first, tolerance, sums, counts, largest):
    """Add the metrics of two runs of entries to what was found so far.

    Args:
        a, b: (n,) bit patterns: uint16 of bfloat16, int16 of half precision, uint32 of single precision.
        first: place of a[0] in the tensor. tolerance: |b − a| above it counts as changed by more than rounding.
        sums: (5,) Σa², Σb², Σab, Σ(b − a)² and the largest |b − a|, of pairs that are both finite.
        counts: (NUM_COUNTS,); see the constants. largest: (1,) place of the first largest |b − a|, or −1.
    """
    for start in range(0, a.size, BLOCK):
        stop = min(start + BLOCK, a.size)
        p, q = a[start:stop], b[start:stop]
        changed, flips = _bit_counts(p, q)
        a2, b2, ab, d2, extreme, above = _float_sums(p, q, tolerance)
        counts[CHANGED] += changed
        is_delta_trusted = changed == 0 or TRUSTED[0] <= d2 <= TRUSTED[1]
        if not (is_delta_trusted and _is_trusted(a2, p) and _is_trusted(b2, q)):
            _careful_sums(p, q, first + start, tolerance, sums, counts, largest)
            continue
        counts[ABOVE] += above
        counts[FLIPS] += flips
        sums[0] += a2
        sums[1] += b2
        sums[2] += ab
        sums[3] += d2
        if extreme > sums[4]:
            sums[4] = extreme
            for k in range(p.size):
                if np.float32(abs(np.float32(_value(q[k]) - _value(p[k])))) == extreme:
                    largest[0] = first + start + k
                    break


def _pair(bits):
    return (array(bits, readonly=True), array(bits, readonly=True))


@kernel(_pair(uint16), _pair(uint32))
def num_changed(a, b):
    """How many entries of two runs of bit patterns differ; nothing but that, at the speed of reading them."""
    total = 0
    for start in range(0, a.size, BLOCK * 4):
        stop = min(start + BLOCK * 4, a.size)
        total += _num_unequal(a[start:stop], b[start:stop])
    return total


def _num_unequal(a, b):
    raise NotImplementedError("only for compiled code")


@overload(_num_unequal)
def _compiled_num_unequal(a, b):
    kind = np.uint32 if a.dtype == uint32 else np.uint16

    def count(a, b):
        changed = kind(0)
        for k in range(a.size):
            changed = kind(changed + kind(a[k] != b[k]))
        return np.int64(changed)

    return count


@cache
def compiled(function):
    """A kernel of this module, all versions compiled or loaded in one order, which the disk cache relies on."""
    compile_for(function, *_SIGNATURES[function])
    return function


_SIGNATURES = {
    add_difference: (_signature(uint16), _signature(int16), _signature(uint32)),
    num_changed: (_pair(uint16), _pair(uint32)),
}
