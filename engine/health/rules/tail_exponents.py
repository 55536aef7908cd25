"""Layers that look under- or over-trained by their spectrum."""

from __future__ import annotations

from collections.abc import Iterator

from engine.health.evidence import ModelEvidence
from engine.health.findings import Finding
from engine.health.registry import rule

LOW, HIGH = 2.0, 6.0
"""Source: Martin, Peng & Mahoney 2021, Nature Communications 12:4122: α of well-trained layers lies in 2 … 6."""

LEAST_SIDE = 50
"""Smaller matrices have too few eigenvalues for a tail. Source: WeightWatcher's own lower limit."""


@rule(title="Tail exponents outside 2 – 6")
def tail_exponents(model: ModelEvidence) -> Iterator[Finding]:
    """A matrix whose power-law exponent α, less twice its standard error, is above 6, or plus it below 2: a note.

    α > 6 is read as little learned, α < 2 as overfit or dominated by few directions. It is a heuristic: rounding to
    bf16 alone moves α by up to 0.07, and random matrices of some shapes reach 6 too. Needs measured spectra.
    """
    for tensor in model.tensors:
        if not tensor.is_matrix or min(tensor.info.shape) < LEAST_SIDE:
            continue
        alpha, error = tensor.value("alpha"), tensor.value("alpha_error")
        if alpha - 2 * error > HIGH:
            words, bound = "the spectrum is close to that of noise, as if little had been learned", HIGH
        elif alpha + 2 * error < LOW:
            words, bound = "few directions dominate, as after overfitting or a rank collapse", LOW
        else:
            continue
        yield Finding(
            "tail_exponents",
            "note",
            tensor.name,
            f"α = {alpha:.2f} ± {error:.2f}: {words}.",
            value=alpha,
            threshold=bound,
        )
