"""Documents as one row of tokens, kept on disk so that a long text is cut into tokens once."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from engine.errors import TrainingError
from engine.training.corpora.passages import seams
from engine.training.corpus import Document, text_hash

PART_CHARACTERS = 200_000
"""Text cut into tokens at once; the tokenizer's own notes take some 100 bytes a token."""


def token_array(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerFast, folder: Path | None = None
) -> np.ndarray:
    """The tokens of all documents, END_OF_TEXT before each.

    Args: folder: where arrays are kept, named after a hash of text and tokenizer; None keeps nothing.
    Returns: shape (tokens,), uint16 where the vocabulary allows, else int32; mapped from its file if there is a folder.
    Raises: TrainingError if the folder cannot be written.
    """
    if folder is None:
        return _concatenated(documents, tokenizer)
    backend = tokenizer.backend_tokenizer.to_str()
    key = hashlib.sha256(f"{text_hash(documents)} {backend}".encode()).hexdigest()
    path = folder / f"tokens-{key[:32]}.npy"
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):  # not there yet, or damaged
        _write(path, _concatenated(documents, tokenizer))
    return np.load(path, mmap_mode="r")


def _write(path: Path, tokens: np.ndarray) -> None:
    """The file appears whole or not at all; several processes may write it at once. Raises: TrainingError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.save(file, tokens)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise TrainingError(
            f"Tokens cannot be kept in {path.parent}: {error.strerror or error}.",
            "Free some space or check the rights.",
        ) from error


def _concatenated(documents: Sequence[Document], tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    dtype = np.uint16 if len(tokenizer) <= 1 << 16 else np.int32
    return np.concatenate([*_arrays(documents, tokenizer, dtype), np.empty(0, dtype)])


def _arrays(documents: Sequence[Document], tokenizer: PreTrainedTokenizerFast, dtype: type) -> Iterator[np.ndarray]:
    """Tokens of bounded stretches of text, in order."""
    stretch: list[tuple[bool, str]] = []
    size = 0
    for document in documents:
        for index, text in enumerate(seams(document.text, PART_CHARACTERS)):
            stretch.append((index == 0, text))
            size += len(text)
            if size >= 16 * PART_CHARACTERS:
                yield _encoded(stretch, tokenizer, dtype)
                stretch, size = [], 0
    yield _encoded(stretch, tokenizer, dtype)


def _encoded(stretch: list[tuple[bool, str]], tokenizer: PreTrainedTokenizerFast, dtype: type) -> np.ndarray:
    """A text that spells END_OF_TEXT out is cut into ordinary tokens: no document can end another."""
    backend = tokenizer.backend_tokenizer
    was_encoded, backend.encode_special_tokens = backend.encode_special_tokens, True
    try:
        encodings = backend.encode_batch_fast([text for _, text in stretch], add_special_tokens=False)
    finally:
        backend.encode_special_tokens = was_encoded
    parts = []
    for (is_first, _), encoding in zip(stretch, encodings, strict=True):
        if is_first:
            parts.append(np.array([tokenizer.bos_token_id], dtype))
        parts.append(np.array(encoding.ids, dtype))
    return np.concatenate([*parts, np.empty(0, dtype)])
