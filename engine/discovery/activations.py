"""What models make of the same passages: one vector a passage, of a trained model or of its random start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from engine.discovery.cka import Cka, linear_cka
from engine.errors import RunnerError
from engine.runners.checkpoint import TRANSFORMERS, Checkpoint, checkpoint_at
from engine.runners.failures import as_runner_error
from engine.runners.transformers_loading import Loading, load_network, load_tokenizer, quietly
from engine.sources.base import Source

NUM_PASSAGES, PASSAGE_LENGTH = 64, 320
"""Passages of a text and characters of each; chosen by us: seconds for a small model, and CKA to about 0.03."""

NUM_STARTS = 2
"""Random starts of each model behind the null."""


def passages(text: str) -> tuple[str, ...]:
    """NUM_PASSAGES evenly spaced pieces of a text, each beginning at a word."""
    starts = np.linspace(0, max(len(text) - PASSAGE_LENGTH, 0), NUM_PASSAGES).astype(int)
    pieces = [text[start : start + PASSAGE_LENGTH].partition(" ")[2].strip() for start in np.unique(starts)]
    return tuple(piece for piece in pieces if piece)


def passage_vectors(
    place: str | Path | Source, texts: Sequence[str], start: int | None = None, check: Callable[[], None] = lambda: None
) -> np.ndarray:
    """The mean over tokens of the last hidden states, one vector a text.

    Args: start: None for the trained weights, else the seed of a random start of the same architecture.
        check: called before each text; may raise Cancelled.
    Returns: (texts, width) float32. Raises: RunnerError if it is no text model that transformers can run here.
    """
    import torch

    checkpoint = checkpoint_at(place)
    if checkpoint.kind != TRANSFORMERS:
        raise RunnerError(f"{checkpoint.folder.name} is no folder with config.json and weights.", "It is left out.")
    tokenizer = load_tokenizer(checkpoint)
    network = load_network(checkpoint, "AutoModel", Loading("cpu", "float32")) if start is None else _start(
        checkpoint, start
    )  # fmt: skip
    network = network.get_encoder() if getattr(network.config, "is_encoder_decoder", False) else network
    limit = min(int(getattr(network.config, "max_position_embeddings", 512) or 512), 512)
    found = []
    with torch.inference_mode(), as_runner_error(f"Running {checkpoint.folder.name}"):
        for text in texts:
            check()
            ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=limit)["input_ids"]
            found.append(network(input_ids=ids).last_hidden_state[0].float().mean(dim=0).numpy())
    return np.stack(found)


def compared(vectors: Sequence[np.ndarray], starts: Sequence[Sequence[np.ndarray]], first: int, second: int) -> Cka:
    """CKA of two models, beside that of their random starts.

    Args: vectors: one table a model. starts: those of its random starts, as many of each; seeds differ between models.
    """
    nulls = tuple(linear_cka(a, b) for a, b in zip(starts[first], starts[second], strict=True))
    return Cka(linear_cka(vectors[first], vectors[second]), float(np.mean(nulls)), nulls)


def _start(checkpoint: Checkpoint, seed: int):
    """The architecture with the weights that it would begin its training with."""
    import torch
    from transformers import AutoConfig, AutoModel

    with as_runner_error(f"Making a random start of {checkpoint.folder.name}"), quietly(), torch.random.fork_rng([]):
        torch.manual_seed(seed)
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
        return AutoModel.from_config(config, trust_remote_code=False).float().eval()
