"""Units that never speak and inputs that are never heard."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.health.evidence import ModelEvidence, TensorEvidence
from engine.health.findings import Finding, listed, some
from engine.health.registry import rule


@rule(title="Dead rows and columns")
def dead_lines(model: ModelEvidence) -> Iterator[Finding]:
    """Rows or columns of a matrix that are exactly zero, in a matrix that is not zero throughout: a warning.

    Threshold: none; every entry is 0. A dead row of a linear layer is a unit that never fires, a dead column an input
    that is never used; structured pruning leaves both on purpose. Embedding rows belong to `wasted_vocabulary`.
    """
    for tensor in model.tensors:
        if not tensor.is_matrix or not tensor.value("abs_max") > 0:
            continue
        if not tensor.is_embedding:
            yield from _dead(tensor, "row", tensor.rows)
        yield from _dead(tensor, "column", tensor.columns)


def _dead(tensor: TensorEvidence, axis: str, profile) -> Iterator[Finding]:
    if profile is None:
        return
    dead = np.flatnonzero((profile.abs_max == 0) & (profile.num_nonfinite == 0))
    if dead.size:
        share = dead.size / profile.abs_max.size
        yield Finding(
            "dead_lines",
            "warning",
            tensor.name,
            f"{dead.size:,} of {profile.abs_max.size:,} {axis}s ({share:.1%}) are zero throughout: {axis} "
            f"{listed(dead)}. They can be cut out without any change, or were lost.",
            value=share,
            threshold=0,
            axis=axis,
            lines=some(dead),
            num_lines=int(dead.size),
        )
