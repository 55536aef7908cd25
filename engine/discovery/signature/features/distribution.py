"""Scale, and the shape of the distribution: all that the entries say without their places."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engine.discovery.signature.facts import Facts
from engine.discovery.signature.registry import ENTRIES, Traits, feature
from engine.distribution_fits import LARGEST_TIE, LEAST_ENTRIES
from engine.student_t import student_t_parameters

SHAPE = Traits("distribution", ENTRIES)
SIGNLESS = replace(SHAPE, invariances=ENTRIES | {"sign"})
RATIO = replace(SIGNLESS, transform="log")
SHARE = replace(SIGNLESS, unit="share", resolution=0.01)


@feature(
    Traits("scale", ENTRIES - {"scale"} | {"sign", "rotation"}, unit="weight", transform="log", resolution=0.1), "Scale"
)
def rms(facts: Facts) -> float:
    """√(Σx²/n): the typical magnitude, the one feature that knows how large the weights are. NaN for a zero matrix."""
    return facts.rms * facts.unit if facts.rms > 0 else math.nan


@feature(SHAPE, "Mean")
def mean_shift(facts: Facts) -> float:
    """Mean / standard deviation: 0 for weights about zero. NaN for a constant matrix."""
    return _ratio(facts.mean, facts.std)


@feature(SHAPE, "Skewness")
def skewness(facts: Facts) -> float:
    """Σ(x − mean)³/n / std³: 0 for symmetric weights, positive if the long tail is on the right. NaN if constant."""
    return _ratio(facts.moments[1], facts.std**3)


@feature(SHAPE, "Skewness of the quantiles")
def quantile_skewness(facts: Facts) -> float:
    """(q₉₀ + q₁₀ − 2·median) / (q₉₀ − q₁₀), −1 … 1: asymmetry that single weights do not move. NaN if q₉₀ = q₁₀.

    Source: Hinkley 1975, Biometrika 62(1), after Bowley.
    """
    low, high = facts.quantile(0.1), facts.quantile(0.9)
    return _ratio(high + low - 2 * facts.median, high - low)


@feature(RATIO, "Kurtosis")
def kurtosis(facts: Facts) -> float:
    """Σ(x − mean)⁴/n / std⁴: 3 for a normal, 1.8 for a uniform distribution, more for heavy tails. NaN if constant."""
    return _ratio(facts.moments[2], facts.std**4)


@feature(RATIO, "Tail width, 95 %")
def tail_95(facts: Facts) -> float:
    """(q₉₇.₅ − q₂.₅) / (q₇₅ − q₂₅): 2.906 for a normal, more for heavier tails; robust kurtosis. NaN if q₇₅ = q₂₅.

    Source: Crow & Siddiqui 1967, JASA 62(318).
    """
    return _ratio(facts.quantile(0.975) - facts.quantile(0.025), facts.quantile(0.75) - facts.quantile(0.25))


@feature(RATIO, "Tail width, 99.8 %")
def tail_998(facts: Facts) -> float:
    """(q₉₉.₉ − q₀.₁) / (q₇₅ − q₂₅): 4.581 for a normal; how far the farthest thousandth begins. NaN if q₇₅ = q₂₅."""
    return _ratio(facts.quantile(0.999) - facts.quantile(0.001), facts.quantile(0.75) - facts.quantile(0.25))


@feature(replace(RATIO, resolution=0.2), "Degrees of freedom (Student-t)")
def student_t_df(facts: Facts) -> float:
    """Degrees of freedom of the Student-t of largest likelihood, 0.5 … 1000: few for heavy tails, 1000 for a normal.

    Fitted to at most 16,384 evenly spread order statistics. NaN if a third of the entries are one number, or there are
    fewer than 8.
    """
    values = facts.ranks
    if values.size < LEAST_ENTRIES or values[0] == values[-1]:
        return math.nan
    changes = np.flatnonzero(np.diff(values, prepend=-np.inf, append=np.inf))
    if np.diff(changes).max() >= LARGEST_TIE * values.size:
        return math.nan
    return student_t_parameters(values).df


@feature(replace(SIGNLESS, resolution=0.01), "Mean magnitude")
def mean_magnitude(facts: Facts) -> float:
    """Σ|x|/n / √(Σx²/n), 0 … 1: 0.798 for a normal about zero, 0.866 for a uniform, small where few weights have all.

    NaN for a zero matrix.
    """
    return _ratio(facts.mean_magnitude, facts.rms)


@feature(replace(SIGNLESS, resolution=0.005), "Distance from a normal")
def normal_distance(facts: Facts) -> float:
    """Largest gap between the distribution and that of a normal with its mean and standard deviation, 0 … 1.

    At up to 16,384 evenly spread ranks: within 1/16,384 of the Kolmogorov-Smirnov distance. NaN if constant.
    """
    from scipy.special import ndtr

    if facts.std == 0:
        return math.nan
    expected = ndtr((facts.ranks - facts.mean) / facts.std)
    size = facts.ranks.size
    return float(np.abs(expected - (np.arange(size) + 0.5) / size).max() + 0.5 / size)


@feature(SHARE, "Zeros")
def zero_share(facts: Facts) -> float:
    """Share of entries that are exactly zero, 0 … 1."""
    return 1 - facts.num_outside(0.0, 0.0) / facts.ordered.size


@feature(SHARE, "Near zero")
def near_zero_share(facts: Facts) -> float:
    """Share of entries within a tenth of the root mean square of zero: 0.0797 for a normal. NaN for a zero matrix."""
    if facts.rms == 0:
        return math.nan
    return 1 - facts.num_outside(-0.1 * facts.rms, 0.1 * facts.rms) / facts.ordered.size


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan
