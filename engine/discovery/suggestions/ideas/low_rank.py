"""Two thin factors instead of a matrix: only where the spectrum really says so."""

from __future__ import annotations

import numpy as np

from engine.discovery.suggestions.facts import ModelFacts, TensorFacts
from engine.discovery.suggestions.registry import idea
from engine.discovery.suggestions.suggestion import Suggestion, TensorGain, most_first

FACTOR_BITS = 8
FINEST_ERROR = 0.01
"""Relative error that factors of 8 bits have of their own: nothing below it is claimed."""

LEAST = 0.1


@idea(title="Low rank", finding="spectrum")
def low_rank(model: ModelFacts) -> Suggestion:
    """A matrix of rank k, its factors in 8 bits, against plain entropy-coded integers of the same error.

    The error of rank k is √(Σ_{i>k} σᵢ² / Σσᵢ²); it costs 8·k·(m + n)/(m·n) bits a weight. No code of Gaussian weights
    reaches that error below log₂(1 / error) bits, and integers come within a quarter of a bit of that: gain is this
    bound less the cost, at the best k, so at least so much. Trained matrices rarely have one.
    """
    known = [tensor for tensor in model.tensors if tensor.spectrum is not None and tensor.is_matrix]
    if not known:
        return Suggestion("low_rank", "unknown", "Take the spectra of its matrices first.")
    gains = [gain for tensor in known if (gain := best_rank(tensor)) is not None]
    found = [gain for gain in gains if gain.gain_bits > LEAST]
    if not found:
        best = max(gains, key=lambda gain: gain.gain_bits, default=None)
        words = "No matrix is of low rank: integers of the same error cost less everywhere."
        if best is not None:
            words += (
                f" The nearest, {best.tensor} at rank {best.evidence['rank']:,.0f}, would cost "
                f"{max(0.0, -best.gain_bits):.2f} bits more (error {best.evidence['error']:.2f})."
            )
        return Suggestion("low_rank", "nothing", words)
    return Suggestion(
        "low_rank",
        "found",
        f"{len(found):,} of {len(known):,} matrices are so close to low rank that factors cost less than integers.",
        most_first(found),
        baseline="uniform steps with entropy coding, at the same error",
        confidence="formula",
        limits="The rounding of the factors adds about 0.01 to the error. Errors of low rank point in few directions, "
        "which may hurt more than noise of the same size: look at the outputs.",
        recipe={
            "codec": "low_rank",
            "factor_bits": FACTOR_BITS,
            "ranks": {g.tensor: int(g.evidence["rank"]) for g in found},
        },
    )


def best_rank(tensor: TensorFacts) -> TensorGain | None:
    """The rank at which factors gain most, or lose least, against integers; None for a matrix of zeros."""
    energy = np.square(tensor.spectrum.singular_values.astype(np.float64))
    total = max(tensor.spectrum.total, energy.sum())
    if not total > 0:
        return None
    rows, columns = tensor.num_rows, tensor.num_columns
    ranks = np.arange(1, len(energy) + 1)
    tail = np.maximum(total - np.cumsum(energy), 0)
    error = np.maximum(np.sqrt(tail / total), FINEST_ERROR)
    cost = FACTOR_BITS * ranks * (rows + columns) / (rows * columns)
    gain = -np.log2(error) - cost
    best = int(np.argmax(gain))
    evidence = {"rank": float(ranks[best]), "error": float(error[best]), "cost_bits": float(cost[best])}
    return TensorGain(tensor.name, tensor.info.num_elements, float(gain[best]), evidence)
