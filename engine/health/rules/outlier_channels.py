"""Channels that are far larger than the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.health.evidence import ModelEvidence, TensorEvidence
from engine.health.findings import Finding, listed, some
from engine.health.registry import rule

FACTOR = 6.0
"""Source of the 6: Dettmers et al. 2022, LLM.int8(), where it marks outlier features; that it marks norms over the
median norm here is our reading of it."""

MOST_SHARE = 0.01
"""More than so many are a distribution, not outliers. Ours."""


@rule(title="Outlier channels")
def outlier_channels(model: ModelEvidence) -> Iterator[Finding]:
    """Rows or columns of a weight matrix whose norm is over 6 times the median norm, 1 % of them at most: a note.

    Large language models have them by nature; a quantiser with one scale for many channels loses the others there.
    """
    for tensor in model.tensors:
        if tensor.is_matrix and not tensor.is_embedding:
            yield from _outliers(tensor, "row", tensor.rows)
            yield from _outliers(tensor, "column", tensor.columns)


def _outliers(tensor: TensorEvidence, axis: str, profile) -> Iterator[Finding]:
    if profile is None or profile.l2.size < 1 / MOST_SHARE:
        return
    middle = float(np.median(profile.l2))
    if not middle > 0:
        return
    ratios = profile.l2.astype(np.float64) / middle
    found = np.flatnonzero(ratios > FACTOR)
    if 0 < found.size <= MOST_SHARE * ratios.size:
        found = found[np.argsort(-ratios[found], kind="stable")]
        yield Finding(
            "outlier_channels",
            "note",
            tensor.name,
            f"{axis.capitalize()} {listed(found)}: up to {ratios[found[0]]:.1f} times the median norm. "
            "Quantise with a scale of its own for each channel, or keep these apart.",
            value=float(ratios[found[0]]),
            threshold=FACTOR,
            axis=axis,
            lines=some(found),
            num_lines=int(found.size),
        )
