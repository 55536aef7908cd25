"""Tensors that say nothing."""

from __future__ import annotations

from collections.abc import Iterator

from engine.health.evidence import ModelEvidence
from engine.health.findings import Finding
from engine.health.registry import rule

LEAST_ENTRIES = 2


@rule(title="All-zero and constant tensors")
def constant_tensors(model: ModelEvidence) -> Iterator[Finding]:
    """Tensors whose entries are all the same number: a warning for matrices, a note for biases and norms.

    Threshold: none; smallest = largest, over at least two entries. Biases begin at 0 and norm weights at 1, so a
    constant one was never trained or has no effect; the B of a LoRA pair begins at 0 too.
    """
    for tensor in model.tensors:
        if tensor.info.num_elements < LEAST_ENTRIES or tensor.value("min") != tensor.value("max"):
            continue
        if tensor.value("nan") + tensor.value("posinf") + tensor.value("neginf") > 0:
            continue
        number = tensor.value("min")
        is_start = not tensor.is_matrix and number in (0.0, 1.0)
        words = f"All {tensor.info.num_elements:,} entries are {number:.6g}."
        if is_start:
            words += " It still has the value that it was made with: never trained, or without effect."
        else:
            words += " A matrix without any difference carries no information." if tensor.is_matrix else ""
        yield Finding("constant_tensors", "warning" if tensor.is_matrix else "note", tensor.name, words, value=number)
