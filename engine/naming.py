"""Where a tensor sits in its network, read from its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor's place in the network.

    Attributes:
        layer: block number, from 0; None outside the stack (embeddings, final norm, head).
        role: what it does, in the field's terms: "token_embedding", "query", "key", "value", "qkv", "output", "ffn_in",
            "ffn_gate", "ffn_out", "attention_norm", "ffn_norm", "final_norm", "lm_head", "convolution", "other", …
        part: "weight", "bias", "running_mean", … (the last dotted name).
        stack: "encoder", "decoder", "vision", "text", … where a model has several stacks; "" otherwise.
    """

    layer: int | None
    role: str
    part: str
    stack: str = ""
