"""Files of every kind to documents: a failed or empty extraction is an error, never a corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from engine.errors import TrainingError
from engine.training.corpora.encodings import decoded, plain
from engine.training.corpora.epub import epub_text
from engine.training.corpora.pdf import pdf_text
from engine.training.corpora.tables import csv_documents, jsonl_documents
from engine.training.corpus import END_OF_TEXT, Document

MAX_FILE_BYTES = 200_000_000
"""A file is read into memory; chosen by us, so that a machine with 1 GB can."""

MAX_TEXT_BYTES = 64_000_000
"""Of text in one file, also of what is packed in it: more than any book, and no zip bomb."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a file.

    Attributes:
        documents: at least one, none of them empty.
        encoding: the text was in, as Python names it; "" where the format has its own.
        format: "txt", "md", "csv", "jsonl", "pdf" or "epub". notes: what a person should know, in sentences.
    """

    documents: tuple[Document, ...]
    encoding: str
    format: str
    notes: tuple[str, ...] = ()


def extract(source: str | Path | bytes, name: str = "", column: str = "") -> Extracted:
    """Take the text out of a file.

    Args:
        source: its path, or its bytes. name: what it is called; its ending tells the format. Default: the path's.
        column: with the text, of csv and jsonl; "" for the likeliest.
    Raises: TrainingError if it cannot be read, is too large, is no such format, or holds no text.
    """
    name = name or (str(source) if not isinstance(source, bytes) else "the text")
    extractor = _EXTRACTORS.get(PurePath(name).suffix.lower())
    if extractor is None:
        raise TrainingError(f"{name} has an ending that no text is taken out of.", f"Use one of {', '.join(FORMATS)}.")
    extracted = extractor(_bytes(source, name), name, column)
    num_bytes = sum(len(document.text.encode()) for document in extracted.documents)
    if not any(document.text.strip() for document in extracted.documents):
        raise TrainingError(f"{name} holds no text.", "Choose a file with text in it.")
    if num_bytes > MAX_TEXT_BYTES:
        raise too_much_text(name)
    return extracted


def too_much_text(name: str) -> TrainingError:
    """The error for text beyond MAX_TEXT_BYTES."""
    return TrainingError(
        f"{name} holds more than {MAX_TEXT_BYTES // 1_000_000} MB of text, the most that is taken of one file.",
        "Divide it into several files.",
    )


def _bytes(source: str | Path | bytes, name: str) -> bytes:
    if not isinstance(source, bytes):
        try:
            with Path(source).open("rb") as file:
                source = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise TrainingError(f"{name} cannot be read: {error.strerror or error}.", "Check the path.") from error
    if len(source) > MAX_FILE_BYTES:
        raise TrainingError(
            f"{name} is larger than {MAX_FILE_BYTES // 1_000_000} MB, the most that is read.", "Divide it."
        )
    return source


def _text(data: bytes, name: str, column: str) -> Extracted:
    """Plain text and Markdown, as they stand; several documents where END_OF_TEXT stands between them."""
    text, encoding = decoded(data, name)
    texts = [part.strip("\n") for part in text.split(END_OF_TEXT)] if END_OF_TEXT in text else [text]
    texts = [part for part in texts if part.strip()]
    title = PurePath(name).name
    names = [title] if len(texts) == 1 else [f"{title} {number}" for number in range(1, len(texts) + 1)]
    return Extracted(tuple(map(Document, names, texts)), encoding, "txt")


def _markdown(data: bytes, name: str, column: str) -> Extracted:
    return replace(_text(data, name, column), format="md")


def _csv(data: bytes, name: str, column: str) -> Extracted:
    text, encoding = decoded(data, name)
    documents, notes = csv_documents(text, name, column)
    return Extracted(documents, encoding, "csv", notes)


def _jsonl(data: bytes, name: str, column: str) -> Extracted:
    text, encoding = decoded(data, name)
    documents, notes = jsonl_documents(text, name, column)
    return Extracted(documents, encoding, "jsonl", notes)


def _pdf(data: bytes, name: str, column: str) -> Extracted:
    text, notes = pdf_text(data, name, MAX_TEXT_BYTES)
    return Extracted((Document(PurePath(name).name, plain(text, name)),), "", "pdf", notes)


def _epub(data: bytes, name: str, column: str) -> Extracted:
    text, notes = epub_text(data, name, MAX_TEXT_BYTES)
    return Extracted((Document(PurePath(name).name, plain(text, name)),), "", "epub", notes)


_EXTRACTORS: dict[str, Callable[[bytes, str, str], Extracted]] = {
    ".txt": _text,
    ".md": _markdown,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".pdf": _pdf,
    ".epub": _epub,
}
FORMATS = tuple(_EXTRACTORS)
"""Endings of files that text is taken out of."""
