"""A report before it has a form: sections of text, tables, pictures; `report_page` and `report_markdown` write it.

All text is plain, by anyone: whoever writes it out escapes it.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from engine.health.findings import Severity
from figures.picture_frame import png_bytes

_UNWRITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
"""Control characters, halves of characters, and what turns the direction of the text around it."""


def plain(text: object) -> str:
    """Text that any program can write; what it could not, or what turns its neighbours around, is shown as U+FFFD."""
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", str(text).replace("\r\n", "\n"))


@dataclass(frozen=True)
class Words:
    """Paragraphs, parted by empty lines. kind: "note" are a person's own, "warning" says what is missing."""

    text: str
    kind: Literal["plain", "note", "warning"] = "plain"


@dataclass(frozen=True)
class Heading:
    """The title of a part of a section, and a smaller line under it."""

    text: str
    facts: str = ""


@dataclass(frozen=True)
class Facts:
    """A few numbers with their names, as cards."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bullets:
    """Sentences, one each line."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of texts. numeric: which columns are numbers, set flush right. caption: what it shows, or leaves out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    caption: str = ""


@dataclass(frozen=True)
class FoundItem:
    """A finding: its severity, the rule's title, what was found, and where ("" for the whole model)."""

    severity: Severity
    title: str
    words: str
    tensor: str = ""


@dataclass(frozen=True)
class Found:
    """Findings, the worst first."""

    items: tuple[FoundItem, ...]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture on light and on dark paper.

    Attributes:
        name: of its file, without ending; unique in the report. alt: what it shows, for who does not see it.
        light, dark: a Pillow image, or SVG as bytes. caption: below it.
    """

    name: str
    alt: str
    light: Image.Image | bytes
    dark: Image.Image | bytes
    caption: str = ""

    def encoded(self, *, is_dark: bool = False, is_small: bool = False) -> tuple[str, bytes]:
        """(ending, bytes): SVG as it is; an image as PNG, or as lossless WebP where it shall be small."""
        drawn = self.dark if is_dark else self.light
        if isinstance(drawn, bytes):
            return "svg", drawn
        if not is_small:
            return "png", png_bytes(drawn)
        out = io.BytesIO()
        drawn.save(out, "WEBP", lossless=True, quality=40, method=2)
        return "webp", out.getvalue()


Block = Words | Heading | Facts | Bullets | Table | Found | Picture


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the report under a title."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, eq=False)
class ReportDocument:
    """A whole report. subtitle: below the title. date: as the author wrote it, "" for none. source: at the foot."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    date: str = ""
    source: str = ""
