"""Extractive question answering: the stretch of a text that answers a question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import RunnerError
from engine.runners.contract import Answer
from engine.runners.failures import as_runner_error
from engine.runners.text_network import TextNetwork, softmax

MAX_ANSWER_TOKENS = 30
STRIDE = 128
"""Tokens that two windows of a long context share; both as in the pipeline of transformers."""


@dataclass
class Answerer(TextNetwork):
    """Answers questions by pointing into a text."""

    def answer(self, question: str, context: str, count: int = 3) -> list[Answer]:
        """The best answers, likeliest first; they do not overlap.

        A context longer than the model's is read in windows that overlap. The probability of a stretch from token i to
        j ≥ i, of at most MAX_ANSWER_TOKENS, is start(i) · end(j); each is a softmax over the tokens of the context in
        the window, and the first token, which says "no answer". The best stretch of any window counts.

        Args: question, context: neither empty. count: at most so many answers.
        Raises: RunnerError if either is empty, or the question leaves no room for the context.
        Source: Devlin et al. 2019, BERT, section 4.2.
        """
        if not question.strip() or not context.strip():
            raise RunnerError("The question or the text is empty.", "Write both.")
        found: list[Answer] = []
        for arrays, offsets in self._windows(question, context):
            found.extend(self._in_window(arrays, offsets, context, count))
        return _without_overlaps(found, count)

    def _windows(self, question: str, context: str) -> list[tuple[dict[str, np.ndarray], list[tuple[int, int] | None]]]:
        """The arrays of each window, and for each token its place in the context (None outside of it)."""
        if not self.tokenizer.is_fast:
            raise RunnerError("This model's tokenizer cannot say where tokens are.", "It needs a tokenizer.json.")
        limit = self.facts.context
        options = {}
        if limit:
            room = limit - len(self.tokenizer(question)["input_ids"]) - 2
            if room < 8:
                raise RunnerError("The question leaves no room for the text.", "Shorten the question.")
            options = {"truncation": "only_second", "max_length": limit, "stride": min(STRIDE, room // 2)}
        with as_runner_error("Cutting the text into tokens"):
            encoded = self.tokenizer(
                question, context, return_overflowing_tokens=True, return_offsets_mapping=True, **options
            )
        windows = []
        for place in range(len(encoded["input_ids"])):
            arrays = {
                name: np.array([encoded[name][place]], dtype=np.int64)
                for name in ("input_ids", "attention_mask", "token_type_ids")
                if name in encoded
            }
            sequences, spans = encoded.sequence_ids(place), encoded["offset_mapping"][place]
            windows.append((arrays, [tuple(s) if q == 1 else None for q, s in zip(sequences, spans, strict=True)]))
        return windows

    def _in_window(
        self, arrays: dict[str, np.ndarray], offsets: list[tuple[int, int] | None], context: str, count: int
    ) -> list[Answer]:
        outputs = self._run(arrays)
        allowed = np.array([offset is not None for offset in offsets])
        allowed[0] = True  # the place that says "no answer"
        starts, ends = (
            softmax(np.where(allowed, outputs[name][0], -np.inf)) for name in ("start_logits", "end_logits")
        )
        places = np.flatnonzero([offset is not None for offset in offsets])
        products = np.triu(np.outer(starts[places], ends[places]))
        products = np.tril(products, MAX_ANSWER_TOKENS - 1)
        order = np.argsort(-products, axis=None, kind="stable")[: 20 * count]
        answers = []
        for first, last in zip(*np.unravel_index(order, products.shape), strict=True):
            start, stop = offsets[places[first]][0], offsets[places[last]][1]
            if products[first, last] > 0:
                answers.append(Answer(context[start:stop], float(products[first, last]), start, stop))
        return answers


def _without_overlaps(answers: list[Answer], count: int) -> list[Answer]:
    """The likeliest answers of which none shares a character with a likelier one."""
    kept: list[Answer] = []
    for answer in sorted(answers, key=lambda each: -each.probability):
        if all(answer.stop <= other.start or other.stop <= answer.start for other in kept):
            kept.append(answer)
        if len(kept) == count:
            break
    return kept
