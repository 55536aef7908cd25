"""How well a model predicts text it has not learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from engine.errors import TrainingError
from engine.training.corpus import Document, num_bytes

PRICED_BEFORE = -1
"""Stands in a window's targets where there is nothing to price."""

LOOK_BYTES = 1 << 17
"""Held-out text that is priced at each look while training, at the most: 128 KiB are some 35,000 tokens, enough to tell
0.5 % apart and little work beside a hundred updates. Chosen by us."""

MOST_LOGITS = 1 << 25
"""Logits that exist at once: 128 MiB in fp32."""


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
        """exp(loss): as if each token were drawn from so many equally likely ones; inf beyond what a float can hold.

        Depends on the tokenizer.
        """
        return math.exp(self.loss) if self.loss < 700 else self.loss * math.inf

    @property
    def bits_per_byte(self) -> float:
        """Bits to code one byte of the text: 8 for noise. Comparable between tokenizers."""
        return self.nats / math.log(2) / self.num_bytes


class HeldOut:
    """Documents cut into windows once, to be priced again and again while a model learns.

    A document begins with END_OF_TEXT, which is given and not priced. All tokens of the first window are priced; of a
    later one only the second half, so that each is predicted from at least context / 2 tokens (or from all before it).

    Args: documents: at least one that is not empty. context: ≥ 2; an odd one is taken as one less.
    Raises: TrainingError if there is no text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, documents: Sequence[Document], context: int) -> None:
        context -= context % 2
        windows = [window for document in documents for window in _windows(tokenizer, document.text, context)]
        if not windows:
            raise TrainingError("There is no held-out text to price.", "Give at least one document that is not empty.")
        self.windows = windows
        self.num_bytes = num_bytes(documents)

    def price(self, model: nn.Module, batch_size: int = 16) -> HeldOutLoss:
        """Every token of every document, once.

        Args:
            model: gives logits (rows, tokens, vocabulary) for ids, as they are or as `.logits` of what it returns, in
                any float type and on any device; they are taken to fp32 and summed in fp64.
            batch_size: windows at once at the most; changes no meaning.
        """
        was_training, device = model.training, next(model.parameters()).device
        model.eval()
        nats, num_tokens = 0.0, 0
        try:
            with torch.inference_mode():
                for inputs, targets in _batches(self.windows, batch_size, _num_outputs(model)):
                    outcome = model(inputs.to(device))
                    logits = getattr(outcome, "logits", outcome)  # (windows, tokens, vocabulary)
                    priced = (targets != PRICED_BEFORE).to(device)
                    prices = functional.cross_entropy(
                        logits[priced].float(), targets.to(device)[priced], reduction="none"
                    )
                    nats += float(prices.cpu().double().sum())
                    num_tokens += len(prices)
        finally:
            model.train(was_training)
        return HeldOutLoss(nats, num_tokens, self.num_bytes)


def held_out_loss(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    documents: Sequence[Document],
    context: int,
    batch_size: int = 16,
) -> HeldOutLoss:
    """The price of documents under any causal language model, ours or of transformers: see `HeldOut`.

    Raises: TrainingError if there is no text.
    """
    return HeldOut(tokenizer, documents, context).price(model, batch_size)


def beginnings(documents: Sequence[Document], most_bytes: int = LOOK_BYTES) -> list[Document]:
    """The documents, or so much of the beginning of each that all together have at most `most_bytes` in UTF-8.

    Each keeps the same share of its characters, so that long and short ones weigh as they did.
    """
    total = num_bytes(documents)
    if total <= most_bytes:
        return list(documents)
    return [_beginning(document, most_bytes / total) for document in documents]


def _beginning(document: Document, share: float) -> Document:
    encoded = document.text.encode()
    return Document(document.name, encoded[: int(len(encoded) * share)].decode(errors="ignore"))


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


def _batches(windows, batch_size: int, num_outputs: int):
    """Batches of windows (inputs, targets), fewer at once where the vocabulary is large."""
    longest = max(len(inputs) for inputs, _ in windows)
    batch_size = max(min(batch_size, MOST_LOGITS // (longest * num_outputs)), 1)
    for start in range(0, len(windows), batch_size):
        yield _batch(windows[start : start + batch_size])


def _num_outputs(model: nn.Module) -> int:
    """Size of the vocabulary, as our decoder or a transformers model tells it."""
    settings = getattr(model, "settings", None)
    return settings.vocabulary_size if settings is not None else model.config.get_text_config().vocab_size


def _batch(windows: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows padded on the right, where a causal model cannot see the padding."""
    width = max(len(inputs) for inputs, _ in windows)
    inputs = torch.tensor([inputs + [0] * (width - len(inputs)) for inputs, _ in windows])
    targets = torch.tensor([targets + [PRICED_BEFORE] * (width - len(targets)) for _, targets in windows])
    return inputs, targets


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """END_OF_TEXT and then the tokens of the text."""
    return [tokenizer.bos_token_id, *tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids]
