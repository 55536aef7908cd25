"""Held-out text without what the training text holds too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from engine.training.corpora.fingerprints import SAMPLED_RUN, among, essence, found_in, run_hashes
from engine.training.corpora.passages import Span, joined
from engine.training.corpus import Document

LEAK_BYTES = 100
"""No held-out document shares so long a run with the training text; UTF-8, white space and case aside. Chosen by us:
some fifteen words, where GPT-3 took thirteen (Brown et al. 2020, appendix C)."""

NEAR_COPY_SHARE = 0.5
"""Nor may so large a part of a held-out paragraph's runs of SAMPLED_RUN bytes stand in the training text: near copies,
and short texts within longer ones. Texts of fewer bytes than such a run are compared as whole documents only."""

_RUN = LEAK_BYTES // 2
_STRIDE = LEAK_BYTES - _RUN + 1
"""Every shared run of LEAK_BYTES holds a whole run of _RUN bytes that starts at a multiple of _STRIDE."""

_SHORT = 400
"""Paragraphs shorter than this are looked at run by run, longer ones at every eighth run."""


def without_leaks(pieces: Sequence[tuple[str, str, list[Span]]], learnt: Sequence[Document]) -> list[Document]:
    """Held-out documents without the paragraphs that are in the training text too, cut where one was taken out.

    Args:
        pieces: (name, whole text, paragraphs of it that follow each other). learnt: the training text.
    Returns: documents that share no run of LEAK_BYTES with it; those of one text are "name", "name, part 2", ….
    """
    essences = [[essence(text[start:stop]) for start, stop in spans] for _, text, spans in pieces]
    long_runs = [run_hashes(b"".join(parts), _RUN)[::_STRIDE] for parts in essences]
    short_runs = [[_short_runs(part) for part in parts] for parts in essences]
    wanted = {
        _RUN: _unique(long_runs),
        SAMPLED_RUN: _unique([hashes for parts in short_runs for hashes in parts]),
    }
    found = found_in(wanted, (essence(document.text) for document in learnt))
    leaked = {length: hashes[found[length]] for length, hashes in wanted.items()}
    documents: list[Document] = []
    numbers: dict[str, int] = {}
    for (name, text, spans), parts, long, short in zip(pieces, essences, long_runs, short_runs, strict=True):
        is_leak = _touched(parts, np.flatnonzero(among(long, leaked[_RUN])) * _STRIDE)
        for index, hashes in enumerate(short):
            known = among(hashes, leaked[SAMPLED_RUN])
            is_leak[index] |= bool(len(known)) and known.mean() >= NEAR_COPY_SHARE
        for kept in _kept(spans, is_leak):
            number = numbers[name] = numbers.get(name, 0) + 1
            documents.append(Document(name if number == 1 else f"{name}, part {number}", joined(text, kept)))
    return [document for document in documents if document.text.strip()]


def _short_runs(part: bytes) -> np.ndarray:
    hashes = run_hashes(part, SAMPLED_RUN)
    return hashes if len(part) < _SHORT else hashes[::8]


def _unique(hashes: Sequence[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate([*hashes, np.empty(0, np.uint64)]))


def _touched(parts: Sequence[bytes], starts: np.ndarray) -> np.ndarray:
    """Which paragraphs hold a byte of the runs of _RUN bytes that start there. Returns: bool, one a paragraph."""
    ends = np.cumsum([len(part) for part in parts])
    is_touched = np.zeros(len(parts), bool)
    for start in starts:
        first, last = np.searchsorted(ends, [start, start + _RUN - 1], side="right")
        is_touched[first : last + 1] = True
    return is_touched


def _kept(spans: Sequence[Span], is_leak: np.ndarray) -> Iterator[list[Span]]:
    """Runs of paragraphs between those that leaked."""
    run: list[Span] = []
    for span, leak in zip(spans, is_leak, strict=True):
        if leak:
            if run:
                yield run
            run = []
        else:
            run.append(span)
    if run:
        yield run
