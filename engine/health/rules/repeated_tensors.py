"""Tensors that occur twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from engine.health.evidence import ModelEvidence, TensorEvidence
from engine.health.findings import Finding
from engine.health.registry import rule

TIED_ROLES = frozenset({"token_embedding", "lm_head"})


@rule(title="Tied and repeated tensors")
def repeated_tensors(model: ModelEvidence) -> Iterator[Finding]:
    """Tensors with the same shape, type and bits as an earlier one.

    A note where embedding and head are tied but stored twice (wasted bytes), a warning for two matrices of the layers
    (one was copied or never trained apart). Threshold: none. Constant and one-dimensional tensors are left out: norms
    and biases are often equal from the beginning.
    """
    groups: dict[str, list[TensorEvidence]] = defaultdict(list)
    for tensor in model.tensors:
        if tensor.marks is not None and tensor.is_matrix and tensor.value("min") != tensor.value("max"):
            groups[tensor.marks.digest].append(tensor)
    for group in groups.values():
        for tensor in group[1:]:
            is_tied = {tensor.place.role, group[0].place.role} <= TIED_ROLES
            words = f"The same as {group[0].name}, bit for bit."
            words += (
                f" They are tied but stored twice: {tensor.info.num_bytes:,} bytes could be saved."
                if is_tied
                else " One was copied from the other, or both were never trained."
            )
            yield Finding("repeated_tensors", "note" if is_tied else "warning", tensor.name, words)
