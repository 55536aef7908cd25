"""Single weights that a whole model may hang on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.health.evidence import ModelEvidence
from engine.health.findings import Finding
from engine.health.registry import rule

SIGMAS = 30.0
"""Standard deviations of its tensor; ours: the largest of 10⁸ normal weights lies at 6, of the models that
were looked at below 21 but for all-MiniLM-L6-v2, whose five candidates reach 40 to 175 (see LOG.md)."""


@rule(title="Super-weight candidates")
def super_weights(model: ModelEvidence) -> Iterator[Finding]:
    """The largest weight of a feed-forward output matrix where it exceeds 30 standard deviations: a note.

    In some language models, setting one such weight of an early layer to zero ruins the text. Whether this
    is one only a run can tell: a super weight is defined by the activation it causes.
    Source: Yu et al. 2024, arXiv 2411.07191.
    """
    for tensor in model.tensors:
        if tensor.place.role != "ffn_out" or not tensor.is_matrix or tensor.rows is None or tensor.columns is None:
            continue
        sigmas = tensor.value("abs_max") / tensor.value("std") if tensor.value("std") > 0 else 0.0
        if sigmas > SIGMAS:
            place = int(np.argmax(tensor.rows.abs_max)), int(np.argmax(tensor.columns.abs_max))
            yield Finding(
                "super_weights",
                "note",
                tensor.name,
                f"|w| = {tensor.value('abs_max'):.4g} at row {place[0]:,}, column {place[1]:,} is {sigmas:.0f} "
                "standard deviations. Never round or prune it before you have run the model without it.",
                value=float(sigmas),
                threshold=SIGMAS,
                weight=place,
            )
