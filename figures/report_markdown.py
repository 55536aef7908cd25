"""A report as Markdown with its pictures beside it, in one zip; the same document gives the same bytes."""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from collections.abc import Callable

from figures.report_document import (
    Block,
    Bullets,
    Facts,
    Found,
    Heading,
    Picture,
    ReportDocument,
    Table,
    Words,
    plain,
)

_MARKUP = re.compile(r"""[\\`*_{}\[\]<>()#|~$&!@:"'^=]""")
_START = re.compile(r"^(\s*)(?:([-+])|(\d{1,9})([.)]))")
_WWW = re.compile(r"(?i)\b(www)\.")
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip: the earliest there is."""


def report_zip(document: ReportDocument) -> bytes:
    """`report.md` and the folder `images`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        _put(archive, "report.md", report_markdown(document).encode())
        for section in document.sections:
            for block in section.blocks:
                if isinstance(block, Picture):
                    ending, content = block.encoded()
                    _put(archive, f"images/{block.name}.{ending}", content)
    return out.getvalue()


def report_markdown(document: ReportDocument) -> str:
    """The report's text; pictures are links to files in the folder `images`."""
    parts = [f"# {_line(document.title)}"]
    parts += [_line(text) for text in (document.subtitle, document.date) if text]
    for section in document.sections:
        parts.append(f"## {_line(section.title)}")
        parts += [_WRITERS[type(block)](block) for block in section.blocks]
    if document.source:
        parts += ["---", _line(document.source)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _WHEN)
    entry.compress_type = zipfile.ZIP_DEFLATED if name.endswith((".md", ".svg")) else zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


def _line(text: str) -> str:
    """Text as one line in which nothing is markup; of another direction than its line, it is kept apart."""
    joined = " ".join(plain(text).split())
    escaped = _WWW.sub(r"\1\\.", _MARKUP.sub(r"\\\g<0>", joined))
    escaped = _START.sub(lambda found: found[1] + (f"\\{found[2]}" if found[2] else f"{found[3]}\\{found[4]}"), escaped)
    has_right_to_left = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in joined)
    return f"\N{FIRST STRONG ISOLATE}{escaped}\N{POP DIRECTIONAL ISOLATE}" if has_right_to_left else escaped


def _words(block: Words) -> str:
    paragraphs = [part for part in plain(block.text).split("\n\n") if part.strip()]
    if block.kind == "plain":
        return "\n\n".join(_line(part) for part in paragraphs)
    lines = ["  \n> ".join(_line(line) for line in part.strip().split("\n")) for part in paragraphs]
    return "> " + "\n>\n> ".join(lines)


def _heading(block: Heading) -> str:
    return f"### {_line(block.text)}" + (f"\n\n{_line(block.facts)}" if block.facts else "")


def _facts(block: Facts) -> str:
    return "\n".join(f"- {_line(name)}: **{_line(value)}**" for name, value in block.rows)


def _bullets(block: Bullets) -> str:
    return "\n".join(f"- {_line(item)}" for item in block.items)


def _table(block: Table) -> str:
    rules = ["---:" if index in block.numeric else "---" for index in range(len(block.columns))]
    rows = [[_line(cell) for cell in row] for row in (block.columns, *block.rows)]
    lines = [f"| {' | '.join(row)} |" for row in (rows[0], rules, *rows[1:])]
    return "\n".join(lines) + (f"\n\n{_line(block.caption)}" if block.caption else "")


def _found(block: Found) -> str:
    return "\n".join(
        f"- **{item.severity}** · {_line(item.title)}: {_line(item.words)}"
        + (f" ({_line(item.tensor)})" if item.tensor else "")
        for item in block.items
    )


def _picture(block: Picture) -> str:
    ending = "svg" if isinstance(block.light, bytes) else "png"
    return f"![{_line(block.alt)}](images/{block.name}.{ending})" + (
        f"\n\n{_line(block.caption)}" if block.caption else ""
    )


_WRITERS: dict[type, Callable[[Block], str]] = {
    Words: _words,
    Heading: _heading,
    Facts: _facts,
    Bullets: _bullets,
    Table: _table,
    Found: _found,
    Picture: _picture,
}
