"""Zero-shot classification: a text under labels that the person makes up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from engine.errors import RunnerError
from engine.runners.classification import ranked
from engine.runners.contract import Scored
from engine.runners.embeddings import Embedder, unit_length
from engine.runners.text_network import TextNetwork, output_named, softmax

ENTAILMENT_TEMPLATE = "This example is {}."
"""The hypothesis of Yin et al. 2019 (arXiv 1909.00161), as in the pipeline of transformers."""

NEARNESS_TEMPLATE = "This text is about {}."
"""Chosen by us: with MiniLM it sorted 10 of 10 sentences right; the hypothesis above 9, the bare label 8."""

SHARPNESS = 20.0
"""Cosines times this go into the softmax: the scale with which sentence-transformers trains contrastive losses."""


class ZeroShot(Protocol):
    """Both ways to do it.

    Attributes: is_by_embeddings: which of them. template: the sentence made of a label, unless another is given.
    """

    is_by_embeddings: bool
    template: str

    def classify(self, text: str, labels: Sequence[str], template: str | None = None) -> list[Scored]:
        """The labels with probabilities that sum to 1, likeliest first. `template`: has {} where the label goes."""
        ...


@dataclass
class EntailmentZeroShot(TextNetwork):
    """By inference: how much does the text entail "This example is LABEL."?

    Attributes: entailment: the place of that label among the network's scores.
    """

    entailment: int = field(kw_only=True)
    is_by_embeddings = False
    template = ENTAILMENT_TEMPLATE

    def classify(self, text: str, labels: Sequence[str], template: str | None = None) -> list[Scored]:
        """A softmax over the labels' entailment scores. Source: Yin et al. 2019."""
        template = template or self.template
        wanted = checked(labels, template)
        scores = []
        for label in wanted:
            options = {"truncation": "only_first"} if self.facts.context else {}
            arrays = self._tokens([text], [template.replace("{}", label)], **options)
            scores.append(output_named(self._run(arrays), "logits", dimensions=2)[0, self.entailment])
        return ranked(wanted, softmax(np.array(scores)))


@dataclass
class EmbeddingZeroShot(Embedder):
    """By embeddings: how near is the text to each label's sentence? For models without an inference head."""

    is_by_embeddings = True
    template = NEARNESS_TEMPLATE

    def classify(self, text: str, labels: Sequence[str], template: str | None = None) -> list[Scored]:
        """A softmax over SHARPNESS times the cosines; a ranking rather than calibrated probabilities."""
        template = template or self.template
        wanted = checked(labels, template)
        vectors = unit_length(self.embed([text, *(template.replace("{}", label) for label in wanted)]))
        return ranked(wanted, softmax(SHARPNESS * vectors[1:].astype(np.float64) @ vectors[0].astype(np.float64)))


def checked(labels: Sequence[str], template: str) -> list[str]:
    """The labels without blanks and repetitions. Raises: RunnerError if none is left, or the template has no {}."""
    wanted = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
    if not wanted:
        raise RunnerError("There are no labels.", "Write at least one label, better two.")
    if "{}" not in template:
        raise RunnerError(f"The template {template!r} has no place for the label.", "Write {} where the label goes.")
    return wanted
