"""Matrices that use fewer directions than they have."""

from __future__ import annotations

from collections.abc import Iterator

from engine.folding import matrix_shape
from engine.health.evidence import ModelEvidence
from engine.health.findings import Finding
from engine.health.registry import rule


@rule(title="Rank-deficient matrices")
def rank_deficiency(model: ModelEvidence) -> Iterator[Finding]:
    """A matrix whose numerical rank is below its smaller side: a warning; needs measured spectra.

    Threshold: singular values below σ₁ · max(rows, columns) · ε count as zero, ε of the stored values' float64 form, as
    numpy's `matrix_rank`. Trained dense matrices are of full rank; merged low-rank factors and pruned units are not.
    Source: Golub & Van Loan, Matrix Computations, 5.4.1.
    """
    for tensor in model.tensors:
        if not tensor.is_matrix or not tensor.value("abs_max") > 0:
            continue
        rank, full = tensor.value("numerical_rank"), min(matrix_shape(tensor.info.shape))
        if rank < full:
            yield Finding(
                "rank_deficiency",
                "warning",
                tensor.name,
                f"Its rank is {rank:,.0f} of {full:,}: it can be written as two thinner matrices without any loss.",
                value=rank,
                threshold=full,
            )
