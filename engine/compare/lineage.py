"""Is B derived from A? A verdict with its p-value, its effect size, and what was looked at and proves nothing."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from engine.compare.agreement import Agreement, unit_agreement
from engine.compare.alignment import AlignedSource, align
from engine.compare.hints import Hint, derivation_hints, no_evidence
from engine.compare.matching import Matching, match_tensors
from engine.compare.places import Likeness, likeness
from engine.compare.views import MatchedSource
from engine.sources.base import ByteCallback, Source

VERSION = 1
"""Raised when the same two checkpoints would get another verdict."""

VERDICTS: dict[str, str] = {
    "same weights": "B holds the same numbers as A",
    "derived": "one comes from the other, or both from one trained model",
    "same seed": "both began with the same random weights and were trained apart",
    "same architecture": "the same architecture, and nothing in common beyond it",
    "unrelated": "another architecture, and no sign of a common origin",
    "unanswered": "the weights do not tell",
}
"""Verdict -> what it claims."""

PROOF = 1e-6
"""p-value of the units' agreement below which two models are related; chosen by us: one false verdict in a million."""

ENTRIES_PROOF = 0.001
"""The same for networks without matchable units: the smallest that 999 permutations can give."""

SIBLINGS = 0.4
"""Kinship from which two related models are siblings, neither the parent; chosen by us between what was measured:
0.00 … 0.27 for fine-tunes, noise, pruning, 0.59 … 0.62 for models of one seed, and 0.5 … 1 as siblings must have."""

SHARED = 0.5
"""Correlation of learnt gains and biases from which training is shared; chosen by us: measured 0.68 … 1.00 after
fine-tunes, 0.12 … 0.25 for models of one seed."""

CLOSE = 0.99
"""Cosine from which Δ is so small that its direction, and so the kinship, is mostly rounding; chosen by us."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What is known of the common origin of A and B.

    Attributes:
        verdict: a key of VERDICTS. words: the verdict with its grounds, for people.
        agreement: the test on hidden units; its share is NaN where there are none.
        likeness: of entries in equal places, after alignment where units moved. kinship decides who is whose parent.
        p_value: of the test that decided: the units', or the entries' where there are no units; NaN if unanswered.
        effect_size: mean cosine of partners beyond that of noise; of entries, their correlation.
        hints: what was probably done to A, with grounds; () unless derived.
        not_evidence: name -> (value, what unrelated models of one architecture reach).
    """

    verdict: str
    words: str
    agreement: Agreement
    likeness: Likeness
    p_value: float
    effect_size: float
    hints: tuple[Hint, ...]
    not_evidence: dict[str, tuple[float, str]]

    @property
    def evidence(self) -> dict:
        """Every number, as JSON can hold it but for NaN."""
        likeness = asdict(self.likeness) | {"kinship": self.likeness.kinship}
        return {
            "agreement": asdict(self.agreement),
            "likeness": likeness,
            "hints": [asdict(hint) for hint in self.hints],
            "not_evidence": {name: {"value": v, "unrelated": text} for name, (v, text) in self.not_evidence.items()},
        }


def lineage(
    source_a: Source, source_b: Source, matching: Matching | None = None, on_bytes: ByteCallback | None = None
) -> Lineage:
    """Judge whether two checkpoints have a common origin.

    First the units' agreement (`engine.compare.agreement`), which proves or does not prove a relation; then, of related
    ones, whether they are equal, parent and child, or siblings of one seed (`engine.compare.places`).

    Args: matching: as `match_tensors` gives it; None to match here. on_bytes: called between steps with 0, may raise.
    """
    matching = matching or match_tensors(source_a, source_b)
    agreement = unit_agreement(source_a, source_b, matching, on_bytes)
    ordered: Source = MatchedSource(source_b, matching)
    if agreement.num_moved and agreement.p_value < PROOF:
        ordered = AlignedSource(source_b, matching, align(source_a, source_b, matching, on_bytes))
    alike = likeness(source_a, ordered, matching)
    has_units = not math.isnan(agreement.share)
    p = agreement.p_value if has_units else alike.p_value
    is_related = p < PROOF if has_units else p <= ENTRIES_PROOF and alike.correlation > 0.05
    effect = agreement.effect_size if has_units else alike.correlation
    hints: tuple[Hint, ...] = ()
    if math.isnan(p):
        verdict = "unanswered"
    elif not is_related:
        verdict = "unanswered" if p < ENTRIES_PROOF else _unrelated(source_a, source_b, matching)
    else:
        verdict = _related(alike)
        if verdict in ("derived", "same weights"):
            hints = derivation_hints(source_a, ordered, matching, agreement.num_moved)
    if verdict == "derived" and any(hint.kind == "equal" for hint in hints):
        verdict = "same weights"
    found = no_evidence(source_a, ordered, matching)
    words = _words(verdict, agreement, alike, hints)
    return Lineage(verdict, words, agreement, alike, p, effect, hints, found)


def _related(alike: Likeness) -> str:
    """Of two related models: "derived" or "same seed"."""
    is_shared = None if math.isnan(alike.learnt) else alike.learnt >= SHARED
    if alike.correlation >= CLOSE or math.isnan(alike.kinship):
        return "same seed" if is_shared is False else "derived"
    return "derived" if alike.kinship < SIBLINGS or is_shared else "same seed"


def _unrelated(source_a: Source, source_b: Source, matching: Matching) -> str:
    """ "same architecture" if nearly all of both stands against something of the same shape."""
    compared = sum(match.num_compared for match in matching.matches if match.matched_by != "tied")
    whole = max(source_a.num_parameters, source_b.num_parameters)
    return "same architecture" if compared >= 0.9 * whole else "unrelated"


def _words(verdict: str, agreement: Agreement, alike: Likeness, hints: tuple[Hint, ...]) -> str:
    sentences = [f"{verdict.capitalize()}: {VERDICTS[verdict]}."]
    if agreement.num_units:
        sentences.append(
            f"Two independent matchings of hidden units agree on {agreement.num_agreeing:,} of {agreement.num_units:,} "
            f"(unrelated models: about {agreement.num_blocks}); p {_p(agreement.p_value)}."
        )
    elif not math.isnan(alike.p_value):
        sentences.append(
            f"There are no hidden units to match; entries in equal places correlate by {alike.correlation:.2f}, "
            f"p {_p(alike.p_value)} against rows and columns in random order."
        )
    else:
        sentences.append("No matrix of one stands against a matrix of the other.")
    if verdict in ("derived", "same seed"):
        said = (
            f"Equal places have cosine {alike.correlation:.3f}, kinship {alike.kinship:.2f} (0: one is the other plus"
        )
        sentences.append(f"{said} a change; ½ and more: siblings).")
        if not math.isnan(alike.learnt):
            sentences.append(f"What norms and biases learnt correlates by {alike.learnt:.2f}.")
    return " ".join(sentences + [hint.words for hint in hints])


def _p(value: float) -> str:
    return "< 1e-300" if value < 1e-300 else f"= {value:.2g}"
