"""Numbers that are none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.health.evidence import ModelEvidence
from engine.health.findings import Finding, listed, some
from engine.health.registry import rule

MASK_ROLES = frozenset({"attention_mask"})
"""Tensors in which −Inf is meant: it forbids."""


@rule(title="NaN and infinite weights")
def non_finite(model: ModelEvidence) -> Iterator[Finding]:
    """An error for every tensor with a NaN or ±Inf: one of them makes every output that it reaches NaN.

    Threshold: none is allowed. −Inf in an attention mask is meant and passes.
    """
    for tensor in model.tensors:
        kinds = {"NaN": tensor.value("nan"), "+Inf": tensor.value("posinf"), "−Inf": tensor.value("neginf")}
        if tensor.place.role in MASK_ROLES:
            kinds.pop("−Inf")
        counts = {name: count for name, count in kinds.items() if count > 0}
        if not counts:
            continue
        rows = np.zeros(0, int) if tensor.rows is None else np.flatnonzero(tensor.rows.num_nonfinite)
        said = ", ".join(f"{count:,.0f} {name}" for name, count in counts.items())
        where = f" in row {listed(rows)}" if rows.size == 1 else f" in rows {listed(rows)}" if rows.size else ""
        yield Finding(
            "non_finite",
            "error",
            tensor.name,
            f"{said}{where}. The model cannot give a number wherever these weights take part.",
            value=sum(counts.values()),
            threshold=0,
            axis="row" if rows.size else "",
            lines=some(rows),
            num_lines=int(rows.size),
        )
