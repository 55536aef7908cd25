"""Fill-mask: the words that could stand in a gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import RunnerError
from engine.runners.contract import FilledMask
from engine.runners.text_network import TextNetwork, output_named, softmax

GAP = "[MASK]"
"""How a gap may be written for any model, whatever its own mask token is."""


@dataclass
class MaskFiller(TextNetwork):
    """Fills gaps."""

    @property
    def mask(self) -> str:
        """The model's own mask token."""
        return str(self.tokenizer.mask_token)

    def fill(self, text: str, count: int = 5) -> list[list[FilledMask]]:
        """Candidates for each gap, likeliest first; the other gaps stay gaps.

        Args: text: with one gap or more, written as GAP or as the model's own mask token. count: candidates a gap.
        Returns: one list a gap, in reading order. Probabilities are a softmax over the whole vocabulary.
        Raises: RunnerError if there is no gap within the model's context.
        """
        arrays = self._tokens([text.replace(GAP, self.mask)])
        ids = arrays["input_ids"][0]
        gaps = np.flatnonzero(ids == self.tokenizer.mask_token_id)
        if not len(gaps):
            raise RunnerError("The text has no gap.", f"Write {GAP} where a word is missing, near the beginning.")
        scores = output_named(self._run(arrays), "logits", dimensions=3)[0]  # (tokens, vocabulary)
        return [self._candidates(ids, gap, softmax(scores[gap]), count) for gap in gaps]

    def _candidates(self, ids: np.ndarray, gap: int, probabilities: np.ndarray, count: int) -> list[FilledMask]:
        best = np.argsort(-probabilities, kind="stable")[:count]
        special = set(self.tokenizer.all_special_ids) - {self.tokenizer.mask_token_id}
        candidates = []
        for token in best.tolist():
            filled = ids.copy()
            filled[gap] = token
            text = self.tokenizer.decode([each for each in filled.tolist() if each not in special])
            word = self.tokenizer.decode([token]).strip() or str(self.tokenizer.convert_ids_to_tokens(token))
            candidates.append(FilledMask(word, token, float(probabilities[token]), text))
        return candidates
