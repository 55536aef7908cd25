"""Looks at a model between updates: the price of held-out text, the best so far, milestones, samples of writing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.training.corpus import Document
from engine.training.determinism import derived_seed
from engine.training.distributed import World
from engine.training.events import Evaluated, Noticed, OnEvent, Sampled
from engine.training.generation import generate
from engine.training.held_out import HeldOut, beginnings, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from engine.training.model import Decoder

MILESTONES = (1000, 300, 100, 50, 30, 20, 10, 5, 3)
"""Perplexities worth a word when held-out text falls below them for the first time."""

HUGE = 1e9
"""Stands for any perplexity beyond it, in JSON too."""

SAMPLE_PROMPT_TOKENS, SAMPLE_TOKENS = 12, 64
SAMPLE_TEMPERATURE, SAMPLE_TOP_K = 0.8, 50


class Looks:
    """What held-out text has said so far; the same in all processes, though only the first one looks.

    Args: documents: held out; beyond LOOK_BYTES only so much of the beginning of each is priced.
    Attributes:
        best_step, best: step and bits per byte of the best look; inf before the first. best_perplexity: the lowest.
        waited: looks in a row that brought no gain.
    Raises: TrainingError if there is no text.
    """

    def __init__(
        self,
        world: World,
        model: Decoder,
        tokenizer: PreTrainedTokenizerFast,
        documents: Sequence[Document],
        on_event: OnEvent,
    ) -> None:
        self._world, self._model, self._tokenizer, self._on_event = world, model, tokenizer, on_event
        self._held_out = HeldOut(tokenizer, beginnings(documents), model.settings.context)
        longest = max((document.text for document in documents), key=len)
        self._prompt = encode(tokenizer, longest)[: min(SAMPLE_PROMPT_TOKENS, model.settings.context - 1)]
        self.best_step, self.best, self.best_perplexity, self.waited = 0, math.inf, HUGE, 0

    def price(self, step: int) -> float:
        """Bits per byte of held-out text; all processes learn it from the first."""
        price = self._held_out.price(self._model) if self._world.is_first else None
        bits_per_byte = self._world.from_first(price.bits_per_byte if price else math.nan)
        is_best = bits_per_byte < self.best
        if is_best:
            self.best, self.best_step, self.waited = bits_per_byte, step, 0
        else:
            self.waited += 1
        if price:
            self._on_event(Evaluated(step, price.loss, price.perplexity, bits_per_byte, is_best))
            passed = [each for each in MILESTONES if price.perplexity < each <= self.best_perplexity]
            if passed and step:
                self._on_event(Noticed(step, f"Held-out perplexity fell below {passed[-1]}."))
            self.best_perplexity = min(self.best_perplexity, price.perplexity)
        return bits_per_byte

    def sample(self, step: int, seed: int) -> None:
        """Let the model go on from the beginning of a held-out document."""
        if not self._world.is_first:
            return
        written = generate(
            self._model,
            [self._prompt],
            SAMPLE_TOKENS,
            temperature=SAMPLE_TEMPERATURE,
            top_k=SAMPLE_TOP_K,
            seed=derived_seed(seed, "sample", step),
            stop=self._tokenizer.eos_token_id,
        )[0]
        prompt, text = (
            self._tokenizer.decode(tokens, skip_special_tokens=True) for tokens in (self._prompt, written.tokens)
        )
        self._on_event(Sampled(step, prompt, text))

    def facts(self) -> dict[str, Any]:
        """For a checkpoint, as JSON values."""
        return {
            "best_step": self.best_step,
            "best_bits_per_byte": self.best,
            "best_perplexity": self.best_perplexity,
            "looks_without_gain": self.waited,
        }

    def restore(self, facts: dict[str, Any]) -> None:
        """Take up what `facts` gave. Raises: KeyError if something is missing."""
        self.best_step, self.best = facts["best_step"], facts["best_bits_per_byte"]
        self.best_perplexity, self.waited = facts["best_perplexity"], facts["looks_without_gain"]
