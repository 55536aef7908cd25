"""Texts to learn from: those that people uploaded, kept as plain text, and all that a training was asked to read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import BinaryIO

from engine.errors import TrainingError
from engine.training.corpora.bundled import bundled
from engine.training.corpora.extraction import FORMATS, MAX_FILE_BYTES, extract
from engine.training.corpora.hub_data_set import hub_documents
from engine.training.corpus import Corpus, Document, num_bytes
from engine.training.settings import CorpusChoice
from storage.location import data_folder
from workflows.deployment import check_allowed
from workflows.wording import bytes_text

_ID = re.compile(r"[0-9a-f]{16}")
_META, _TEXT = "corpus.json", "documents.jsonl"
_INCOMING = ".incoming-"
_STALE_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class KeptCorpus:
    """An uploaded text as it is kept.

    Attributes:
        id: of the file's bytes and the column; for CorpusChoice's "library:<id>". name: of the file.
        format, encoding, notes: as extraction found them. num_documents, num_bytes: of the text, in UTF-8.
        sha256: of the file's bytes (hex). added_at: UTC, ISO 8601.
    """

    id: str
    name: str
    format: str
    encoding: str
    notes: tuple[str, ...]
    num_documents: int
    num_bytes: int
    sha256: str
    added_at: str


class CorpusLibrary:
    """Uploaded texts, each in a folder of its own: what was extracted, and where it came from. Not the file itself.

    Args: folder: where they lie; `corpora` in the data folder if None. Made when the first text comes.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or data_folder() / "corpora"

    def add(self, name: str, stream: BinaryIO, column: str = "") -> KeptCorpus:
        """Take the text out of an uploaded file and keep it; the same bytes are kept once.

        Args: name: as the browser says it; its ending tells the format. column: of csv and jsonl; "" for the likeliest.
        Raises: TrainingError if it is too large, holds no text, or cannot be kept.
        """
        name = re.sub(r"[\x00-\x1f]", "", re.split(r"[/\\]", name)[-1])[-200:] or "text"
        data = stream.read(MAX_FILE_BYTES + 1)
        sha256 = hashlib.sha256(data).hexdigest()
        key = hashlib.sha256(f"{sha256} {PurePath(name).suffix.lower()} {column}".encode()).hexdigest()[:16]
        with suppress(TrainingError):  # not there yet, or damaged
            self.read(key)
            return self.entry(key)
        extracted = extract(data, name, column)
        kept = KeptCorpus(
            id=key,
            name=name,
            format=extracted.format,
            encoding=extracted.encoding,
            notes=extracted.notes,
            num_documents=len(extracted.documents),
            num_bytes=num_bytes(extracted.documents),
            sha256=sha256,
            added_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._write(kept, extracted.documents)
        return kept

    def list(self) -> list[KeptCorpus]:
        """All that are kept, the newest first."""
        kept = []
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            with suppress(TrainingError):  # another process may be removing it
                kept.append(self.entry(folder.name))
        return sorted(kept, key=lambda one: (one.added_at, one.id), reverse=True)

    def entry(self, key: str) -> KeptCorpus:
        """What is known of one text. Raises: TrainingError if there is none of that id."""
        try:
            values = json.loads((self._place(key) / _META).read_text(encoding="utf-8"))
            return KeptCorpus(**values | {"notes": tuple(values["notes"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise TrainingError(
                f"There is no uploaded text {key[:40]!r} any more.", "Upload it again, or take it out of the choice."
            ) from error

    def read(self, key: str) -> tuple[Document, ...]:
        """The documents of one text. Raises: TrainingError if there is none of that id, or it is damaged."""
        kept = self.entry(key)
        damaged = TrainingError(f"The uploaded text {kept.name} is damaged.", "Remove it and upload it again.")
        try:
            lines = (self._place(key) / _TEXT).read_text(encoding="utf-8").split("\n")
            documents = tuple(Document(*json.loads(line)) for line in lines if line)
        except (OSError, ValueError, TypeError) as error:
            raise damaged from error
        if len(documents) != kept.num_documents or num_bytes(documents) != kept.num_bytes:
            raise damaged
        return documents

    def remove(self, key: str) -> None:
        """Delete one text; nothing happens if it is gone already."""
        place = self._place(key)
        gone = place.with_name(f"{_INCOMING}{secrets.token_hex(8)}")
        with suppress(FileNotFoundError):
            place.rename(gone)  # at once out of every list
            shutil.rmtree(gone, ignore_errors=True)

    def _place(self, key: str) -> Path:
        if not _ID.fullmatch(key):
            raise TrainingError(f"{key[:40]!r} is no id of an uploaded text.", "Choose one of the list.")
        return self.folder / key

    def _write(self, kept: KeptCorpus, documents: Iterable[Document]) -> None:
        """The folder appears whole or not at all."""
        incoming = self.folder / f"{_INCOMING}{secrets.token_hex(8)}"
        try:
            self._sweep()
            incoming.mkdir(parents=True)
            with (incoming / _TEXT).open("w", encoding="utf-8", newline="\n") as file:
                for document in documents:
                    file.write(json.dumps([document.name, document.text], ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
            (incoming / _META).write_text(json.dumps(asdict(kept), ensure_ascii=False, indent=1), encoding="utf-8")
            self._put(incoming, kept.id)
        except OSError as error:
            raise TrainingError(
                f"{kept.name} ({bytes_text(kept.num_bytes)}) cannot be kept in {self.folder}: "
                f"{error.strerror or error}.",
                "Free some space or check the rights.",
            ) from error
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def _put(self, incoming: Path, key: str) -> None:
        """Take the place of a damaged text, but not of a whole one: another tab finished the same upload first."""
        try:
            incoming.rename(self._place(key))
        except OSError:
            try:
                self.read(key)
            except TrainingError:
                self.remove(key)
                incoming.rename(self._place(key))

    def _sweep(self) -> None:
        """Delete what uploads left behind that were killed more than a day ago."""
        for folder in self.folder.glob(f"{_INCOMING}*"):
            with suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > _STALE_S:
                    shutil.rmtree(folder, ignore_errors=True)


def gather(
    choices: Sequence[CorpusChoice], library: CorpusLibrary | None = None, token: str | None = None
) -> list[Corpus]:
    """All documents of each choice, with its weight; named after its source (and split, where one is asked for).

    Args: library: of uploads; the usual one if None. token: for the hub; None for HF_TOKEN. It is kept nowhere.
    Raises: TrainingError if a choice cannot be read or comes twice; HubError; NotAllowedError in a public deployment.
    """
    library = library or CorpusLibrary()
    names = [f"{choice.source} {choice.split}".strip() for choice in choices]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise TrainingError(f"{twice} is attached twice.", "Attach it once, and raise its weight instead.")
    return [
        Corpus(name, _documents(choice, library, token), choice.weight)
        for name, choice in zip(names, choices, strict=True)
    ]


def _documents(choice: CorpusChoice, library: CorpusLibrary, token: str | None) -> tuple[Document, ...]:
    kind, colon, name = choice.source.partition(":")
    if colon and kind == "bundled":
        if name not in bundled():
            raise TrainingError(f"No corpus {name!r} comes with Weightscope.", f"There are: {', '.join(bundled())}.")
        documents: Iterable[Document] = bundled()[name].documents()
    elif colon and kind == "library":
        documents = library.read(name)
    elif colon and kind == "hub":
        check_allowed("downloads")
        return tuple(hub_documents(name, choice.split, choice.column, choice.documents, token=token))
    else:
        check_allowed("server paths")
        documents = _read_path(Path(choice.source).expanduser(), choice.column)
    documents = tuple(documents)
    return documents[: choice.documents] if choice.documents else documents


def _read_path(path: Path, column: str) -> list[Document]:
    """The documents of a file, or of all files in a folder that text is taken out of, by name."""
    if not path.is_dir():
        return list(extract(path, column=column).documents)
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in FORMATS and file.is_file())
    if not files:
        raise TrainingError(f"{path} holds no file that text is taken out of.", f"Use {', '.join(FORMATS)}.")
    documents: list[Document] = []
    for file in files:
        name = file.relative_to(path).as_posix()
        documents += extract(file, name, column if file.suffix.lower() in (".csv", ".jsonl") else "").documents
    return documents
