"""From corpora to tokens: gathered and split once for a run, and kept in its folder, so that it resumes with that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import TrainingError
from engine.training.corpus import Corpus, Document, num_bytes, text_hash
from engine.training.settings import CorpusChoice
from storage.store import Store
from workflows.folders import replace_text
from workflows.reports import Meter, Report
from workflows.training_request import TrainingRequest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from engine.training.corpora.token_stream import TokenStream

FACTS = "facts.json"
"""Written last: a folder without it was not finished, and is made anew."""


@dataclass(frozen=True)
class CorpusFacts:
    """One corpus as it was learnt from.

    Attributes:
        source, name: as asked for, and for people. weight: as asked for.
        sha256: of all its names and texts, before the split. num_documents, num_bytes: the same.
        num_training_bytes, num_tokens: of what remained for training. tokens_file: its tokens; "" if none remained.
    """

    source: str
    name: str
    weight: float
    sha256: str
    num_documents: int
    num_bytes: int
    num_training_bytes: int
    num_tokens: int
    tokens_file: str


@dataclass(frozen=True)
class TextFacts:
    """All text of a run: corpora, held-out bytes, bytes in no part (copies and leaks), and what to know of it."""

    corpora: tuple[CorpusFacts, ...]
    validation_bytes: int
    test_bytes: int
    dropped_bytes: int
    notes: tuple[str, ...]

    @property
    def num_tokens(self) -> int:
        return sum(corpus.num_tokens for corpus in self.corpora)


class PreparedText:
    """The text of a run in a folder of its own: token arrays, held-out documents, tokenizer, facts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tokenizer = folder / "tokenizer"

    @property
    def is_complete(self) -> bool:
        return (self.folder / FACTS).is_file()

    @property
    def facts(self) -> TextFacts:
        """Raises: TrainingError if the folder was damaged."""
        try:
            known = json.loads((self.folder / FACTS).read_text(encoding="utf-8"))
            corpora = tuple(CorpusFacts(**corpus) for corpus in known.pop("corpora"))
            return TextFacts(corpora, **known | {"notes": tuple(known["notes"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"The prepared text in {self.folder} is damaged: {error}.", "Start a new run from the last checkpoint."
            ) from error

    def stream(self, seed: int) -> TokenStream:
        """The training text as batches."""
        from engine.training.corpora.token_stream import TokenStream

        used = [corpus for corpus in self.facts.corpora if corpus.tokens_file and corpus.weight > 0]
        arrays = [np.load(self.folder / corpus.tokens_file, mmap_mode="r") for corpus in used]
        return TokenStream(arrays, [corpus.weight for corpus in used], seed)

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """As the run began with it."""
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(self._tokenizer, local_files_only=True)

    @property
    def validation(self) -> list[Document]:
        """Chooses among steps."""
        return _read_documents(self.folder / "validation.jsonl")

    @property
    def test(self) -> list[Document]:
        """Judges the result; the validation text where there is too little for both."""
        return _read_documents(self.folder / "test.jsonl") or self.validation

    def prepare(
        self, request: TrainingRequest, store: Store, report: Report, tokenizer: PreTrainedTokenizerFast | None
    ) -> None:
        """Do it all: gather, split, make a tokenizer unless there is one, cut into tokens.

        Raises: TrainingError if there is too little text; SourceError if a corpus cannot be read.
        """
        from engine.training.corpora.hold_out import held_out_split
        from engine.training.tokenizer import tokenizer_for

        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        corpora = gathered(request, store, report)
        Meter(report, "setting text aside")
        parts = held_out_split(corpora, request.held_out_share, seed_of(request))
        if not parts.validation:
            raise TrainingError(
                "The text is too short: nothing of it could be held out.", "Attach a longer text, or another one."
            )
        for note in parts.notes:
            report.log(note)
        if tokenizer is None:
            Meter(report, "making a tokenizer")
            tokenizer = tokenizer_for(parts.training, request.model.vocabulary_size, request.model.context)
        tokenizer.save_pretrained(self._tokenizer)
        _write_documents(self.folder / "validation.jsonl", parts.validation)
        _write_documents(self.folder / "test.jsonl", parts.test)
        meter = Meter(report, "cutting text into tokens", sum(num_bytes(c.documents) for c in parts.training))
        facts = []
        for choice, before, after in zip(request.corpora, corpora, parts.training, strict=True):
            facts.append(self._corpus(choice, corpus_title(choice, store), before, after, tokenizer))
            meter.advance(num_bytes(after.documents), after.name)
        if not sum(corpus.num_tokens for corpus in facts):
            raise TrainingError("No text remained for training.", "Attach a longer text that does not repeat itself.")
        sizes = num_bytes(parts.validation), num_bytes(parts.test)
        known = TextFacts(tuple(facts), *sizes, parts.dropped_bytes, parts.notes)
        replace_text(self.folder / FACTS, json.dumps(asdict(known), ensure_ascii=False, indent=1))

    def _corpus(
        self, choice: CorpusChoice, name: str, before: Corpus, after: Corpus, tokenizer: PreTrainedTokenizerFast
    ) -> CorpusFacts:
        from engine.training.corpora.token_array import token_array

        tokens, file = (), ""
        if any(document.text for document in after.documents):
            tokens = token_array(after.documents, tokenizer, self.folder)
            file = Path(tokens.filename).name
        return CorpusFacts(
            source=choice.source,
            name=name,
            weight=before.weight,
            sha256=text_hash(before.documents),
            num_documents=len(before.documents),
            num_bytes=num_bytes(before.documents),
            num_training_bytes=num_bytes(after.documents),
            num_tokens=len(tokens),
            tokens_file=file,
        )


def gathered(request: TrainingRequest, store: Store, report: Report) -> list[Corpus]:
    """The text that was asked for, one corpus a choice, in their order.

    The token for private data sets of the hub comes from HF_TOKEN in the process's environment, and is kept nowhere.

    Raises: TrainingError if there is none.
    """
    from workflows.corpora import CorpusLibrary, gather

    meter = Meter(report, "gathering text", len(request.corpora), unit="corpora")
    library = CorpusLibrary(store.folder / "corpora")
    found: list[Corpus] = []
    for choice in request.corpora:
        found += gather([choice], library)
        meter.advance(1, choice.source)
    if not any(document.text.strip() for corpus in found for document in corpus.documents):
        raise TrainingError("There is no text to learn from: all corpora are empty.", "Attach another text.")
    return found


def corpus_title(choice: CorpusChoice, store: Store) -> str:
    """A corpus as people know it: an upload by the name of its file, part of a hub set with the name of its split."""
    from workflows.corpora import CorpusLibrary

    kind, _, key = choice.source.partition(":")
    if kind == "library":
        return CorpusLibrary(store.folder / "corpora").entry(key).name
    return f"{choice.source} {choice.split}".strip()


def seed_of(request: TrainingRequest) -> int:
    """The seed that decides the split too."""
    return (request.training or request.self_play).seed


def _write_documents(path: Path, documents: Sequence[Document]) -> None:
    lines = [json.dumps({"name": document.name, "text": document.text}) + "\n" for document in documents]
    path.write_text("".join(lines), encoding="utf-8")


def _read_documents(path: Path) -> list[Document]:
    with path.open(encoding="utf-8") as file:
        return [Document(**json.loads(line)) for line in file]
