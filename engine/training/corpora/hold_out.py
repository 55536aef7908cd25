"""Text set aside before anything is learnt: contiguous blocks of it, freed of copies, that training never sees."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import TrainingError
from engine.training.corpora.fingerprints import essence, samples
from engine.training.corpora.leaks import without_leaks
from engine.training.corpora.passages import Span, joined, paragraphs
from engine.training.corpus import Corpus, Document

REPEAT_BYTES = 40
"""A paragraph at least so long (white space aside) is kept once in all corpora; shorter ones, and lines, may return."""

NEAR_COPY_SHARE = 0.5
"""A block is a near copy if so large a part of its sampled runs stood in earlier blocks. Chosen by us."""

MIN_SAMPLES = 8
"""Blocks with fewer sampled runs are too short to be called near copies (some 150 characters)."""

LARGEST_BLOCK = 8192
"""Characters of a block at the most, a paragraph aside: several contexts long, and many blocks in a book."""

SMALLEST_BLOCK = 300
"""Characters of a block at the least, in texts that are long enough."""

MIN_TEXT = 500
"""Characters of all text, without copies, that something can be held out of. Chosen by us: half a page."""

MAX_HELD_OUT = 4_000_000
"""Characters of validation, and of test, at the most, however large the corpora: a finer number costs only time."""

_LONGEST_PARAGRAPHS = (2000, 400, 100)
"""Paragraphs are cut to the first of these lengths that gives blocks enough."""


@dataclass(frozen=True, slots=True)
class CorpusSplit:
    """What is learnt from, and what only judges.

    Attributes:
        training: each corpus with its weight and what remains of its documents; a corpus may have none left.
        validation: chooses among steps; never learnt from. test: judges the result; empty if the text is too short.
        dropped_bytes: UTF-8 bytes of copies, near copies and leaks that are in no part.
        notes: what a person should know of it, in sentences.
    """

    training: tuple[Corpus, ...]
    validation: tuple[Document, ...]
    test: tuple[Document, ...]
    dropped_bytes: int
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Block:
    """Consecutive paragraphs of one document; `place` counts the blocks of the corpus, kept or not."""

    corpus: int
    document: int
    place: int
    spans: list[Span]
    part: str = "training"

    @property
    def size(self) -> int:
        """Characters."""
        return sum(stop - start for start, stop in self.spans)


def held_out_split(corpora: Sequence[Corpus], share: float = 0.05, seed: int = 0) -> CorpusSplit:
    """Set blocks of consecutive paragraphs aside for validation and test, none of whose text training sees.

    1. Every paragraph of REPEAT_BYTES or more is kept once over all corpora, whatever its white space and case, and
       so is every document. 2. Documents are cut into blocks of consecutive paragraphs; a small document is a block.
    Blocks half of which stood in earlier ones are dropped as near copies. 3. In an order drawn by the seed, blocks of
    each corpus fill the test set and then the validation set, each where it fits. 4. Paragraphs of held-out blocks
    are dropped that share a run of LEAK_BYTES with the training text, or half of their short runs; so are those of
    validation that share so much with the test set. The order of a corpus does not depend on the others.

    Args:
        corpora: names all different. share: of each corpus for validation, and as much for test (0 < share ≤ 0.4).
        seed: draws the blocks.
    Returns: the parts; a document that was cut comes as pieces named "name, part 2".
    Raises: TrainingError if there is too little text, or everything held out stands in the training text too.
    """
    _check(corpora, share)
    for longest in _LONGEST_PARAGRAPHS:
        blocks = _without_near_copies(corpora, _blocks(corpora, share, longest))
        if len(blocks) >= 3:
            break
    if len(blocks) < 2 or sum(block.size for block in blocks) < MIN_TEXT:
        raise _too_short(corpora, "no part of it can be held out")
    _draw(corpora, blocks, share, seed)
    training = [_documents(corpora, blocks, index) for index in range(len(corpora))]
    learnt = [document for documents in training for document in documents]
    test = without_leaks(_pieces(corpora, blocks, "test"), learnt)
    validation = without_leaks(_pieces(corpora, blocks, "validation"), [*learnt, *test])
    if not validation and not test:
        raise _too_short(corpora, "all that could be held out stands in the rest too")
    notes = ()
    if not validation or not test:
        validation, test = validation or test, []
        notes = ("The text is too short for a test set of its own: validation text is all that is held out.",)
    kept = sum(_num_bytes(documents) for documents in (*training, validation, test))
    return CorpusSplit(
        training=tuple(
            Corpus(corpus.name, tuple(documents), corpus.weight)
            for corpus, documents in zip(corpora, training, strict=True)
        ),
        validation=tuple(validation),
        test=tuple(test),
        dropped_bytes=max(sum(_num_bytes(corpus.documents) for corpus in corpora) - kept, 0),
        notes=notes,
    )


def _check(corpora: Sequence[Corpus], share: float) -> None:
    names = [corpus.name for corpus in corpora]
    if len(set(names)) < len(names):
        raise TrainingError(f"Two corpora have the same name: {sorted(names)}.", "Attach each corpus once.")
    if not 0 < share <= 0.4:
        raise TrainingError(
            f"The held-out share must be above 0 and at most 0.4, got {share:g}.", "0.05 suits most texts."
        )


def _too_short(corpora: Sequence[Corpus], why: str) -> TrainingError:
    size = sum(_num_bytes(corpus.documents) for corpus in corpora)
    return TrainingError(
        f"There is too little text to learn from ({size} bytes, copies included): {why}.",
        "Attach a longer text, at least some thousand characters that do not repeat each other.",
    )


def _blocks(corpora: Sequence[Corpus], share: float, longest: int) -> list[Block]:
    """All paragraphs that did not stand before, in blocks of about half of a held-out part."""
    seen: set[bytes] = set()
    blocks: list[Block] = []
    for index, corpus in enumerate(corpora):
        total = sum(len(document.text) for document in corpus.documents)
        wanted = min(max(share * total / 2, min(SMALLEST_BLOCK, longest)), LARGEST_BLOCK)
        for number, document in enumerate(corpus.documents):
            spans: list[Span] = []
            for span in _fresh(document.text, longest, seen):
                spans.append(span)
                if sum(stop - start for start, stop in spans) >= wanted:
                    blocks.append(Block(index, number, len(blocks), spans))
                    spans = []
            if spans:
                blocks.append(Block(index, number, len(blocks), spans))
    return blocks


def _fresh(text: str, longest: int, seen: set[bytes]) -> Iterator[Span]:
    """Paragraphs that are no copies; none of a document that is one altogether. Remembers them in `seen`."""
    if not _is_first(text, seen, at_least=1):
        return
    for start, stop in paragraphs(text, longest):
        if (start, stop) == (0, len(text)) or _is_first(text[start:stop], seen, at_least=REPEAT_BYTES):
            yield start, stop


def _is_first(text: str, seen: set[bytes], at_least: int) -> bool:
    data = essence(text)
    if len(data) < at_least:
        return bool(at_least > 1)  # an empty document is nothing to learn
    key = hashlib.blake2b(data, digest_size=12).digest()
    if key in seen:
        return False
    seen.add(key)
    return True


def _without_near_copies(corpora: Sequence[Corpus], blocks: list[Block]) -> list[Block]:
    """The blocks most of whose sampled runs stood in no earlier block."""
    if not blocks:
        return blocks
    runs = [samples(essence(_text(corpora, block))) for block in blocks]
    owners = np.repeat(np.arange(len(blocks)), [len(hashes) for hashes in runs])
    _, first, inverse = np.unique(np.concatenate(runs), return_index=True, return_inverse=True)
    stood_before = owners[first][inverse] < owners
    copied = np.bincount(owners, stood_before, minlength=len(blocks))
    counts = np.bincount(owners, minlength=len(blocks))
    is_copy = (counts >= MIN_SAMPLES) & (copied >= NEAR_COPY_SHARE * counts)
    return [block for block, copy in zip(blocks, is_copy, strict=True) if not copy]


def _draw(corpora: Sequence[Corpus], blocks: list[Block], share: float, seed: int) -> None:
    """Say of each block which part it belongs to."""
    total = sum(block.size for block in blocks)
    share = min(share, MAX_HELD_OUT / max(total, 1))
    for index, corpus in enumerate(corpora):
        own = [block for block in blocks if block.corpus == index]
        random.Random(f"{seed} {corpus.name}").shuffle(own)  # noqa: S311 - no secret
        room = dict.fromkeys(("test", "validation"), share * sum(block.size for block in own))
        for block in own:
            block.part = next((part for part, free in room.items() if block.size <= free), "training")
            if block.part in room:
                room[block.part] -= block.size
    for part, at_least in (("validation", 2), ("test", 3)):
        if len(blocks) >= at_least and not any(block.part == part for block in blocks):
            smallest = min((block for block in blocks if block.part == "training"), key=lambda block: block.size)
            smallest.part = part


def _text(corpora: Sequence[Corpus], block: Block) -> str:
    return joined(corpora[block.corpus].documents[block.document].text, block.spans)


def _runs(blocks: Sequence[Block], part: str) -> Iterator[list[Block]]:
    """Blocks of one part that follow each other in their document."""
    run: list[Block] = []
    for block in blocks:
        if run and (block.part != part or block.place != run[-1].place + 1 or block.document != run[-1].document):
            yield run
            run = []
        if block.part == part:
            run.append(block)
    if run:
        yield run


def _documents(corpora: Sequence[Corpus], blocks: list[Block], index: int) -> list[Document]:
    """What training learns of one corpus."""
    runs = list(_runs([block for block in blocks if block.corpus == index], "training"))
    documents, pieces = [], {}
    for run in runs:
        document = corpora[index].documents[run[0].document]
        number = pieces[run[0].document] = pieces.get(run[0].document, 0) + 1
        name = document.name if number == 1 else f"{document.name}, part {number}"
        documents.append(Document(name, joined(document.text, [span for block in run for span in block.spans])))
    return documents


def _pieces(corpora: Sequence[Corpus], blocks: list[Block], part: str) -> list[tuple[str, str, list[Span]]]:
    """(name, text of the whole document, paragraphs) of what is held out, corpus by corpus."""
    pieces = []
    for index, corpus in enumerate(corpora):
        for run in _runs([block for block in blocks if block.corpus == index], part):
            document = corpus.documents[run[0].document]
            pieces.append((document.name, document.text, [span for block in run for span in block.spans]))
    return pieces


def _num_bytes(documents: Sequence[Document]) -> int:
    return sum(len(document.text.encode()) for document in documents)
