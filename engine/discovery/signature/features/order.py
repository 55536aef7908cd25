"""Whether neighbours have to do with each other: energy by frequency down the rows and along the columns.

All of it is about the order of rows and columns, which a network does not care about: weights of linear layers show 1
everywhere, as noise does. Embeddings of positions, convolutions, and layers that know of time or space do not.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engine.discovery.signature.facts import Facts
from engine.discovery.signature.registry import Traits, line_feature

ORDER = Traits("order", frozenset({"scale", "sign"}), resolution=0.1)
RATIO = replace(ORDER, transform="log")
LAG = replace(ORDER, resolution=0.02)

LEAST_PLACES = 8
"""Fewer places along an axis have no frequencies to speak of."""


def _band(facts: Facts, axis: int, divisor: int) -> float:
    """Density of the frequencies in (1/(2·divisor), 1/divisor] over that of all above zero; all below for 32."""
    power = facts.power[axis]
    number = np.arange(1, len(power.energy))
    inside = (number * divisor <= power.length) & ((number * 2 * divisor > power.length) | (divisor == 32))
    weights = power.weights[1:]
    if power.length < LEAST_PLACES or not inside.any() or not power.varying > 0:
        return math.nan
    return float(power.energy[1:][inside].sum() / power.varying * weights.sum() / weights[inside].sum())


@line_feature(ORDER, "Energy at periods of 2 to 4 {lines}")
def band_2_4(facts: Facts, axis: int) -> float:
    """Energy per frequency at periods of 2 to below 4 {lines}, relative to all above zero: 1 for noise.

    NaN for fewer than 8 {lines} and where the {others} are constant.
    """
    return _band(facts, axis, 2)


@line_feature(ORDER, "Energy at periods of 4 to 8 {lines}")
def band_4_8(facts: Facts, axis: int) -> float:
    """Energy per frequency at periods of 4 to below 8 {lines}, relative to all above zero: 1 for noise."""
    return _band(facts, axis, 4)


@line_feature(ORDER, "Energy at periods of 8 to 16 {lines}")
def band_8_16(facts: Facts, axis: int) -> float:
    """Energy per frequency at periods of 8 to below 16 {lines}, relative to all above zero: 1 for noise."""
    return _band(facts, axis, 8)


@line_feature(ORDER, "Energy at periods of 16 to 32 {lines}")
def band_16_32(facts: Facts, axis: int) -> float:
    """Energy per frequency at periods of 16 to below 32 {lines}, relative to all above zero: 1 for noise."""
    return _band(facts, axis, 16)


@line_feature(ORDER, "Energy at periods of 32 {lines} and more")
def band_32(facts: Facts, axis: int) -> float:
    """Energy per frequency at periods of 32 {lines} and more, relative to all above zero: 1 for noise; slow waves."""
    return _band(facts, axis, 32)


@line_feature(replace(ORDER, resolution=0.02), "Flatness over {lines}")
def flatness(facts: Facts, axis: int) -> float:
    """Geometric over arithmetic mean of the energy by frequency along the {lines}, 0 … 1: near 1 for noise.

    Noise has about 1 − 1/(2·{others}). Source: Gray & Markel 1974, "spectral flatness".
    """
    power = facts.power[axis]
    if power.length < LEAST_PLACES or not power.varying > 0:
        return math.nan
    relative, weights = power.relative, power.weights[1:]
    return float(math.exp(np.average(np.log(relative), weights=weights))) if relative.min() > 0 else 0.0


@line_feature(replace(RATIO, resolution=0.2), "Strongest wave over {lines}")
def peak(facts: Facts, axis: int) -> float:
    """The largest energy of a frequency along the {lines} over the mean of all above zero: near 1 for noise."""
    power = facts.power[axis]
    return float(power.relative.max()) if power.length >= LEAST_PLACES and power.varying > 0 else math.nan


def _lag(facts: Facts, axis: int, lag: int) -> float:
    power = facts.power[axis]
    return float(power.autocorrelation(lag + 1)[lag]) if power.length >= LEAST_PLACES else math.nan


@line_feature(LAG, "Correlation with the next {line}")
def lag_1(facts: Facts, axis: int) -> float:
    """Correlation of weights with those one {line} further, −1 … 1: about 0 for noise.

    Circular, {others} about their own means. NaN for fewer than 8 {lines} and where the {others} are constant.
    """
    return _lag(facts, axis, 1)


@line_feature(LAG, "Correlation 2 {lines} on")
def lag_2(facts: Facts, axis: int) -> float:
    """Correlation of weights with those two {lines} further, −1 … 1: about 0 for noise."""
    return _lag(facts, axis, 2)


@line_feature(LAG, "Correlation 4 {lines} on")
def lag_4(facts: Facts, axis: int) -> float:
    """Correlation of weights with those four {lines} further, −1 … 1: about 0 for noise."""
    return _lag(facts, axis, 4)


@line_feature(LAG, "Correlation 8 {lines} on")
def lag_8(facts: Facts, axis: int) -> float:
    """Correlation of weights with those eight {lines} further, −1 … 1: about 0 for noise. NaN for fewer than 9."""
    return _lag(facts, axis, 8)
