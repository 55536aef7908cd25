"""What was probably done to A to make B, and what only looks like evidence of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.compare.delta_spectrum import LARGEST_SIDE, spectrum_of_gram
from engine.compare.matching import Match, Matching
from engine.compare.views import rows_of_a
from engine.dtypes import KNOWN_TYPES
from engine.errors import WeightscopeError
from engine.sources.base import Source

MAX_MATRICES, MAX_ROWS = 8, 2048
"""Matrices looked at, evenly over the model, and first rows of each; chosen by us: a second or two."""


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing that was probably done: "equal", "permuted", "rounded", "quantised", "pruned", "low rank" or "trained".

    Attributes: words: the grounds, a sentence.
    """

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class _Facts:
    """Of one matrix: share of equal entries, of new zeros, distinct values other than 0 in rows of B against A, …"""

    equal: float
    new_zeros: float
    distinct: float
    is_bfloat16: bool
    low_rank: int
    full_rank: int


def derivation_hints(source_a: Source, ordered_b: Source, matching: Matching, num_moved: int) -> tuple[Hint, ...]:
    """Args: ordered_b: B in A's layout and order. num_moved: units that had another number."""
    matches = _picked(matching)
    facts = [found for match in matches if (found := _facts(source_a, ordered_b, match)) is not None]
    hints = []
    if num_moved:
        hints.append(Hint("permuted", f"Hidden units were put in another order ({num_moved:,} of those looked at)."))
    if not facts:
        return tuple(hints)
    if all(each.equal == 1 for each in facts) and _all_equal(source_a, ordered_b, matching):
        return (*hints, Hint("equal", "Every value is equal."))
    blocks = sorted({m.dtype_b for m in matching.matches if m.dtype_b not in KNOWN_TYPES and m.dtype_a != m.dtype_b})
    changed = [each for each in facts if each.equal < 1] or facts
    zeros = float(np.median([each.new_zeros for each in changed]))
    distinct = float(np.median([each.distinct for each in changed]))
    if blocks:
        hints.append(Hint("quantised", f"B is stored as {', '.join(blocks)}."))
    elif all(each.is_bfloat16 for each in changed):
        hints.append(Hint("rounded", "B is A rounded to bfloat16, entry by entry."))
    elif distinct < 0.6:
        hints.append(Hint("quantised", f"A row of B has {distinct:.0%} of the distinct values of A's: a coarse grid."))
    elif zeros > 0.05:
        hints.append(Hint("pruned", f"{zeros:.0%} of the entries are zero in B and not in A."))
    else:
        ranked = [each for each in changed if each.full_rank >= 16]
        low = [each for each in ranked if 0 < each.low_rank <= each.full_rank // 8]
        if low and len(low) == len(ranked):
            rank = max(each.low_rank for each in low)
            hints.append(Hint("low rank", f"Δ has at most {rank} directions in every matrix: a low-rank adapter."))
        else:
            hints.append(Hint("trained", "Δ has full rank and no grid: further training, a merge, or noise."))
    return tuple(hints)


def no_evidence(source_a: Source, ordered_b: Source, matching: Matching) -> dict[str, tuple[float, str]]:
    """What unrelated models share as well: name -> (value, what unrelated models of one architecture reach)."""
    deviations, spectra = [], []
    for match in _picked(matching, 32):
        x, y = _rows(source_a, ordered_b, match, 128)
        if x.std() > 0 and y.std() > 0:
            deviations.append((math.log(x.std()), math.log(y.std())))
            if len(spectra) < 4 and min(x.shape) >= 16:
                spectra.append(_spectra_likeness(x, y))
    sigma = np.corrcoef(np.array(deviations).T)[0, 1] if len(deviations) >= 4 else math.nan
    return {
        "correlation of the matrices' standard deviations": (float(sigma), "0.94–0.99"),
        "likeness of their spectra": (float(np.mean(spectra)) if spectra else math.nan, "0.98–0.998"),
    }


def _spectra_likeness(x: np.ndarray, y: np.ndarray) -> float:
    """Cosine of two falling lists of singular values."""
    from scipy.linalg import svdvals

    p, q = svdvals(x), svdvals(y)
    return float(p @ q / max(np.linalg.norm(p) * np.linalg.norm(q), 1e-300))


def _picked(matching: Matching, most: int = MAX_MATRICES) -> list[Match]:
    """Matrices inside the layers where there are any, evenly over the model."""
    matrices = [m for m in matching.matches if m.is_comparable and len(m.shape_a) >= 2 and m.matched_by != "tied"]
    matrices = [m for m in matrices if m.place.layer is not None] or matrices
    if not matrices:
        return []
    return [matrices[i] for i in np.unique(np.linspace(0, len(matrices) - 1, min(most, len(matrices))).astype(int))]


def _rows(source_a: Source, ordered_b: Source, match: Match, most: int) -> tuple[np.ndarray, np.ndarray]:
    stop = min(match.compared_shape[0], most)
    pair = rows_of_a(source_a, match, 0, stop), ordered_b.read_rows(match.name_a, 0, stop)
    return tuple(np.nan_to_num(np.asarray(each).reshape(stop, -1).astype(np.float64)) for each in pair)


def _facts(source_a: Source, ordered_b: Source, match: Match) -> _Facts | None:
    import ml_dtypes

    x, y = _rows(source_a, ordered_b, match, MAX_ROWS)
    if not x.size:
        return None
    delta, full = y - x, min(x.shape)
    low = 0
    if 16 <= full <= LARGEST_SIDE and np.any(delta):
        low = spectrum_of_gram(delta.T @ delta if delta.shape[1] <= delta.shape[0] else delta @ delta.T).rank_99
    rows = np.unique(np.linspace(0, len(x) - 1, 8).astype(int))
    kept = [y[row] != 0 for row in rows]
    counts = [(len(np.unique(y[r][k])), len(np.unique(x[r][k]))) for r, k in zip(rows, kept, strict=True)]
    rounded = x.astype(np.float32).astype(ml_dtypes.bfloat16).astype(np.float64)
    return _Facts(
        equal=float((delta == 0).mean()),
        new_zeros=float(((y == 0) & (x != 0)).mean()),
        distinct=sum(b for b, _ in counts) / max(sum(a for _, a in counts), 1),
        is_bfloat16=bool((rounded == y).all()),
        low_rank=low,
        full_rank=full,
    )


def _all_equal(source_a: Source, ordered_b: Source, matching: Matching) -> bool:
    """Whether every value of every tensor that stands against one of B is equal."""
    from engine.compare.difference import difference

    for match in matching.matches:
        if not match.is_comparable or match.matched_by == "tied":
            continue
        rows = match.compared_shape[0] if match.compared_shape else 1
        try:
            found = difference(
                np.asarray(rows_of_a(source_a, match, 0, rows)), np.asarray(ordered_b.read(match.name_a))
            )
        except WeightscopeError:  # what is no real number is not looked at
            continue
        if found.l2_delta > 0:
            return False
    return True
