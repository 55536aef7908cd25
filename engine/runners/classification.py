"""Classification: a text under the labels that the model was trained for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.runners.contract import Scored
from engine.runners.text_network import TextNetwork, output_named, softmax


@dataclass
class Classifier(TextNetwork):
    """Sorts a text under labels.

    Attributes: labels: in the order of the network's scores. is_multi_label: whether several may hold at once.
    """

    labels: tuple[str, ...] = field(kw_only=True)
    is_multi_label: bool = field(kw_only=True, default=False)

    def classify(self, text: str, pair: str | None = None) -> list[Scored]:
        """All labels, likeliest first.

        Probabilities are a softmax over the labels and sum to 1; with `is_multi_label`, or one label only, each is a
        sigmoid of its own. `pair`: a second text, for models that compare two.
        """
        arrays = self._tokens([text], None if pair is None else [pair])
        scores = output_named(self._run(arrays), "logits", dimensions=2)[0]
        probabilities = sigmoid(scores) if self.is_multi_label or len(scores) == 1 else softmax(scores)
        return ranked(self.labels, probabilities)


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(−s)) in float64, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * scores.astype(np.float64)))


def ranked(labels: tuple[str, ...] | list[str], probabilities: np.ndarray) -> list[Scored]:
    """Labels with their probabilities, likeliest first; equal ones in the given order."""
    order = np.argsort(-probabilities, kind="stable")
    return [Scored(labels[place], float(probabilities[place])) for place in order]


def labels_of(config: dict, num_labels: int | None = None) -> tuple[str, ...]:
    """The names of a classifier's outputs from `id2label`, "LABEL_i" where it names none."""
    named = config.get("id2label")
    named = {str(key): str(value) for key, value in named.items()} if isinstance(named, dict) else {}
    stated = config.get("num_labels")
    count = num_labels or len(named) or (stated if isinstance(stated, int) else 2)
    return tuple(named.get(str(place), f"LABEL_{place}") for place in range(count))
