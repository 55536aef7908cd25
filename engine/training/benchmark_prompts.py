"""The same prompts at every look: openings from held-out text, whose true continuation is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from engine.errors import TrainingError
from engine.training.corpus import Document
from engine.training.held_out import HeldOut, beginnings, encode
from engine.training.model import Decoder
from engine.training.play_round import Round, Rules, play_round
from engine.training.policy_gradient import kl_estimate, log_probs_in_parts, rollout
from engine.training.verdict import Look

NUM_PROMPTS = 16
SAMPLES = 4
"""Prompts of a benchmark and texts written after each: as much writing as one update of the default settings. The
standard error of a change of the reward is then 0.006 to 0.009. Chosen by us, see LOG.md."""

HELD_OUT_BYTES = 1 << 16
"""Held-out text priced at a look, at the most: 64 KiB. A look then costs about 1.4 updates of the default
settings. Chosen by us."""

NUM_PIECES = 16
LEAST_PIECE = 1000
"""Held-out text is priced in so many pieces of so many characters at least, so that a change has a standard error."""


@dataclass(frozen=True, slots=True)
class BenchmarkPrompt:
    """The beginning of a stretch of held-out text, and how it goes on.

    Attributes:
        prompt, continuation: token ids, one at least of each. num_bytes: of the continuation's text in UTF-8.
    """

    prompt: tuple[int, ...]
    continuation: tuple[int, ...]
    num_bytes: int


def benchmark_prompts(
    tokenizer: PreTrainedTokenizerFast,
    documents: Sequence[Document],
    prompt_tokens: int,
    new_tokens: int,
    count: int = NUM_PROMPTS,
) -> list[BenchmarkPrompt]:
    """Up to `count` stretches of held-out text, evenly spread over it and without overlap; always the same.

    A document is END_OF_TEXT and its tokens, cut from its beginning into stretches of prompt_tokens + new_tokens; a
    rest counts if it is more than a prompt, and a document shorter than that is cut in the middle.

    Raises: TrainingError if there is no text of at least two tokens.
    """
    found = [prompt for each in documents for prompt in _stretches(tokenizer, each.text, prompt_tokens, new_tokens)]
    if not found:
        raise TrainingError(
            "There is no held-out text to take benchmark prompts from.", "Give at least one document that is not empty."
        )
    places = np.linspace(0, len(found), min(count, len(found)), endpoint=False).astype(int)
    return [found[place] for place in places]


def _stretches(
    tokenizer: PreTrainedTokenizerFast, text: str, prompt_tokens: int, new_tokens: int
) -> list[BenchmarkPrompt]:
    tokens = encode(tokenizer, text)
    spans = [(0, 0), *tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).offsets]  # of characters
    prompt_tokens = min(prompt_tokens, max(len(tokens) // 2, 1))
    found = []
    for start in range(0, len(tokens) - prompt_tokens, prompt_tokens + new_tokens):
        middle, stop = start + prompt_tokens, min(start + prompt_tokens + new_tokens, len(tokens))
        written = text[spans[middle][0] : spans[stop - 1][1]]
        found.append(BenchmarkPrompt(tuple(tokens[start:middle]), tuple(tokens[middle:stop]), len(written.encode())))
    return found


def pieces(documents: Sequence[Document]) -> list[Document]:
    """The documents cut into at most about NUM_PIECES of similar length, at ends of lines where there are any."""
    length = max(sum(len(document.text) for document in documents) // NUM_PIECES, LEAST_PIECE)
    found = []
    for document in documents:
        rest = document.text
        while len(rest) >= 2 * length:
            end = rest.rfind("\n", 1, length) + 1 or length
            found.append(Document(document.name, rest[:end]))
            rest = rest[end:]
        found.append(Document(document.name, rest))
    return [piece for piece in found if piece.text]


class Benchmark:
    """Takes looks: the same prompts, the same random numbers and the same held-out text each time.

    Its rewards compare with each other, not quite with those of the rounds between: held-out prompts are other text,
    and `diversity` compares SAMPLES texts instead of a whole group.

    Args: rules: of the rounds. seed: of the texts written.
    Raises: TrainingError if there is no held-out text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        held_out: Sequence[Document],
        rules: Rules,
        prompt_tokens: int,
        seed: int,
    ) -> None:
        self.rules, self.seed = rules, seed
        self.prompts = benchmark_prompts(tokenizer, held_out, prompt_tokens, rules.new_tokens)
        context = rules.reference.settings.context
        self.pieces = [HeldOut(tokenizer, [piece], context) for piece in pieces(beginnings(held_out, HELD_OUT_BYTES))]

    def look(self, model: Decoder, iteration: int) -> tuple[Look, Round]:
        """Measure the model as it is. Returns: also the round itself, SAMPLES texts after each prompt."""
        rules, prompts = self.rules, [list(each.prompt) for each in self.prompts]
        played = play_round(model, rules, prompts, SAMPLES, self.seed)
        log_probs, entropies = log_probs_in_parts(model, played.samples, rules.temperature)
        prices = [piece.price(model) for piece in self.pieces]
        look = Look(
            iteration=iteration,
            rewards=tuple(played.rewards.mean(axis=1).tolist()),
            parts={name: tuple(scores.mean(axis=1).tolist()) for name, scores in played.scores.items()},
            held_out_nats=tuple(price.nats for price in prices),
            held_out_tokens=tuple(price.num_tokens for price in prices),
            held_out_bytes=tuple(price.num_bytes for price in prices),
            continuation_nats=self._continuation_nats(model),
            continuation_bytes=tuple(each.num_bytes for each in self.prompts),
            kl=float(kl_estimate(log_probs, played.reference_log_probs).mean()),
            entropy=float(entropies.mean()),
            mean_length=played.mean_length,
        )
        return look, played

    def _continuation_nats(self, model: Decoder) -> tuple[float, ...]:
        """The price of each true continuation, at temperature 1 as all held-out text."""
        true = rollout(
            [each.prompt for each in self.prompts],
            [each.continuation for each in self.prompts],
            str(model.head.device),
        )
        log_probs, _ = log_probs_in_parts(model, true, temperature=1.0)
        lengths = [len(each.continuation) for each in self.prompts]
        return tuple(-float(each.double().sum()) for each in torch.split(log_probs, lengths))
