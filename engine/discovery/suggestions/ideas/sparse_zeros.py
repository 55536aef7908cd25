"""Many exact zeros: a mask instead of numbers."""

from __future__ import annotations

from engine.discovery.suggestions.bits import mask_entropy
from engine.discovery.suggestions.facts import ModelFacts
from engine.discovery.suggestions.registry import idea
from engine.discovery.suggestions.suggestion import Suggestion, TensorGain, most_first

LEAST_SHARE, LEAST = 0.01, 0.05
"""Share of zeros, and bits a weight, from which it is worth a mask; ours."""


@idea(title="Leave out the zeros", finding="heavy zeros", price="nothing")
def sparse_zeros(model: ModelFacts) -> Suggestion:
    """Exact zeros, as pruning leaves them, are told by an entropy-coded mask; only the other weights are written.

    gain = p·b − H(p), p the share of zeros, b the bits of a weight, H the entropy of the mask.
    """
    gains, largest = [], 0.0
    for tensor in model.tensors:
        share = tensor.value("zero_fraction")
        if not share > 0 or not tensor.is_matrix:
            continue
        largest = max(largest, share)
        gain = share * tensor.bits_per_weight - mask_entropy(share)
        if share >= LEAST_SHARE and gain > LEAST:
            evidence = {"zero_share": share, "mask_bits": mask_entropy(share)}
            gains.append(TensorGain(tensor.name, tensor.info.num_elements, gain, evidence))
    if not gains:
        words = f"A share of at most {largest:.2g} of a matrix is exactly zero." if largest else "No weight is zero."
        return Suggestion("sparse_zeros", "nothing", words, evidence={"largest_share": largest})
    zeros = sum(gain.evidence["zero_share"] * gain.num_weights for gain in gains)
    share = zeros / sum(gain.num_weights for gain in gains)
    return Suggestion(
        "sparse_zeros",
        "found",
        f"{share:.0%} of the weights of {len(gains):,} matrices are exactly zero: a mask says which.",
        most_first(gains),
        baseline="the tensors as they are stored",
        confidence="exact",
        limits="−0 becomes 0. Where whole rows are zero, trimming saves more; zeros in a pattern cost less than this.",
        evidence={"zero_share": share},
        recipe={"codec": "sparse", "mask": "entropy"},
    )
