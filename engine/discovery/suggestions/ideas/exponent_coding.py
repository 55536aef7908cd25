"""Exponents take few of their values: code them, and lose nothing."""

from __future__ import annotations

from engine.discovery.suggestions.bits import FIELDS, entropy
from engine.discovery.suggestions.facts import ModelFacts, TensorFacts
from engine.discovery.suggestions.registry import idea
from engine.discovery.suggestions.suggestion import Suggestion, TensorGain, most_first

TABLE_BITS = 16
"""Bits for the frequency of each exponent that occurs, written beside a tensor."""

LEAST = 0.05
"""Bits a weight from which it is worth the trouble; ours."""


@idea(title="Entropy-code the exponents", finding="exponent entropy", price="nothing")
def exponent_coding(model: ModelFacts) -> Suggestion:
    """Trained weights use few of the exponents that their type has: a lossless code for them alone shrinks the file.

    gain = exponent bits − entropy of the exponents, counted over every weight, less a table of 16 bits for each
    exponent that occurs. Sign and mantissa are taken as they are: they are close to noise. The usual result is 0.667
    of a BF16 and 0.833 of an F32 file.
    """
    gains = [gain for tensor in model.tensors if (gain := _gain(tensor)) is not None and gain.gain_bits > LEAST]
    if not gains:
        return Suggestion("exponent_coding", "nothing", "No tensor has exponents that a code would shorten.")
    weights = sum(gain.num_weights for gain in gains)
    stored = sum(gain.evidence["stored_bits"] * gain.num_weights for gain in gains)
    saved = sum(gain.gain_bits * gain.num_weights for gain in gains)
    mean_entropy = sum(gain.evidence["exponent_entropy"] * gain.num_weights for gain in gains) / weights
    ratio = 1 - saved / stored
    return Suggestion(
        "exponent_coding",
        "found",
        f"The exponents hold {mean_entropy:.2f} bits of information on average: coding them shrinks these tensors to "
        f"{ratio:.3f} of their bytes, without losing a bit.",
        most_first(gains),
        baseline="the tensors as they are stored",
        confidence="exact",
        limits="A decoder is needed before the weights can be used; the mantissas are left as they are.",
        evidence={"exponent_entropy": mean_entropy, "ratio": ratio},
        recipe={"codec": "lossless", "fields": "exponent", "coder": "rans"},
    )


def _gain(tensor: TensorFacts) -> TensorGain | None:
    if tensor.bits is None:
        return None
    stored_bits, _, exponent_bits = FIELDS[tensor.info.dtype]
    counts, weights = tensor.bits.exponents, tensor.info.num_elements
    found, table = entropy(counts), TABLE_BITS * int((counts > 0).sum()) / weights
    evidence = {"exponent_entropy": found, "stored_bits": float(stored_bits), "table_bits": table}
    return TensorGain(tensor.name, weights, exponent_bits - found - table, evidence)
