"""What the norms of rows and columns are like, and how much of the weights' spread they explain."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from engine.discovery.signature.facts import Facts
from engine.discovery.signature.registry import LINES, Traits, feature, line_feature

NORMS = Traits("norms", LINES | {"sign"})
RATIO = replace(NORMS, transform="log")
SHARE = replace(NORMS, unit="share", resolution=0.01)


@line_feature(NORMS, "Spread of {line} norms")
def norm_cv(facts: Facts, axis: int) -> float:
    """Standard deviation of the {lines}' norms over their mean: 0 if all {lines} are equally large.

    Noise has about 1/√(2·length). NaN for a zero matrix.
    """
    norms = np.sqrt(facts.line_squares(axis))
    return float(norms.std() / norms.mean()) if norms.any() else math.nan


@line_feature(replace(NORMS, resolution=0.02), "Inequality of {line} energies")
def energy_gini(facts: Facts, axis: int) -> float:
    """Gini coefficient of the {lines}' energies Σx²: 0 if all have the same, near 1 if one has all. NaN if all zero."""
    squares = np.sort(facts.line_squares(axis))
    size = len(squares)
    total = squares.sum()
    return float((2 * np.arange(1, size + 1) - size - 1) @ squares / (size * total)) if total > 0 else math.nan


@line_feature(replace(RATIO, resolution=0.1), "Largest {line} norm")
def norm_max(facts: Facts, axis: int) -> float:
    """The largest norm of a {line} over the median one: 1 if all are equal. NaN if half of the {lines} are zero."""
    norms = np.sqrt(facts.line_squares(axis))
    median = float(np.median(norms))
    return float(norms.max()) / median if median > 0 else math.nan


@line_feature(replace(NORMS, unit="bit/weight", resolution=0.01), "Bits in {line} scales")
def scale_bits(facts: Facts, axis: int) -> float:
    """½·log₂(mean of r / geometric mean of r) with r the energies of the {lines} that are not zero.

    What an ideal coder of normal weights gains, in bits a weight, by knowing the scale of every {line}. 0 if all are
    equal; NaN for a zero matrix.
    """
    squares = facts.line_squares(axis)
    squares = squares[squares > 0]
    return float(0.5 * (math.log2(squares.mean()) - np.log2(squares).mean())) if squares.size else math.nan


@line_feature(replace(RATIO, resolution=0.3), "Common {line}")
def common(facts: Facts, axis: int) -> float:
    """Energy of the mean {line}, repeated, over what noise leaves there: number·‖mean {line}‖²·number/‖W‖².

    1 for noise; the number of {lines} if all are the same. NaN for a zero matrix.
    """
    sums = facts.line_sums[1 - axis]
    energy = facts.singular.energy
    return float(sums @ sums / energy) if energy > 0 else math.nan


@line_feature(SHARE, "Zero {lines}")
def zero_lines(facts: Facts, axis: int) -> float:
    """Share of the {lines} that hold nothing but zeros, 0 … 1."""
    return float(np.mean(facts.line_squares(axis) == 0))


@feature(replace(NORMS, resolution=0.02), "Row × column separability")
def separability(facts: Facts) -> float:
    """Cosine between the squared entries x² and the product rᵢ·cⱼ of the rows' and columns' energies, 0 … 1.

    1/√3 = 0.577 for Gaussian noise with any scales of rows and columns, 1 if magnitudes are a product of the two,
    less where weights stand out singly. NaN for a zero matrix.
    """
    return facts.scaled[1]


@feature(RATIO, "Kurtosis within scales")
def scaled_kurtosis(facts: Facts) -> float:
    """Mean y⁴ / (mean y²)² of y = x/√(rᵢ·cⱼ), weights in units of their row's and column's norm.

    3 for Gaussian noise with any scales of rows and columns: more is a heavy tail that scales do not explain.
    Zero rows and columns are left out. NaN for a zero matrix.
    """
    return facts.scaled[0]
