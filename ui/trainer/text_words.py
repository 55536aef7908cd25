"""Texts by names that people know them by: in the URL, in lists, in the details of a run."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode

from engine.errors import TrainingError
from engine.training.corpora.bundled import bundled
from engine.training.settings import CorpusChoice
from ui.page import store
from workflows.corpora import CorpusLibrary, KeptCorpus

HUB = "hub:"
_HUB_PARTS = ("split", "column", "documents")


def library() -> CorpusLibrary:
    """The uploaded texts of this app."""
    return CorpusLibrary(store().folder / "corpora")


def kept_label(kept: KeptCorpus, others: list[KeptCorpus]) -> str:
    """An uploaded text by its file's name; with a piece of its id where two have the same name."""
    is_alone = sum(other.name == kept.name for other in others) < 2
    return kept.name if is_alone else f"{kept.name} ({kept.id[:4]})"


def known_texts() -> dict[str, str]:
    """Label -> source, as `CorpusChoice` wants it: what comes with Weightscope first, then what was uploaded."""
    kept = library().list()
    texts = {corpus.title: f"bundled:{name}" for name, corpus in bundled().items()}
    return texts | {kept_label(each, kept): f"library:{each.id}" for each in kept}


def hub_label(name: str, split: str, column: str, documents: int) -> str:
    """A data set of the hub as one word that says it all: hub:owner/name?split=train&column=text&documents=1000."""
    asked = {"split": split.strip(), "column": column.strip(), "documents": str(documents) if documents else ""}
    query = urlencode({part: value for part, value in asked.items() if value}, quote_via=quote)
    return f"{HUB}{name.strip()}" + (f"?{query}" if query else "")


def choice_of(label: str, weight: float, known: dict[str, str]) -> CorpusChoice:
    """What a label of the list means. Raises: TrainingError for a text that is not there."""
    if label in known:
        return CorpusChoice(known[label], weight)
    if not label.startswith(HUB):
        raise TrainingError(f"There is no text {label[:80]!r} here (any more).", "Take it out, or add it again.")
    name, _, query = label.removeprefix(HUB).partition("?")
    asked = {part: value for part, value in parse_qsl(query) if part in _HUB_PARTS}
    documents = asked.get("documents", "0")
    return CorpusChoice(
        f"{HUB}{name}",
        weight,
        asked.get("split", ""),
        asked.get("column", ""),
        int(documents) if documents.isascii() and documents.isdigit() and len(documents) < 12 else 0,
    )


def corpus_words(choice: CorpusChoice) -> str:
    """A chosen text in one line, for the details of a run; an uploaded one may be gone since."""
    labels = {source: label for label, source in known_texts().items()}
    words = [labels.get(choice.source, choice.source)]
    if choice.source.startswith(HUB):
        words = [f"{choice.source.removeprefix(HUB)} of the hub, split {choice.split or 'train'}"]
    if choice.documents:
        words.append(f"at most {choice.documents:,} documents")
    if choice.weight != 1:
        words.append(f"weight {choice.weight:g}")
    return ", ".join(words)
