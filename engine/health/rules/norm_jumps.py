"""Layers whose weights are of another size than their neighbours'."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.health.evidence import ModelEvidence
from engine.health.findings import Finding
from engine.health.registry import rule

FACTOR = 4.0
"""Ours: neighbours of one role differ by less than 2 in the healthy models that were looked at (see LOG.md)."""

LEAST_LAYERS = 4
"""Fewer neighbours make no norm. Ours."""


@rule(title="Jumps between layers")
def norm_jumps(model: ModelEvidence) -> Iterator[Finding]:
    """A weight matrix whose root mean square differs by more than a factor of 4 from both its neighbours': a warning.

    Compared are the same role and part of adjacent layers (of one neighbour at the ends, and then of the next two as
    well), so that a slow trend over depth does not count. Threshold: `FACTOR`, chosen by us.
    """
    for group in model.by_role().values():
        if len(group) < LEAST_LAYERS or not group[0].is_matrix:
            continue
        sizes = np.array([tensor.value("rms") for tensor in group])
        if not (sizes > 0).all():
            continue
        for index, tensor in enumerate(group):
            near = [index + step for step in (-1, 1) if 0 <= index + step < len(group)]
            if len(near) == 1:
                near.append(2 if index == 0 else index - 2)
            ratios = sizes[index] / sizes[near]
            if (ratios > FACTOR).all() or (ratios < 1 / FACTOR).all():
                ratio = float(ratios[np.argmin(np.abs(np.log(ratios)))])
                size = f"{ratio:.3g} times larger" if ratio > 1 else f"{1 / ratio:.3g} times smaller"
                yield Finding(
                    "norm_jumps",
                    "warning",
                    tensor.name,
                    f"Its weights are {size} (root mean square {sizes[index]:.3g}) than those of the layers beside it.",
                    value=ratio,
                    threshold=FACTOR,
                )
