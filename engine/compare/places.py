"""Whether equal places hold like entries: a test for networks without matchable units, and the measure of kinship."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.compare.difference import Difference, DifferenceSum
from engine.compare.matching import Match, Matching
from engine.compare.samples import correlation
from engine.compare.units import NORM_BEFORE
from engine.compare.views import PIECE_BYTES, rows_of_a
from engine.sources.base import Source

MAX_MATRICES, SIDE, PERMUTATIONS = 16, 64, 999
"""Matrices sampled, rows and columns kept of each, and permutations drawn; chosen by us: a second in all."""

RESCALED = 0.02
"""By how much the cosine rises with the gains multiplied in if scales were moved; ours: far more than training does."""

VARIED = 1e-4
"""Standard deviation from which a vector of gains or biases counts as learnt; ours: fresh ones are constant."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two models are in equal places.

    Attributes:
        correlation: median over matrices of the cosine of A and B. b_on_a, a_on_b: medians of ⟨A, B⟩/‖A‖² and
            ⟨A, B⟩/‖B‖², the slopes of one on the other.
        is_rescaled: whether these are of matrices times the gains of the norms before them, because without them
            they are less alike: somebody moved scales from one to the other.
        learnt: correlation of what gains and biases learnt; NaN if either side has learnt nothing there, or if scales
            were moved.
        p_value: of the correlation of entries, by permuting rows and columns of B; NaN without matrices.
        num_matrices: looked at.
    """

    correlation: float
    b_on_a: float
    a_on_b: float
    is_rescaled: bool
    learnt: float
    p_value: float
    num_matrices: int

    @property
    def kinship(self) -> float:
        """(1 − larger slope) / (1 − ρ²): 0 if one is the other plus something of its own, 1/(1 + ρ) ≥ ½ if both are
        one common part plus something of their own each; NaN where they are equal or nothing is known."""
        rest = 1 - self.correlation**2
        return (1 - max(self.b_on_a, self.a_on_b)) / rest if rest > 1e-9 else math.nan


def likeness(source_a: Source, source_b: Source, matching: Matching) -> Likeness:
    """Compare entries in equal places; B in A's layout and order (`MatchedSource`, `AlignedSource`)."""
    whole = [m for m in matching.matches if m.is_comparable and m.matched_by != "tied"]
    matrices = [m for m in whole if len(m.shape_a) >= 2 and min(m.shape_a[0], m.num_compared // m.shape_a[0]) >= 4]
    samples = []
    picked = np.unique(np.linspace(0, len(matrices) - 1, min(len(matrices), MAX_MATRICES)).astype(int))
    for index in picked if matrices else ():
        samples.append(_corner(source_a, source_b, matrices[index]))
    slopes, num_raised = _slopes(source_a, source_b, matrices, _norms(whole))
    is_rescaled = num_raised > len(slopes) / 10
    b_on_a, a_on_b, cosine = np.median(slopes, axis=0).tolist() if slopes else (math.nan,) * 3
    vectors = [match for match in whole if len(match.shape_a) == 1 and match.shape_a[0] >= 8]
    learnt = math.nan if is_rescaled else _learnt(source_a, source_b, vectors)
    return Likeness(cosine, b_on_a, a_on_b, is_rescaled, learnt, _permutation_p(samples), len(slopes))


def _norms(matches: list[Match]) -> dict[str, str]:
    """Matrix -> the gain of the norm whose output it takes, both by A's names."""
    gains = {
        (match.place.stack, match.place.layer, match.place.role): match
        for match in matches
        if match.place.part == "weight" and len(match.shape_a) == 1
    }
    found = {}
    for match in matches:
        role = NORM_BEFORE.get(match.place.role)
        gain = gains.get((match.place.stack, match.place.layer, role))
        if gain is not None and len(match.shape_a) == 2 and match.shape_a[1] == gain.shape_a[0]:
            found[match.name_a] = gain.name_a
    return found


def _slopes(
    source_a: Source, source_b: Source, matrices: list[Match], norms: dict[str, str]
) -> tuple[list[tuple[float, float, float]], int]:
    """(B's slope on A, A's slope on B, their cosine) of each matrix; and how many are more alike with their gains."""
    slopes, num_raised = [], 0
    for match in matrices:
        chosen = _slope(_sums(source_a, source_b, match, None))
        if match.name_a in norms:
            folded = _slope(_sums(source_a, source_b, match, norms[match.name_a]))
            if chosen and folded and folded[2] > chosen[2] + RESCALED:
                chosen, num_raised = folded, num_raised + 1
        if chosen:
            slopes.append(chosen)
    return slopes, num_raised


def _slope(found: Difference) -> tuple[float, float, float] | None:
    """None where either is zero."""
    if not found.l2_a or not found.l2_b:
        return None
    cosine, ratio = found.product / found.l2_a / found.l2_b, found.l2_b / found.l2_a
    return cosine * ratio, cosine / ratio, cosine


def _sums(source_a: Source, source_b: Source, match: Match, norm: str | None) -> Difference:
    """The norms and the product of a whole matrix, read in pieces, its columns times the gains of the norm if any."""
    sums, count = DifferenceSum(), match.compared_shape[0]
    gains = [np.asarray(source.read(norm)).astype(np.float32) for source in (source_a, source_b)] if norm else None
    step = max((PIECE_BYTES // 8) // max(match.num_compared // count, 1), 1)
    for start in range(0, count, step):
        stop = min(start + step, count)
        b = np.asarray(source_b.read_rows(match.name_a, start, stop))
        a = np.asarray(rows_of_a(source_a, match, start, stop)).reshape(b.shape)
        if gains is not None:
            a, b = a.astype(np.float32) * gains[0], b.astype(np.float32) * gains[1]
        sums.add(a, b)
    return sums.result(1)


def _corner(source_a: Source, source_b: Source, match: Match) -> tuple[np.ndarray, np.ndarray]:
    """(SIDE, SIDE) at most of both, the same rows and columns, evenly over the matrix."""
    count = match.compared_shape[0]
    rows = np.unique(np.linspace(0, count - 1, min(SIDE, count)).astype(int))
    if match.num_compared <= PIECE_BYTES // 8:
        x, y = rows_of_a(source_a, match, 0, count), source_b.read(match.name_a)
        x, y = (np.asarray(each).reshape(count, -1)[rows] for each in (x, y))
    else:
        x = np.stack([np.asarray(rows_of_a(source_a, match, int(r), int(r) + 1)).reshape(-1) for r in rows])
        y = np.stack([np.asarray(source_b.read_rows(match.name_a, int(r), int(r) + 1)).reshape(-1) for r in rows])
    columns = np.unique(np.linspace(0, x.shape[1] - 1, min(SIDE, x.shape[1])).astype(int))
    return tuple(np.nan_to_num(each[:, columns].astype(np.float64)) for each in (x, y))


def _permutation_p(samples: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """How often rows and columns in random order correlate as well, of PERMUTATIONS + 1."""
    standard = []
    for x, y in samples:
        x, y = x - x.mean(), y - y.mean()
        scale = np.linalg.norm(x) * np.linalg.norm(y)
        if scale > 0:
            standard.append((x, y / scale))
    if not standard:
        return math.nan
    random, found = np.random.default_rng(0), sum(float((x * y).sum()) for x, y in standard)
    at_least = 0
    for _ in range(PERMUTATIONS):
        drawn = 0.0
        for x, y in standard:
            rows, columns = random.permutation(len(y)), random.permutation(y.shape[1])
            drawn += float((x * y[rows][:, columns]).sum())
        at_least += drawn >= found
    return (1 + at_least) / (1 + PERMUTATIONS)


def _learnt(source_a: Source, source_b: Source, vectors: list[Match]) -> float:
    """Correlation over all vectors of their deviations from their own medians."""
    x, y = [], []
    for match in vectors:
        a = np.asarray(source_a.read(match.name_a)).astype(np.float64)
        b = np.asarray(source_b.read(match.name_a)).astype(np.float64)
        if len(a) == len(b) and np.isfinite(a).all() and np.isfinite(b).all():
            x.append(a - np.median(a))
            y.append(b - np.median(b))
    if not x:
        return math.nan
    x, y = np.concatenate(x), np.concatenate(y)
    if min(x.std(), y.std()) < VARIED:
        return math.nan
    return correlation(x, y)
