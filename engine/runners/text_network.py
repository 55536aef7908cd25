"""What the runners of encoders share: text to padded arrays of tokens, in batches, through a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import RunnerError
from engine.runners.contract import Network, Runner
from engine.runners.failures import as_runner_error

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 16
"""Texts computed together; chosen by us: more gains little on a CPU and takes memory."""


@dataclass
class TextNetwork(Runner):
    """A network that reads text.

    Attributes: network, tokenizer. Text beyond `facts.context` tokens is cut off at its end.
    """

    network: Network = field(kw_only=True)
    tokenizer: PreTrainedTokenizerBase = field(kw_only=True)

    def _tokens(self, texts: Sequence[str], pairs: Sequence[str] | None = None, **options) -> dict[str, np.ndarray]:
        """Token ids, mask and what else the tokenizer gives, padded to the longest: (texts, tokens) each."""
        if not texts or not all(isinstance(text, str) for text in texts):
            raise RunnerError("There is no text.", "Give at least one text.")
        options = {"truncation": True, **options} if self.facts.context else options
        with as_runner_error("Cutting the text into tokens"):
            encoded = self.tokenizer(
                list(texts),
                None if pairs is None else list(pairs),
                padding=len(texts) > 1,
                max_length=self.facts.context,
                **options,
            )
        return {name: np.array(each, dtype=np.int64) for name, each in encoded.items() if name in _ARRAYS}

    def _run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with self.lock:
            return self.network.run(arrays)

    def close(self) -> None:
        self.network.close()
        self.network = None
        self.tokenizer = None


_ARRAYS = frozenset({"input_ids", "attention_mask", "token_type_ids", "special_tokens_mask"})


def softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """exp(s) / Σ exp(s) in float64, without overflow; each slice along the axis sums to 1."""
    scores = scores.astype(np.float64)
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def output_named(outputs: dict[str, np.ndarray], name: str, dimensions: int) -> np.ndarray:
    """The output of a name, else the first with so many dimensions (exports differ). Raises: RunnerError if neither."""
    if name in outputs:
        return outputs[name]
    for value in outputs.values():
        if value.ndim == dimensions and np.issubdtype(value.dtype, np.floating):
            return value
    found = ", ".join(f"{key} {value.shape}" for key, value in outputs.items())
    raise RunnerError(f"The network gives no {name}.", f"It gives: {found}. Choose another task.")
