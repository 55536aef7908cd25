"""Text that every installation has at hand: two corpora of the running Python itself, and a short book of our own."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import TrainingError
from engine.training.corpus import Document, language_reference

MAX_SOURCE_BYTES = 12_000_000
"""Of the standard library's sources, in the order of their names; Python 3.11 to 3.14 have some 10 MB."""

_BOOKS = Path(__file__).parent / "books"
_LEFT_OUT = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "idlelib", "turtledemo", "lib2to3"}
    | {"ensurepip", "_pyrepl", "encodings", "pydoc_data"}
)
"""Tests, demonstrations, other people's packages, tables of letters, and the language reference."""


@dataclass(frozen=True, slots=True)
class Bundled:
    """A corpus that needs no upload.

    Attributes:
        name: for CorpusChoice's "bundled:<name>". title, description: for people, with whose text it is.
    """

    name: str
    title: str
    description: str
    _read: Callable[[], tuple[Document, ...]] = field(repr=False)

    def documents(self) -> tuple[Document, ...]:
        """All of its text; the same for the same Python. Raises: TrainingError if this Python comes without it."""
        return self._read()


def bundled() -> dict[str, Bundled]:
    """What is at hand, by name; nothing is read yet."""
    corpora = (
        Bundled(
            "language-reference",
            "Python language reference",
            "What help() prints on Python's topics: technical English, half a megabyte. Text of the Python Software "
            "Foundation as the running Python carries it.",
            language_reference,
        ),
        Bundled(
            "standard-library",
            "Python standard library",
            "Source code of the running Python, without its tests: some ten megabytes of Python with English comments, "
            "of the Python Software Foundation and its contributors.",
            standard_library,
        ),
        Bundled(
            "weigh-house",
            "The Weigh House at Saltmere",
            "A short story book, written for Weightscope: eleven chapters of plain prose and dialogue, 30 kilobytes. "
            "Little enough to watch a model learn it by heart.",
            weigh_house,
        ),
    )
    return {corpus.name: corpus for corpus in corpora}


def standard_library(limit_bytes: int = MAX_SOURCE_BYTES) -> tuple[Document, ...]:
    """The sources of the running Python's standard library, one document a module, in the order of their names.

    Args: limit_bytes: the last modules are left out once so much is read.
    Raises: TrainingError if this Python has no sources (some are frozen into one file).
    """
    root = Path(sysconfig.get_path("stdlib"))
    documents, size = [], 0
    for path in _sources(root):
        data = path.read_bytes()
        if size + len(data) > limit_bytes:
            break
        text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
        if text.strip():
            documents.append(Document(path.relative_to(root).as_posix(), text))
            size += len(data)
    if not documents:
        raise TrainingError(
            f"This Python has no sources of its standard library in {root}.",
            "Use a Python from python.org, or attach another text.",
        )
    return tuple(documents)


def weigh_house() -> tuple[Document, ...]:
    """The book that was written for Weightscope, as one document."""
    text = (_BOOKS / "weigh-house.txt").read_text(encoding="utf-8")
    return (Document("The Weigh House at Saltmere", text),)


def _sources(root: Path) -> Iterator[Path]:
    """Modules by name, then those of packages by name; other people's packages are not walked through."""
    yield from sorted(root.glob("*.py"))
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if folder.name not in _LEFT_OUT and not folder.name.startswith("config-"):
            yield from _sources(folder)
