"""Text to learn from: documents, freed of repeats and split so that held-out text was never learnt."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import TrainingError
from engine.training.corpora.fingerprints import run_hashes

OVERLAP_CHARACTERS = 100
"""Two documents that share so long a run of characters stay on the same side of the split. Chosen by us: half of what
counts as a leak in our tests; at 60 nearly all of the language reference hangs together by its stock phrases."""

END_OF_TEXT = "<|endoftext|>"
"""Stands before every document and ends generation (GPT-2's name for it)."""

REPEAT_CHARACTERS = 40
"""A paragraph at least so long is kept once; shorter ones ("Changed in version 3.8") may return. Chosen by us."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text with a name, never cut by the split."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents that belong together, and how often a token of theirs is drawn beside one of a corpus of weight 1."""

    name: str
    documents: tuple[Document, ...]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Split:
    """Documents by what they are for.

    Attributes:
        training: learnt from; the tokenizer too sees only these.
        validation: chooses among settings and steps; never learnt from.
        test: judges the result; nothing was chosen by it.
    """

    training: tuple[Document, ...]
    validation: tuple[Document, ...]
    test: tuple[Document, ...]


def language_reference() -> tuple[Document, ...]:
    """The Python language reference as the running Python carries it for `help()`, one document a topic.

    The text belongs to the Python Software Foundation and differs between Python versions; it is read, never copied.

    Raises: TrainingError if this Python was installed without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise TrainingError(
            "This Python has no language reference (module pydoc_data.topics).",
            "Install the complete standard library, or use a Python from python.org.",
        ) from error
    return tuple(Document(name, topics[name]) for name in sorted(topics))


def text_hash(documents: Iterable[Document]) -> str:
    """SHA-256 (hex) of all names and texts in their order; equal hashes mean equal corpora."""
    digest = hashlib.sha256()
    for document in documents:
        for part in (document.name, document.text):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def num_bytes(documents: Iterable[Document]) -> int:
    """Bytes of all texts in UTF-8: what bits per byte are counted by."""
    return sum(len(document.text.encode()) for document in documents)


def split(documents: Sequence[Document], held_out_share: float = 0.08, seed: int = 0) -> Split:
    """Set whole documents aside for validation and test, so that none of their text is in the training text.

    Documents that share a run of OVERLAP_CHARACTERS, whatever their line breaks and indents, form a group; a paragraph
    that returns within a group is kept once, in the longest document. Then whole groups, in an order drawn by the seed,
    fill first the test set and then the validation set, each group where it still fits; the rest is for training.

    Args:
        documents: at least one, names all different.
        held_out_share: most characters of validation and of test, each as a part of all (0 … 0.5).
        seed: draws the order of the groups.
    Returns: the three parts, each with its documents sorted by name.
    Raises: TrainingError if any part would be empty.
    """
    groups = [_without_repeats(group) for group in _overlapping(documents)]
    sizes = [sum(len(document.text) for document in group) for group in groups]
    room = {"test": held_out_share * sum(sizes), "validation": held_out_share * sum(sizes)}
    parts: dict[str, list[Document]] = {"training": [], "test": [], "validation": []}
    order = list(range(len(groups)))
    random.Random(seed).shuffle(order)  # noqa: S311 - no secret
    for index in order:
        part = next((name for name, free in room.items() if sizes[index] <= free), "training")
        parts[part] += groups[index]
        if part in room:
            room[part] -= sizes[index]
    for name, part in parts.items():
        if not part:
            raise TrainingError(
                f"{len(documents)} documents in {len(groups)} groups without common text leave no {name} text "
                f"at a held-out share of {held_out_share:g}.",
                "Add more documents that do not repeat each other, or hold out a larger share.",
            )
    return Split(**{name: tuple(sorted(part, key=lambda document: document.name)) for name, part in parts.items()})


def longest_shared_run(text: str, other: str) -> str:
    """The longest run of characters of `text` that also occurs in `other`; white space counts as one space."""
    text, other = flat(text), flat(other)
    best, start = "", 0
    for stop in range(1, len(text) + 1):  # the window only grows or moves right: one search a character
        if text[start:stop] in other:
            best = max(best, text[start:stop], key=len)
        else:
            start += 1
            while text[start:stop] not in other:
                start += 1
    return best


def flat(text: str) -> str:
    """The text with every run of white space as one space, so that a re-indented copy is still seen as a copy."""
    return " ".join(text.split())


def _overlapping(documents: Sequence[Document]) -> list[list[Document]]:
    """Groups of documents with common text: the connected parts of "shares OVERLAP_CHARACTERS in a row"."""
    parent = list(range(len(documents)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    runs = [_runs(flat(document.text)) for document in documents]
    owners = np.repeat(np.arange(len(documents)), [len(hashes) for hashes in runs])
    _, first, which = np.unique(np.concatenate([*runs, np.empty(0, np.uint64)]), return_index=True, return_inverse=True)
    for index, owner in np.unique(np.stack([owners, owners[first][which]]), axis=1).T.tolist():
        parent[root(index)] = root(owner)
    groups: dict[int, list[Document]] = {}
    for index, document in enumerate(documents):
        groups.setdefault(root(index), []).append(document)
    return list(groups.values())


def _runs(text: str) -> np.ndarray:
    """Hashes of all runs of OVERLAP_CHARACTERS, or of the whole text where it is shorter; uint64."""
    width = 4  # bytes a character in UTF-32, so that runs are counted in characters
    length = min(max(len(text), 1), OVERLAP_CHARACTERS)
    return run_hashes(text.ljust(1).encode("utf-32-le", errors="replace"), width * length)[::width]


def _without_repeats(group: list[Document]) -> list[Document]:
    """The group with every longer paragraph once, and without documents that have nothing of their own."""
    seen: set[str] = set()
    kept = []
    for document in sorted(group, key=lambda document: (-len(document.text), document.name)):
        fresh = []
        for paragraph in document.text.split("\n\n"):
            key = flat(paragraph)
            if key in seen:
                continue
            if len(key) >= REPEAT_CHARACTERS:
                seen.add(key)
            fresh.append(paragraph)
        text = "\n\n".join(fresh)
        if len(fresh) == document.text.count("\n\n") + 1 or len(flat(text)) >= 2 * OVERLAP_CHARACTERS:
            kept.append(Document(document.name, text))
    return kept
