"""Two checkpoints compared tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from engine.compare.delta_spectrum import DeltaSpectrum, delta_spectrum
from engine.compare.difference import METRICS, TOLERANCE, Difference
from engine.compare.matching import Match, Matching
from engine.compare.pairs import compare_match
from engine.compare.views import DeltaSource
from engine.errors import Cancelled, HubError, WeightscopeError
from engine.sources.base import ByteCallback, Source

MEASURES: dict[str, tuple[str, str]] = {name: (title, "1") for name, title in METRICS.items()} | {
    "max_abs": ("Largest |Δ|", "weight"),
    "num_excluded": (METRICS["num_excluded"], "count"),
    "num_changed": ("Weights that differ in a bit", "count"),
    "num_compared": ("Weights compared", "count"),
    "l2_a": ("‖A‖", "weight"),
    "l2_b": ("‖B‖", "weight"),
    "l2_delta": ("‖Δ‖", "weight"),
    "effective_rank": ("Effective rank of Δ", "1"),
    "rank_99": ("Directions that hold 99 % of ‖Δ‖²", "count"),
}
"""What is known of a pair of tensors: name -> (title, unit); the columns of the SQL view `comparison_stats`."""


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """How to compare.

    Attributes:
        tolerance: |Δ| up to which an entry counts as unchanged in `above_fraction`.
        with_spectrum: also the spectrum of Δ, of every matrix that changed.
        threads: at most so many; None for all cores. The numbers do not depend on it.
    """

    tolerance: float = TOLERANCE
    with_spectrum: bool = True
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class TensorComparison:
    """One pair of tensors.

    Attributes:
        match: which they are. difference: None if they could not be compared, with the reason in `error`.
        spectrum: of Δ; None if nothing changed, for vectors, and for very large matrices.
    """

    match: Match
    difference: Difference | None
    spectrum: DeltaSpectrum | None = None
    error: str | None = None

    def values(self) -> dict[str, float]:
        """Every entry of MEASURES; NaN where undefined."""
        if self.difference is None:
            return dict.fromkeys(MEASURES, math.nan)
        found = {"num_compared": float(self.difference.count)}
        for name in MEASURES:
            holder = self.spectrum if name in ("effective_rank", "rank_99") else self.difference
            if name not in found:
                found[name] = math.nan if holder is None else float(getattr(holder, name))
        return {name: found[name] for name in MEASURES}


def compare_tensors(
    source_a: Source,
    source_b: Source,
    matching: Matching,
    settings: ComparisonSettings | None = None,
    on_bytes: ByteCallback | None = None,
) -> Iterator[TensorComparison]:
    """Every pair of a matching, one after the other, in its order.

    A pair that cannot be compared gives a row with its reason; a network that fails, and `on_bytes`, may end the work.
    """
    for match in matching.matches:
        yield compare_one(source_a, source_b, matching, match, settings, on_bytes)


def compare_one(
    source_a: Source,
    source_b: Source,
    matching: Matching,
    match: Match,
    settings: ComparisonSettings | None = None,
    on_bytes: ByteCallback | None = None,
) -> TensorComparison:
    """One pair of a matching; arguments and failures as `compare_tensors`."""
    settings = settings or ComparisonSettings()
    if not match.is_comparable:
        return TensorComparison(match, None, error=match.note)
    try:
        found = compare_match(
            source_a, source_b, match, tolerance=settings.tolerance, threads=settings.threads, on_bytes=on_bytes
        )
        spectrum = None
        if settings.with_spectrum and found.l2_delta > 0 and not found.num_excluded:
            alone = Matching((match,), (), ())
            delta = DeltaSource(source_a, source_b, alone)
            spectrum = delta_spectrum(delta, delta.info(match.name_a))
        return TensorComparison(match, found, spectrum)
    except (Cancelled, HubError):
        raise
    except WeightscopeError as error:
        return TensorComparison(match, None, error=str(error))
