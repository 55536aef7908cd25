"""What stands out in a tensor: rows, columns and single weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.folding import matrix_shape
from engine.measures.results import AxisProfile
from engine.sources.base import Source, TensorInfo

NORMAL_MAD = 1.482602218505602
"""Standard deviation of a normal distribution over its median absolute deviation: 1 / Φ⁻¹(3/4)."""


PIECE = 1 << 20
"""Weights of a long row looked at at a time; chosen by us: a few MiB of float64."""


@dataclass(frozen=True, slots=True)
class OutlyingLine:
    """A row or column with its norm and how far that lies from the typical one.

    Attributes:
        index: its number, from 0. l2: its norm. abs_max: its largest magnitude.
        score: (l2 − median) / (1.4826 · MAD) over all lines: robust standard deviations; NaN where the MAD is 0.
    """

    index: int
    l2: float
    abs_max: float
    score: float


@dataclass(frozen=True, slots=True)
class LargeWeight:
    """A single weight: its place in the matrix, its exact value, and its magnitude in standard deviations."""

    row: int
    column: int
    value: float
    sigmas: float


def outlying_lines(profile: AxisProfile, count: int = 10) -> list[OutlyingLine]:
    """The rows (or columns) whose norm is farthest from the median norm, farthest first.

    Args: profile: of one axis. count: at most so many.
    Returns: at most `count` lines; lines exactly at the median are never listed, so equal lines give [].
    Source: robust z-score, Iglewicz & Hoaglin 1993.
    """
    l2 = profile.l2.astype(np.float64)
    if l2.size == 0:
        return []
    distance = l2 - np.median(l2)
    spread = NORMAL_MAD * np.median(np.abs(distance))
    order = np.argsort(-np.abs(distance), kind="stable")[:count]
    return [
        OutlyingLine(int(i), float(l2[i]), float(profile.abs_max[i]), float(distance[i] / spread) if spread else np.nan)
        for i in order
        if distance[i] != 0
    ]


def largest_weights(
    source: Source, info: TensorInfo, rows: AxisProfile | None, std: float, count: int = 20
) -> list[LargeWeight]:
    """The finite weights of largest magnitude, exactly, largest first.

    The `count` largest weights lie in the `count` rows of largest magnitude, so that only those rows are read.

    Args:
        source, info: where the tensor is. rows: its stored row profile; None for a tensor of fewer than two dimensions.
        std: the tensor's standard deviation, the unit of `sigmas`. count: at most so many.
    Returns: at most `count` weights; zeros are never listed.
    """
    height, width = matrix_shape(info.shape)
    if height * width == 0:
        return []
    wanted = np.array([0]) if rows is None else np.sort(np.argsort(-rows.abs_max, kind="stable")[:count])
    found: list[LargeWeight] = []
    for row in wanted:
        line = source.read(info.name) if rows is None else source.read_rows(info.name, int(row), int(row) + 1)
        line = np.asarray(line).reshape(-1)
        for start in range(0, line.size, PIECE):
            values = line[start : start + PIECE].astype(np.float64)
            magnitude = np.where(np.isfinite(values), np.abs(values), 0.0)
            found += [
                LargeWeight(int(row), start + int(c), float(values[c]), float(magnitude[c] / std) if std else np.nan)
                for c in _largest_first(magnitude, count)
            ]
    return sorted(found, key=lambda weight: -abs(weight.value))[:count]


def _largest_first(magnitude: np.ndarray, count: int) -> np.ndarray:
    """Places of the `count` largest numbers above 0, largest first, of equal ones the first ones."""
    least = np.partition(magnitude, -count)[-count] if magnitude.size > count else 0.0
    places = np.flatnonzero((magnitude >= least) & (magnitude > 0))
    return places[np.argsort(-magnitude[places], kind="stable")[:count]]
