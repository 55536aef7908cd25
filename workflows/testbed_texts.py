"""Three texts that differ, out of the running Python itself: what its manual says, its code, and what its code says."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.training.corpora.bundled import bundled
from engine.training.corpora.hold_out import held_out_split
from engine.training.corpus import Corpus, Document, text_hash
from engine.training.tokenizer import tokenizer_for

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

HELD_OUT_SHARE = 0.05
SPLIT_SEED = 0


@dataclass(frozen=True, slots=True)
class Text:
    """One corpus of the test bed.

    Attributes:
        name, title: for files and for people. sha256: of all names and texts, before the split. num_bytes: of the text.
        training, validation: after the split.
    """

    name: str
    title: str
    sha256: str
    num_bytes: int
    training: Corpus
    validation: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that models learn from: the texts by name, and one vocabulary for all, so that a row means the same word."""

    texts: dict[str, Text]
    tokenizer: PreTrainedTokenizerFast


def prepared(limit_bytes: int, vocabulary_size: int, context: int) -> Prepared:
    """The three texts, each at most so long, split, and a vocabulary learnt from what is for training of all three.

    Raises: TrainingError if this Python came without its manual or its sources.
    """
    texts = {name: _text(name, title, read(limit_bytes)) for name, (title, read) in _TEXTS.items()}
    tokenizer = tokenizer_for([text.training for text in texts.values()], vocabulary_size, context)
    return Prepared(texts, tokenizer)


def _text(name: str, title: str, documents: Sequence[Document]) -> Text:
    parts = held_out_split([Corpus(name, tuple(documents))], HELD_OUT_SHARE, SPLIT_SEED)
    num_bytes = sum(len(document.text.encode()) for document in documents)
    return Text(name, title, text_hash(documents), num_bytes, parts.training[0], parts.validation)


def _reference(limit: int) -> tuple[Document, ...]:
    return _limited(bundled()["language-reference"].documents(), lambda document: document.text, limit)


def _code(limit: int) -> tuple[Document, ...]:
    return _limited(bundled()["standard-library"].documents(), without_docstrings, limit)


def _docstrings(limit: int) -> tuple[Document, ...]:
    return _limited(bundled()["standard-library"].documents(), docstrings, limit)


_TEXTS: dict[str, tuple[str, Callable[[int], tuple[Document, ...]]]] = {
    "reference": ("Python's language reference (English)", _reference),
    "code": ("source code of Python's standard library, without its docstrings", _code),
    "docstrings": ("docstrings of Python's standard library", _docstrings),
}
"""Name -> what it is, and how it is read."""


def _limited(documents: Sequence[Document], part: Callable[[Document], str], limit: int) -> tuple[Document, ...]:
    """Parts of documents in an order drawn from their names, until there are so many bytes; sorted by name."""
    found, size = [], 0
    for document in sorted(documents, key=lambda one: hashlib.sha256(one.name.encode()).digest()):
        text = part(document)
        if text.strip():
            found.append(Document(document.name, text))
            size += len(text.encode())
        if size >= limit:
            break
    return tuple(sorted(found, key=lambda one: one.name))


def without_docstrings(document: Document) -> str:
    """A module's source without the lines of its docstrings."""
    lines = document.text.split("\n")
    dropped = {line for first, last, _ in _found(document) for line in range(first - 1, last)}
    return "\n".join(line for number, line in enumerate(lines) if number not in dropped)


def docstrings(document: Document) -> str:
    """A module's docstrings, one after the other."""
    return "\n\n".join(text for _, _, text in _found(document))


def _found(document: Document) -> list[tuple[int, int, str]]:
    """(first line, last line, text) of every docstring."""
    found = []
    for node in ast.walk(ast.parse(document.text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                found.append((node.body[0].lineno, node.body[0].end_lineno, text))
    return sorted(found)
