"""What is there twice is written once."""

from __future__ import annotations

from engine.discovery.suggestions.facts import ModelFacts
from engine.discovery.suggestions.registry import idea
from engine.discovery.suggestions.suggestion import Suggestion, TensorGain, most_first

INDEX_BITS = 32
"""Bits that say which earlier row or column a repeated one equals."""


@idea(title="Write repeated weights once", finding="repeated rows and tensors", price="nothing")
def sharing(model: ModelFacts) -> Suggestion:
    """Rows, columns or tensors that repeat an earlier one bit for bit are written once, with a reference of 32 bits.

    gain = stored bits of the repeated lines − 32 bits each. Where rows and columns repeat in one tensor, the larger
    saving counts.
    """
    if model.findings is None:
        return Suggestion("sharing", "unknown", "Examine the health of the model first.")
    best: dict[str, TensorGain] = {}
    for finding in model.findings:
        tensor = model.tensor(finding.tensor)
        if tensor is None or finding.rule not in ("repeated_tensors", "repeated_lines"):
            continue
        lines, weights = 1, tensor.info.num_elements
        if finding.rule == "repeated_lines":
            lines = finding.num_lines
            weights = lines * (tensor.num_columns if finding.axis == "row" else tensor.num_rows)
        gain = TensorGain(
            tensor.name, weights, tensor.bits_per_weight - INDEX_BITS * lines / weights, {"lines": float(lines)}
        )
        if gain.gain_bits > 0 and (tensor.name not in best or gain.gain_bytes > best[tensor.name].gain_bytes):
            best[tensor.name] = gain
    if not best:
        return Suggestion("sharing", "nothing", "No tensor, row or column repeats another one.")
    return Suggestion(
        "sharing",
        "found",
        f"Weights of {len(best):,} tensors are there twice, bit for bit: they can be written once.",
        most_first(list(best.values())),
        baseline="the tensors as they are stored",
        confidence="exact",
        evidence={"tensors": float(len(best))},
        recipe={"codec": "share", "lines": "repeated"},
    )
