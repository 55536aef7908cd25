"""Tokens that the model never learned."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.health.evidence import ModelEvidence
from engine.health.findings import Finding, listed, some
from engine.health.registry import rule

SMALL = 0.1
"""Of the median norm; ours: rows that were initialised and then only decayed lie below it."""

LEAST_ROWS = 2
"""One zero row is the padding token's, as PyTorch's `padding_idx` makes it."""


@rule(title="Wasted vocabulary rows")
def wasted_vocabulary(model: ModelEvidence) -> Iterator[Finding]:
    """Rows of the token embedding that are zero, repeat another row, or are under a tenth of the median norm: a note.

    They cost memory and carry no token; often the vocabulary was padded to a round size, or tokens never occurred in
    training. Thresholds: `SMALL` and at least two rows; both ours. Rows that were left as initialised have usual norms
    and are not seen here.
    """
    for tensor in model.tensors:
        if tensor.place.role != "token_embedding" or not tensor.is_matrix or tensor.rows is None:
            continue
        norms = tensor.rows.l2.astype(np.float64)
        is_wasted = norms < SMALL * np.median(norms)
        if tensor.marks is not None and tensor.marks.repeated_rows.size:
            is_wasted[tensor.marks.repeated_rows[:, 0]] = True
        wasted = np.flatnonzero(is_wasted)
        if wasted.size >= LEAST_ROWS:
            share = wasted.size / norms.size
            num_bytes = tensor.info.num_bytes * share
            yield Finding(
                "wasted_vocabulary",
                "note",
                tensor.name,
                f"{wasted.size:,} of {norms.size:,} token rows ({share:.1%}, {num_bytes / 1e6:.1f} MB) are zero, tiny "
                f"or repeat another: row {listed(wasted)}.",
                value=share,
                threshold=LEAST_ROWS / norms.size,
                axis="row",
                lines=some(wasted),
                num_lines=int(wasted.size),
            )
