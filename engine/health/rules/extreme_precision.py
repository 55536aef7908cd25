"""Numbers at the edges of their type."""

from __future__ import annotations

from collections.abc import Iterator

from engine.health.evidence import ModelEvidence
from engine.health.findings import Finding
from engine.health.registry import rule

MOST_SUBNORMAL = 0.01
"""Share of subnormal entries above which rounding is told of. Ours: at a normal distribution of σ = 0.005 in fp16, 1 %
of the entries are subnormal, and such entries lose at most their last digits."""

MOST_SATURATED_8_BIT = 0.001
"""Scaled 8-bit weights use their largest number on purpose, about once a row. Ours."""


@rule(title="Saturated and subnormal weights")
def extreme_precision(model: ModelEvidence) -> Iterator[Finding]:
    """Entries at the largest number of their type (a warning: probably cut off), or below its smallest normal one.

    Thresholds: any saturated entry of a 16-bit or wider type, 0.1 % of an 8-bit one; 1 % subnormal entries (a note).
    Source of the types' limits: IEEE 754; OCP 8-bit floating point 1.0.
    """
    for tensor in model.tensors:
        if tensor.marks is None or tensor.info.num_elements == 0:
            continue
        size = tensor.info.num_elements
        saturated, subnormal = tensor.marks.num_largest / size, tensor.marks.num_subnormal / size
        bound = MOST_SATURATED_8_BIT if tensor.info.dtype.startswith("F8") else 0.0
        if saturated > bound:
            yield Finding(
                "extreme_precision",
                "warning",
                tensor.name,
                f"{tensor.marks.num_largest:,} entries have the largest magnitude that {tensor.info.dtype} can hold: "
                "larger ones were probably cut off.",
                value=saturated,
                threshold=bound,
            )
        if subnormal > MOST_SUBNORMAL:
            yield Finding(
                "extreme_precision",
                "note",
                tensor.name,
                f"{subnormal:.1%} of the entries are subnormal in {tensor.info.dtype} and have lost digits; another "
                "type or a scale would keep them.",
                value=subnormal,
                threshold=MOST_SUBNORMAL,
            )
