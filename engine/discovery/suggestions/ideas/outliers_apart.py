"""Few weights stretch the range of all others: keep them apart."""

from __future__ import annotations

import math

from engine.discovery.suggestions.bits import OUTLIER_SIGMAS, mask_entropy
from engine.discovery.suggestions.facts import ModelFacts, TensorFacts
from engine.discovery.suggestions.registry import idea
from engine.discovery.suggestions.suggestion import Suggestion, TensorGain, most_first

APART_BITS = 16
"""Bits in which an outlier is kept; its place costs the entropy of the mask."""

LEAST = 0.05


@idea(title="Keep outliers apart", finding="outliers")
def outliers_apart(model: ModelFacts) -> Suggestion:
    """Weights beyond 8 σ are kept in 16 bits, with their places, so that the integers of all others need less range.

    gain = log₂(largest |w| / largest |w| of the others) bits a weight at the same step and so the same error, less
    16 bits an outlier and the entropy of their mask. At the same number of bits, the error shrinks by that ratio
    instead.
    """
    gains = [gain for tensor in model.tensors if (gain := _gain(tensor)) is not None]
    found = [gain for gain in gains if gain.gain_bits > LEAST]
    count = sum(int(gain.evidence["outliers"]) for gain in gains)
    if not found:
        words = f"{count:,} weights lie beyond {OUTLIER_SIGMAS:g} σ; keeping them apart would save nothing."
        return Suggestion("outliers_apart", "nothing", words, evidence={"outliers": float(count)})
    kept = sum(int(gain.evidence["outliers"]) for gain in found)
    weights = sum(gain.num_weights for gain in found)
    return Suggestion(
        "outliers_apart",
        "found",
        f"{kept:,} of {weights:,} weights, in {len(found):,} matrices, lie beyond {OUTLIER_SIGMAS:g} σ and stretch the "
        "range of all others. Kept apart, the others need fewer bits for the same error.",
        most_first(found),
        baseline="integers with one scale for each tensor, at the same error",
        confidence="formula",
        limits="Entropy-coded integers, and scales for small groups, suffer less from outliers and gain less.",
        evidence={"outliers": float(kept)},
        recipe={"codec": "integer", "scale": "tensor", "outliers_above_sigma": OUTLIER_SIGMAS},
    )


def _gain(tensor: TensorFacts) -> TensorGain | None:
    bits = tensor.bits
    if bits is None or not tensor.is_matrix or not bits.num_outliers or not bits.largest_inside > 0:
        return None
    weights = tensor.info.num_elements
    share = bits.num_outliers / weights
    cost, ratio = mask_entropy(share) + APART_BITS * share, bits.largest / bits.largest_inside
    evidence = {"outliers": float(bits.num_outliers), "cost_bits": cost, "error_ratio": 1 / ratio}
    return TensorGain(tensor.name, weights, math.log2(ratio) - cost, evidence)
