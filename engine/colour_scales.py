"""From a number to one of 256 colours: linear, symmetric logarithm, or rank.

A scale is 257 knots: colour k stands for the numbers from knot k up to knot k + 1. Every view (canvas, thumbnail, 3D,
exported picture) uses the same knots, so the same number has the same colour everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.colour_limits import ColourLimits, sample_entries
from engine.sources.base import Source, TensorInfo

Kind = Literal["linear", "symmetric log", "rank"]

SCALES: tuple[Kind, ...] = ("linear", "symmetric log", "rank")

NUM_COLOURS = 256

PIECE = 1 << 14
"""Numbers coloured at a time."""

LINEAR_SHARE = 0.01
"""Of the upper limit: below that, a symmetric logarithm is linear. Ours: two decades of magnitude get a colour each."""


@dataclass(frozen=True, eq=False)
class ColourScale:
    """How numbers become colours.

    Attributes:
        kind: one of `SCALES`.
        limits: the numbers at both ends; of a rank scale, those of the entries it was made from.
        knots: (257,) float64, never falling; the first is limits.low, the last limits.high, and of a signed scale the
            middle one is zero. Numbers beyond the ends take the end colours.
    """

    kind: Kind
    limits: ColourLimits
    knots: np.ndarray

    def colour_numbers(self, values: np.ndarray) -> np.ndarray:
        """uint8, the shape of `values`: how many inner knots are ≤ the value; 0 for −Inf, 255 for +Inf and NaN."""
        if self.kind == "linear" and _has_wide_steps(self.limits):
            return _even_numbers(self.knots, np.asarray(values))
        return np.searchsorted(self.knots[1:-1], np.asarray(values, np.float64), side="right").astype(np.uint8)

    def positions(self, values: np.ndarray) -> np.ndarray:
        """float64 in [0, 1], the shape of `values`: how far along the scale, straight between knots; NaN stays NaN."""
        return np.interp(np.asarray(values, np.float64), self.knots, np.linspace(0.0, 1.0, self.knots.size))

    def values_at(self, positions: np.ndarray) -> np.ndarray:
        """The inverse of `positions`: the numbers to write beside a colour bar."""
        return np.interp(np.asarray(positions, np.float64), np.linspace(0.0, 1.0, self.knots.size), self.knots)


def linear_scale(limits: ColourLimits) -> ColourScale:
    """Equal steps from limits.low to limits.high."""
    return ColourScale("linear", limits, _whole(np.linspace(limits.low, limits.high, NUM_COLOURS + 1), limits))


def signed_scale(limit: float) -> ColourScale:
    """Equal steps from −limit to limit."""
    return linear_scale(ColourLimits(-limit, limit, is_signed=True))


def symmetric_log_scale(limits: ColourLimits) -> ColourScale:
    """Equal steps of s(x) = sign(x) · ln(1 + |x| / c), with c = `LINEAR_SHARE` of the larger limit.

    Source: the log-modulus transformation of John & Draper 1980, with a scale.
    """
    c = LINEAR_SHARE * max(abs(limits.low), abs(limits.high))
    low, high = (np.sign(x) * np.log1p(abs(x) / c) for x in (limits.low, limits.high))
    steps = np.linspace(low, high, NUM_COLOURS + 1)
    return ColourScale("symmetric log", limits, _whole(np.sign(steps) * c * np.expm1(np.abs(steps)), limits))


def rank_scale(entries: np.ndarray) -> ColourScale:
    """Equally many entries for every colour.

    With any negative entry, magnitudes are ranked: ±q has the colours at ½ ± ½·F(q), where F is the share of non-zero
    entries with a smaller magnitude; so zero is the middle and signs stay apart. Else the entries themselves are.

    Args:
        entries: any shape, finite; what the scale is made from. Without a non-zero entry the scale is linear over
            [−1, 1].
    """
    entries = np.asarray(entries, np.float64).ravel()
    if not entries.any():
        return _ranked(ColourLimits(-1.0, 1.0, True), signed_scale(1.0).knots)
    if entries.min() < 0:
        magnitudes = np.abs(entries[entries != 0])
        upper = np.quantile(magnitudes, np.linspace(0.0, 1.0, NUM_COLOURS // 2 + 1)[1:])
        # A number at a knot takes the colour above it; its negative must take the mirrored colour, below.
        knots = np.concatenate([np.nextafter(-upper[::-1], np.inf), [0.0], upper])
        return _ranked(ColourLimits(-float(upper[-1]), float(upper[-1]), True), knots)
    low, high = float(entries.min()), float(entries.max())
    if low == high:
        return _ranked(ColourLimits(0.0, high, False), np.linspace(0.0, high, NUM_COLOURS + 1))
    return _ranked(ColourLimits(low, high, False), np.quantile(entries, np.linspace(0.0, 1.0, NUM_COLOURS + 1)))


def colour_scale(source: Source, info: TensorInfo, kind: Kind, limits: ColourLimits) -> ColourScale:
    """The scale of a tensor.

    Args:
        source, info: the tensor; read (a bounded, evenly spaced sample, always the same) only for ranks.
        limits: the ends of the other two kinds; a rank scale has those of its sample.
    """
    if kind == "linear":
        return linear_scale(limits)
    if kind == "symmetric log":
        return symmetric_log_scale(limits)
    return rank_scale(sample_entries(source, info))


def _has_wide_steps(limits: ColourLimits) -> bool:
    """Whether the equal steps between the limits are far larger than the rounding of the numbers they lie among."""
    span = limits.high - limits.low
    return 1e-300 < span < np.inf and span > 1e-6 * max(abs(limits.low), abs(limits.high))


def _even_numbers(knots: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """`ColourScale.colour_numbers` for knots in equal steps, ten times as fast as by a search.

    A product guesses each number's colour, never too high, and by at most one too low; the knot above it decides.
    """
    above, last = np.append(knots[1:-1], np.nan), NUM_COLOURS - 1
    flat, result = numbers.reshape(-1), np.empty(numbers.size, np.uint8)
    factor, surely = NUM_COLOURS / (knots[-1] - knots[0]), 1e-6  # of a step: far more than the product is rounded by
    for start in range(0, flat.size, PIECE):
        piece = flat[start : start + PIECE].astype(np.float64)
        with np.errstate(over="ignore"):  # numbers far beyond the limits become infinite, and take the end colours
            places = (piece - knots[0]) * factor
        places -= surely
        np.fmin(places, last, out=places)  # NaN is last, too
        np.maximum(places, 0, out=places)
        guess = places.astype(np.intp)
        guess += piece >= above.take(guess)
        result[start : start + PIECE] = guess
    return result.reshape(numbers.shape)


def _ranked(limits: ColourLimits, knots: np.ndarray) -> ColourScale:
    knots[0], knots[-1] = limits.low, limits.high
    return ColourScale("rank", limits, knots)


def _whole(knots: np.ndarray, limits: ColourLimits) -> np.ndarray:
    """The knots with their ends, and the middle of a signed scale, exactly where they belong."""
    knots[0], knots[-1] = limits.low, limits.high
    if limits.is_signed:
        knots[NUM_COLOURS // 2] = 0.0
    return knots
