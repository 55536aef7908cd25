"""What knowing one model really saves in writing another: both written by the same coder, every bit counted.

Uniform steps and range-ANS entropy coding. Alone, a weight is coded as it is; given the other model, its difference
from the partner times a slope is. Both ways have equal steps, and so equal errors. Side information is counted: step,
slope and mean of each matrix, the shape of its distribution, and the permutations that lay one model over the other.

Source: Sullivan 1996 (entropy-coded scalar quantisation); Duda 2013 (ANS, arXiv 1311.2540), Bamler 2022
(`constriction`, arXiv 2201.01741).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.discovery.sharing_dividend import LaidOver
from engine.errors import MeasureError

STEPS_PER_SPREAD = 2.0
"""Steps in one standard deviation of what is left given the partner: a finer one would gain nothing more."""

FINEST = 2.0**-12
"""The finest step, in standard deviations of the matrix: about what 16-bit floats keep."""

NUM_KNOTS, KNOT_BITS, NUMBER_BITS = (9, 17, 33), 16, 32
"""A distribution is told at so many knots (what is cheapest) by two numbers of so many bits each, every other number
by 32; chosen by us."""


ALONE = 0.004
"""Share of a symbol from which the gap before it is worth telling; chosen by us."""

SAMPLE = 20_000
"""Weights of a matrix from which its entropy is predicted: to about 0.01 bits."""


@dataclass(frozen=True, slots=True)
class CodingGain:
    """What writing one model took, alone and given the other.

    Attributes:
        bits_alone, bits_given: per weight, as coded, with all side information; gain: their difference.
        predicted: the gain that was to be expected from the shapes of both distributions, before coding; the sharing
            dividend is the same for normal ones.
        side_bits: of bits_given, what is told beside the weights, per weight. num_weights: coded.
        is_exact: whether every matrix was read back from the bits as it was written.
    """

    bits_alone: float
    bits_given: float
    gain: float
    predicted: float
    side_bits: float
    num_weights: int
    is_exact: bool


def coding_gain(laid: LaidOver, check: Callable[[], None] = lambda: None) -> CodingGain:
    """Write B alone and given A, matrix by matrix, and read both back.

    Args: laid: as `sharing_dividend.dividend` gives it. check: called between matrices; may raise Cancelled.
    Returns: NaN bits if there is nothing to write.
    """
    alone = given = side = predicted = 0.0
    count, is_exact = 0, True
    for name in laid.plan.matches:
        check()
        a = laid.a[name].astype(np.float64).ravel()
        b = laid.fit.placed(name, laid.b[name], laid.plan).astype(np.float64).ravel()
        mean, slope = _line(a, b)
        rest = b - mean - slope * (a - a.mean())
        spread = float(b.std())
        if spread == 0:
            continue
        step = max(float(rest.std()) / STEPS_PER_SPREAD, spread * FINEST)
        first, second = written(b - mean, step), written(rest, step)
        alone += first.num_bits + first.side_bits
        given += second.num_bits + second.side_bits + NUMBER_BITS  # the slope
        side += second.side_bits + NUMBER_BITS
        predicted += b.size * (entropy(b, step) - entropy(rest, step))
        count += b.size
        is_exact &= first.is_exact and second.is_exact
    if not count:
        return CodingGain(math.nan, math.nan, math.nan, math.nan, math.nan, 0, True)
    given, side = given + laid.fit.side_bits, side + laid.fit.side_bits
    gain, predicted = (alone - given) / count, predicted / count
    return CodingGain(alone / count, given / count, gain, predicted, side / count, count, is_exact)


def entropy(values: np.ndarray, step: float) -> float:
    """h(X + U) of U uniform over one step, in bits, from SAMPLE values: the entropy of X rounded is that − log₂ step.

    Source: Vasicek 1976, "A test for normality based on sample entropy" (scipy.stats.differential_entropy).
    """
    from scipy.stats import differential_entropy

    random = np.random.default_rng(0)
    picked = values if values.size <= SAMPLE else random.choice(values, SAMPLE, replace=False)
    return float(differential_entropy(picked + step * (random.random(picked.shape) - 0.5), base=2, method="vasicek"))


@dataclass(frozen=True, slots=True)
class Written:
    """num_bits: of the entropy-coded stream. side_bits: of what a reader needs before it. is_exact: read back equal."""

    num_bits: int
    side_bits: int
    is_exact: bool


def written(values: np.ndarray, step: float) -> Written:
    """Round values to steps, write them with ANS, and read them back.

    Args: values: (n,) float64, finite. step: > 0. Raises: MeasureError if the steps are too fine to count.
    """
    import constriction

    symbols = np.rint(values / step)
    if not np.isfinite(symbols).all() or np.abs(symbols).max(initial=0) > 2**24:
        raise MeasureError(f"Weights up to {np.abs(values).max():g} cannot be written in steps of {step:g}.")
    symbols = symbols.astype(np.int32)
    lowest = np.int32(symbols.min())
    side_bits, table = _cheapest(symbols, int(lowest))
    if table.size == 1:
        return Written(0, side_bits, True)
    model = constriction.stream.model.Categorical(table, perfect=False)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(symbols - lowest, model)
    words = coder.get_compressed()
    back = constriction.stream.stack.AnsCoder(words).decode(model, len(symbols))
    return Written(32 * len(words), side_bits, bool(np.array_equal(back + lowest, symbols)))


def _cheapest(symbols: np.ndarray, lowest: int) -> tuple[int, np.ndarray]:
    """(bits of side information, probabilities) with as many knots as pay: small matrices are told more roughly."""
    counts = np.bincount(symbols - lowest)
    used = np.flatnonzero(counts)
    choices = []
    for num_knots in NUM_KNOTS:
        knots, below = distribution(symbols, num_knots)
        table = probabilities(knots, below)
        side_bits = len(knots) * 2 * KNOT_BITS + 2 * NUMBER_BITS  # the knots; mean and step
        choices.append((side_bits - float(counts[used] @ np.log2(table[used])), side_bits, table))
    _, side_bits, table = min(choices, key=lambda choice: choice[0])
    return side_bits, table


def distribution(symbols: np.ndarray, num_knots: int = 33) -> tuple[np.ndarray, np.ndarray]:
    """(knots, share of the symbols up to each): what is told of a distribution.

    The knots are the smallest symbol, the largest, and quantiles between them, closer in the tails, num_knots at most;
    and the symbol before each that stands alone.
    Shares are rounded to KNOT_BITS bits, rising by at least one unit.
    """
    half = 0.5 * 2.0 ** -np.linspace(11 if num_knots > 9 else 7, 0, num_knots // 2)
    wanted = np.concatenate([[0.0], half, 1 - half[-2::-1], [1.0]])
    knots = np.unique(np.quantile(symbols, wanted, method="nearest").astype(np.int64))
    ordered = np.sort(symbols)
    before = np.searchsorted(ordered, knots) - np.searchsorted(ordered, knots - 1)
    mass = np.searchsorted(ordered, knots, "right") - np.searchsorted(ordered, knots)
    is_alone = (before == 0) & (mass >= ALONE * len(symbols))
    is_alone[0] = False
    knots = np.union1d(knots, knots[is_alone] - 1)  # as in quantised weights: must not be smeared over the gap
    counts = np.searchsorted(ordered, knots, "right") / len(symbols)
    units = np.maximum(np.rint(counts * (2**KNOT_BITS - 2 * num_knots)), 0) + np.arange(1, len(knots) + 1)
    return knots, units / units[-1]


def probabilities(knots: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Probability of every whole number from the first knot to the last: a smooth rising curve through the shares.

    Source: Fritsch & Carlson 1980 (monotone cubic interpolation).
    """
    from scipy.interpolate import PchipInterpolator

    curve = PchipInterpolator(np.concatenate([[knots[0] - 0.5], knots + 0.5]), np.concatenate([[0.0], below]))
    size = int(knots[-1] - knots[0]) + 1
    table = np.maximum(np.diff(curve(np.arange(size + 1) + knots[0] - 0.5)), 0)
    return (table + 1e-7 / size) / (table.sum() + 1e-7)


def _line(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """(mean of b, slope of b on a), as 32-bit floats."""
    variance = float(a.var())
    slope = float(((a - a.mean()) * (b - b.mean())).mean() / variance) if variance > 0 else 0.0
    return float(np.float32(b.mean())), float(np.float32(slope))
