"""Documents cut into paragraphs and blocks of them, each a span of characters, so that nothing is lost or changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_ENDS = (re.compile(r"\n"), re.compile(r"[.!?…。！？]['\"”’)\]]*\s+|[。！？]"), re.compile(r"\s+"))
"""Where an overlong paragraph is cut, best first: line ends, ends of sentences, white space."""

_SEAM = re.compile(r"(?<=\S)(?=\s)")
"""Between a word and white space no byte-level token reaches across, so cutting there changes no token."""

Span = tuple[int, int]


def paragraphs(text: str, longest: int) -> Iterator[Span]:
    """Consecutive spans that cover the text, each a paragraph with the blank lines after it.

    A paragraph longer than `longest` is cut at the last line end, end of a sentence or white space that leaves a part
    no longer than that and at least half so long, else after `longest` characters.
    """
    start = 0
    for gap in _BLANK_LINES.finditer(text):
        yield from _parts(text, start, gap.end(), longest)
        start = gap.end()
    yield from _parts(text, start, len(text), longest)


def _parts(text: str, start: int, stop: int, longest: int) -> Iterator[Span]:
    while stop - start > longest:
        cut = _cut(text, start, start + longest)
        yield start, cut
        start = cut
    if stop > start:
        yield start, stop


def _cut(text: str, start: int, stop: int) -> int:
    """The best place to cut before `stop`, in the second half of the span."""
    middle = (start + stop) // 2
    for end in _ENDS:
        cuts = [match.end() for match in end.finditer(text, middle, stop)]
        if cuts:
            return cuts[-1]
    return stop


def joined(text: str, spans: list[Span]) -> str:
    """The text of some spans in their order, as it stands; blank lines where something between them was left out."""
    parts, last = [], None
    for start, stop in spans:
        if last is not None and start != last and not text.endswith("\n\n", 0, last):
            parts.append("\n\n")
        parts.append(text[start:stop])
        last = stop
    return "".join(parts)


def seams(text: str, length: int) -> Iterator[str]:
    """Parts of some `length` characters whose tokens, one after the other, are those of the whole text.

    A part is longer where no white space comes: at least one word is whole.
    """
    start = 0
    while len(text) - start > length:
        seam = _SEAM.search(text, start + length)
        if seam is None:
            break
        yield text[start : seam.start()]
        start = seam.start()
    yield text[start:]
