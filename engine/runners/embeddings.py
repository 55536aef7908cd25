"""Embeddings: a text as one vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.errors import RunnerError
from engine.runners.checkpoint import Checkpoint
from engine.runners.text_network import BATCH, TextNetwork, output_named

POOLINGS = ("mean", "cls", "max", "last")


@dataclass
class Embedder(TextNetwork):
    """Makes embeddings.

    Attributes: pooling: one of POOLINGS; what the model was trained with where its folder says so, else "mean".
    """

    pooling: str = field(kw_only=True, default="mean")

    def embed(self, texts: Sequence[str], pooling: str | None = None, normalise: bool = True) -> np.ndarray:
        """One vector a text.

        Args:
            texts: at least one. Each is cut at `facts.context` tokens.
            pooling: of a text's token vectors: their "mean", their "max" by component, the first ("cls"), the "last".
            normalise: whether to scale each vector to length 1, so that dot products are cosines.
        Returns: (texts, width), float32. An all-zero vector stays zero.
        Source: Reimers & Gurevych 2019, Sentence-BERT, arXiv 1908.10084.
        """
        pooling = pooling or self.pooling
        if pooling not in POOLINGS:
            raise RunnerError(f"The pooling {pooling!r} is unknown.", f"Choose one of: {', '.join(POOLINGS)}.")
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # texts of like length pad little
        parts: list[np.ndarray] = []
        for start in range(0, len(order), BATCH) or (0,):
            arrays = self._tokens([texts[place] for place in order[start : start + BATCH]])
            hidden = output_named(self._run(arrays), "last_hidden_state", dimensions=3)
            parts.append(pooled(hidden, arrays["attention_mask"], pooling))
        vectors = np.empty_like(np.concatenate(parts))
        vectors[order] = np.concatenate(parts)
        return unit_length(vectors) if normalise else vectors


def pooled(hidden: np.ndarray, mask: np.ndarray, pooling: str) -> np.ndarray:
    """One vector from the vectors of each text's tokens.

    Args: hidden: (texts, tokens, width). mask: (texts, tokens), 1 for tokens, 0 for padding, in whatever place.
    Returns: (texts, width), float32; zero for a text without tokens.
    """
    is_token = mask.astype(bool)
    rows, columns = np.arange(len(mask)), np.arange(mask.shape[1])
    if pooling == "cls":
        return hidden[rows, is_token.argmax(1)].astype(np.float32)
    if pooling == "last":
        return hidden[rows, np.where(is_token, columns, -1).argmax(1)].astype(np.float32)
    if pooling == "max":
        return np.where(is_token[:, :, None], hidden, -np.inf).max(1).astype(np.float32)
    weights = is_token[:, :, None].astype(np.float64)
    return ((hidden * weights).sum(1) / np.maximum(weights.sum(1), 1)).astype(np.float32)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Each row over its Euclidean norm; a zero row stays zero."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)


def similarities(vectors: np.ndarray) -> np.ndarray:
    """Cosine of every pair: (texts, texts), float64, symmetric, in [−1, 1]; 0 with a zero vector."""
    units = unit_length(vectors).astype(np.float64)
    return np.clip(units @ units.T, -1, 1)


def trained_pooling(checkpoint: Checkpoint) -> tuple[str | None, tuple[str, ...]]:
    """The pooling that a sentence-transformers folder states, and notes on what of it is not applied here."""
    name = "1_Pooling/config.json"
    stated = checkpoint.json(name)
    modern = {"mean": "mean", "cls": "cls", "max": "max", "lasttoken": "last"}.get(str(stated.get("pooling_mode")))
    flags = {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_lasttoken": "last",
    }
    pooling = modern or next((each for flag, each in flags.items() if stated.get(flag) is True), None)
    has_dense = (checkpoint.folder / "2_Dense").is_dir()
    notes = ("The folder's dense layer (2_Dense) is not applied: vectors are those before it.",) if has_dense else ()
    return pooling, notes
