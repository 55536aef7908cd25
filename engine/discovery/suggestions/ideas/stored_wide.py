"""Rows that fit a shorter type exactly: store them in it, and lose nothing."""

from __future__ import annotations

from engine.discovery.suggestions.facts import ModelFacts
from engine.discovery.suggestions.registry import idea
from engine.discovery.suggestions.suggestion import Suggestion, TensorGain, most_first
from engine.dtypes import KNOWN_TYPES


@idea(title="Store in the type they came from", finding="mantissa forensics", price="nothing")
def stored_wide(model: ModelFacts) -> Suggestion:
    """Rows whose every weight fits a shorter type exactly were widened from it; narrowed again they lose nothing.

    gain = stored bits − bits of the shorter type, for each weight of these rows, less one bit a row that says which.
    """
    if model.is_upcast is None:
        return Suggestion("stored_wide", "unknown", "Read the mantissas first (forensics).")
    gains = []
    for tensor in model.tensors:
        if tensor.num_never:
            saved = KNOWN_TYPES[tensor.info.dtype].bits - KNOWN_TYPES[tensor.shorter].bits
            weights = tensor.num_never * tensor.num_columns
            evidence = {"rows": float(tensor.num_never), "of_rows": float(tensor.num_rows)}
            gains.append(TensorGain(tensor.name, weights, saved - tensor.num_rows / weights, evidence))
    gains = [gain for gain in gains if gain.gain_bits > 0]
    if not gains:
        return Suggestion("stored_wide", "nothing", "Every row needs the type that it is stored in.")
    rows = sum(gain.evidence["rows"] for gain in gains)
    words = "The whole checkpoint was only widened" if model.is_upcast else f"{rows:,.0f} rows were only widened"
    return Suggestion(
        "stored_wide",
        "found",
        f"{words}: they fit a shorter type exactly, and can be stored in it without losing a bit.",
        most_first(gains),
        baseline="the tensors as they are stored",
        confidence="exact",
        limits="" if model.is_upcast else "A tensor of two types needs a file format, or a loader, that knows of it.",
        evidence={"rows": rows},
        recipe={"codec": "narrow", "rows": "all" if model.is_upcast else "never updated"},
    )
