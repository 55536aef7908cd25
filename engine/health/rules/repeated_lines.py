"""Rows and columns that occur twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.health.evidence import ModelEvidence, TensorEvidence
from engine.health.findings import Finding, listed, some
from engine.health.registry import rule


@rule(title="Repeated rows and columns")
def repeated_lines(model: ModelEvidence) -> Iterator[Finding]:
    """Rows or columns that repeat an earlier one bit for bit, zero lines aside: a warning.

    Threshold: none; trained lines do not become equal by chance. Two units with the same input weights compute the same
    thing (a symmetry that training from copied units never breaks). Only floating-point matrices whose lines have eight
    entries or more; constant tensors and embedding rows have rules of their own.
    """
    for tensor in model.tensors:
        if tensor.marks is None or not tensor.is_matrix or not is_floating(tensor.info.dtype):
            continue
        if tensor.value("min") == tensor.value("max"):
            continue
        if not tensor.is_embedding:
            yield from _repeated(tensor, "row", tensor.marks.repeated_rows, tensor.rows)
        yield from _repeated(tensor, "column", tensor.marks.repeated_columns, tensor.columns)


def _repeated(tensor: TensorEvidence, axis: str, pairs: np.ndarray, profile) -> Iterator[Finding]:
    if profile is not None and len(pairs):
        pairs = pairs[(profile.abs_max[pairs[:, 0]] > 0) | (profile.num_nonfinite[pairs[:, 0]] > 0)]
    if len(pairs):
        first, leader = (int(line) for line in pairs[0])
        yield Finding(
            "repeated_lines",
            "warning",
            tensor.name,
            f"{len(pairs):,} {axis}s repeat an earlier one bit for bit: {axis} {first:,} is {axis} {leader:,}"
            + (f"; also {listed(pairs[1:, 0])}." if len(pairs) > 1 else "."),
            value=len(pairs),
            threshold=0,
            axis=axis,
            lines=some(pairs[:, 0]),
            num_lines=len(pairs),
        )


def is_floating(dtype: str) -> bool:
    """Whether a type, as files spell it, is a floating-point one; quantised blocks and integers repeat by nature."""
    return dtype.startswith(("F", "BF"))
