"""What was never used can go."""

from __future__ import annotations

from engine.discovery.suggestions.facts import ModelFacts, TensorFacts
from engine.discovery.suggestions.registry import idea
from engine.discovery.suggestions.suggestion import Suggestion, TensorGain, most_first


@idea(title="Trim what was never used", finding="dead, wasted and never updated rows", price="rows")
def trimming(model: ModelFacts) -> Suggestion:
    """Rows of zeros, wasted tokens, tokens and positions that were never updated: cut out, with what refers to them.

    gain = stored bits of these rows. Of several findings on one tensor the largest counts. Dead rows and columns of
    zeros change nothing when they go; tokens can no longer be read or written.
    """
    if model.findings is None and model.is_upcast is None:
        return Suggestion("trimming", "unknown", "Examine the health of the model, or read its mantissas, first.")
    best: dict[str, TensorGain] = {}
    for tensor, lines, width, kind in _candidates(model):
        gain = TensorGain(tensor.name, lines * width, tensor.bits_per_weight, {kind: float(lines)})
        if lines and (tensor.name not in best or gain.gain_bytes > best[tensor.name].gain_bytes):
            best[tensor.name] = gain
    if not best:
        return Suggestion("trimming", "nothing", "No row was found that is zero, wasted, or was never updated.")
    first = most_first(list(best.values()))
    lines = sum(count for gain in first for count in gain.evidence.values())
    return Suggestion(
        "trimming",
        "found",
        f"{lines:,.0f} rows or columns of {len(first):,} tensors are zero, wasted, or were never updated: they can be "
        "cut out.",
        first,
        baseline="the tensors as they are stored",
        confidence="exact",
        limits="Never updated here is not the same as useless: such a row keeps what it had before, and its token or "
        "position is lost with it. The tokenizer and the config must be changed too.",
        evidence={"lines": lines},
        recipe={"codec": "trim", "lines": "dead, wasted, never updated"},
    )


def _candidates(model: ModelFacts):
    """(tensor, lines, weights of a line, kind) of everything that may go."""
    for finding in model.findings or ():
        tensor = model.tensor(finding.tensor)
        if tensor is not None and finding.rule in ("dead_lines", "wasted_vocabulary"):
            width = tensor.num_columns if finding.axis == "row" else tensor.num_rows
            yield tensor, finding.num_lines, width, finding.rule
    if model.is_upcast is False:
        for tensor in model.tensors:
            yield tensor, _never(tensor, model.training_length), tensor.num_columns, "never_updated"


def _never(tensor: TensorFacts, training_length: int | None) -> int:
    """Tokens that were never updated, or positions after the longest text."""
    if tensor.place.role == "token_embedding" and tensor.num_never < tensor.num_rows:
        return tensor.num_never
    if tensor.place.role == "position_embedding" and training_length is not None:
        return max(0, tensor.num_rows - training_length)
    return 0
