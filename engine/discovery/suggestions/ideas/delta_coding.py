"""A model with a relative here is written as what differs from it."""

from __future__ import annotations

from engine.discovery.suggestions.facts import ModelFacts
from engine.discovery.suggestions.registry import idea
from engine.discovery.suggestions.suggestion import Suggestion, TensorGain

LEAST = 0.1
"""Bits a weight from which it is worth keeping the relative at hand; ours."""


@idea(title="Write only the difference to a relative", finding="lineage")
def delta_coding(model: ModelFacts) -> Suggestion:
    """A fine-tune lies close to its parent: written given the parent, at the same error, its weights cost fewer bits.

    gain = ½·log₂(1/(1 − ρ²)) bits a weight, ρ the correlation of the weights, or what really coding saved where the
    shared-pattern test did that. The best relative counts.
    """
    if model.relatives is None:
        return Suggestion("delta_coding", "unknown", "Compare it with a model that it may come from first.")
    best = max(model.relatives, key=lambda relative: relative.gain_bits * relative.num_weights, default=None)
    if best is None or not best.gain_bits > LEAST:
        return Suggestion("delta_coding", "nothing", "Nothing that it was compared with is close enough to help.")
    return Suggestion(
        "delta_coding",
        "found",
        f"Its weights can be told from those of {best.name}: written given that model they cost "
        f"{best.gain_bits:.2f} bits less each, at the same error.",
        (TensorGain(f"given {best.name}", best.num_weights, best.gain_bits, {"correlation": best.correlation}),),
        baseline="the weights coded alone, at the same error",
        confidence="measured" if best.is_measured else "formula",
        limits="The relative must be there to read it again. The formula takes the difference for Gaussian noise; "
        "sparse differences, such as of a partly frozen fine-tune, save more.",
        evidence={"correlation": best.correlation},
        recipe={"codec": "delta", "given": best.content_hash},
    )
