"""How well a model predicts text it has not learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.errors import TrainingError
from engine.training.corpus import Document, num_bytes

PRICED_BEFORE = -1
"""Stands in a window's targets where there is nothing to price."""


@dataclass(frozen=True, slots=True)
class HeldOutLoss:
    """The price of some text under a model.

    Attributes:
        nats: −Σ ln p over all tokens. num_tokens: how many. num_bytes: of the same text in UTF-8.
    """

    nats: float
    num_tokens: int
    num_bytes: int

    @property
    def loss(self) -> float:
        """Nats per token; ln(vocabulary) for a model that knows nothing."""
        return self.nats / self.num_tokens

    @property
    def perplexity(self) -> float:
        """exp(loss): as if each token were drawn from so many equally likely ones. Depends on the tokenizer."""
        return math.exp(self.loss)

    @property
    def bits_per_byte(self) -> float:
        """Bits to code one byte of the text: 8 for noise. Comparable between tokenizers."""
        return self.nats / math.log(2) / self.num_bytes


def held_out_loss(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    documents: Sequence[Document],
    context: int,
    batch_size: int = 16,
) -> HeldOutLoss:
    """Price every token of every document once, in windows of `context` tokens that move by half of that.

    A document begins with END_OF_TEXT, which is given and not priced. All tokens of the first window are priced; of a
    later one only the second half, so that each is predicted from at least context / 2 tokens (or from all before it).

    Args:
        model: any causal language model, in any float type; the logits are taken to fp32 and summed in fp64.
        documents: at least one that is not empty. context: ≥ 2, even. batch_size: windows at once; changes no meaning.
    Raises: TrainingError if there is no text.
    """
    windows = [window for document in documents for window in _windows(tokenizer, document.text, context)]
    if not windows:
        raise TrainingError("There is no held-out text to price.", "Give at least one document that is not empty.")
    was_training = model.training
    model.eval()
    nats, num_tokens = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(windows), batch_size):
            inputs, targets = _batch(windows[start : start + batch_size])  # (windows, context) each
            logits = model(input_ids=inputs).logits.float()  # (windows, context, vocabulary)
            priced = targets != PRICED_BEFORE
            nats += float(functional.cross_entropy(logits[priced], targets[priced], reduction="none").double().sum())
            num_tokens += int(priced.sum())
    model.train(was_training)
    return HeldOutLoss(nats, num_tokens, num_bytes(documents))


def _windows(tokenizer: PreTrainedTokenizerFast, text: str, context: int) -> list[tuple[list[int], list[int]]]:
    """(inputs, targets) of each window; PRICED_BEFORE where an earlier window priced the target."""
    tokens = encode(tokenizer, text)
    windows = []
    for start in range(0, max(len(tokens) - 1 - context // 2, 1), context // 2):
        inputs, targets = tokens[start : start + context], tokens[start + 1 : start + context + 1]
        if start:
            targets = [PRICED_BEFORE] * (context // 2) + targets[context // 2 :]
        if targets:
            windows.append((inputs[: len(targets)], targets))
    return windows


def _batch(windows: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows padded on the right, where a causal model cannot see the padding."""
    width = max(len(inputs) for inputs, _ in windows)
    inputs = torch.tensor([inputs + [0] * (width - len(inputs)) for inputs, _ in windows])
    targets = torch.tensor([targets + [PRICED_BEFORE] * (width - len(targets)) for _, targets in windows])
    return inputs, targets


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """END_OF_TEXT and then the tokens of the text."""
    return [tokenizer.bos_token_id, *tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids]
