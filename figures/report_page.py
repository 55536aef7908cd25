"""A report as one HTML file: no script, no request, light or dark as the reader's system is, ready to print.

The same document gives the same bytes. Every text is escaped and set in its own direction, so that right-to-left text
and hostile names disturb nothing; a content security policy forbids scripts and all requests in any case.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from pathlib import Path

from figures.report_document import (
    Block,
    Bullets,
    Facts,
    Found,
    Heading,
    Picture,
    ReportDocument,
    Section,
    Table,
    Words,
    plain,
)

_STYLE = Path(__file__).with_suffix(".css")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_TYPES = {"png": "image/png", "webp": "image/webp", "svg": "image/svg+xml"}


def report_html(document: ReportDocument) -> bytes:
    """The report as one file, UTF-8."""
    title, style = _text(document.title), _STYLE.read_text(encoding="utf-8")
    contents = "".join(
        f'<li><a href="#s{number}"><bdi>{_text(section.title)}</bdi></a></li>'
        for number, section in enumerate(document.sections, 1)
    )
    subtitle = f'<p class="subtitle" dir="auto">{_text(document.subtitle)}</p>' if document.subtitle else ""
    date = f'<p class="date" dir="auto">{_text(document.date)}</p>' if document.date else ""
    navigation = f'<nav aria-label="Contents"><ol>{contents}</ol></nav>' if len(document.sections) > 1 else ""
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">',
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>",
        f'<header><h1 dir="auto">{title}</h1>{subtitle}{date}{navigation}</header>',
        *(_section(section, number) for number, section in enumerate(document.sections, 1)),
        f'<footer dir="auto">{_text(document.source)}</footer>',
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts).encode()


def _text(text: str) -> str:
    return html.escape(plain(text))


def _breaking(text: str) -> str:
    """Text of a cell; long names of tensors break after a dot."""
    return re.sub(r"(?<=[a-z])\.(?=\w)", ".<wbr>", _text(text))


def _section(section: Section, number: int) -> str:
    blocks = "\n".join(_WRITERS[type(block)](block) for block in section.blocks)
    return f'<section id="s{number}">\n<h2 dir="auto">{_text(section.title)}</h2>\n{blocks}\n</section>'


def _words(block: Words) -> str:
    paragraphs = [
        f'<p dir="auto">{_text(part.strip())}</p>' for part in plain(block.text).split("\n\n") if part.strip()
    ]
    if block.kind == "plain":
        return "\n".join(paragraphs)
    return f'<div class="words-{block.kind}">{"".join(paragraphs)}</div>'


def _heading(block: Heading) -> str:
    facts = f'<p class="facts-line" dir="auto">{_text(block.facts)}</p>' if block.facts else ""
    return f'<h3 dir="auto">{_text(block.text)}</h3>{facts}'


def _facts(block: Facts) -> str:
    rows = "".join(
        f'<div><dt dir="auto">{_text(name)}</dt><dd dir="auto">{_text(value)}</dd></div>' for name, value in block.rows
    )
    return f'<dl class="facts">{rows}</dl>'


def _bullets(block: Bullets) -> str:
    items = "".join(f'<li dir="auto">{_text(item)}</li>' for item in block.items)
    return f"<ul>{items}</ul>"


def _table(block: Table) -> str:
    kinds = [' class="number"' if index in block.numeric else "" for index in range(len(block.columns))]

    def cells(row: tuple[str, ...], tag: str) -> str:
        return "".join(f'<{tag}{kind} dir="auto">{_text(cell)}</{tag}>' for cell, kind in zip(row, kinds, strict=True))

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in block.rows)
    caption = f'<p class="caption" dir="auto">{_text(block.caption)}</p>' if block.caption else ""
    head = f"<thead><tr>{cells(block.columns, 'th')}</tr></thead>"
    return f'<div class="table"><table>{head}\n<tbody>\n{body}\n</tbody></table></div>{caption}'


def _found(block: Found) -> str:
    return "\n".join(
        f'<div class="finding {item.severity}"><span class="severity">{item.severity}</span>'
        f'<p dir="auto"><strong>{_text(item.title)}.</strong> {_text(item.words)}</p>'
        + (f'<p class="where" dir="auto">{_text(item.tensor)}</p>' if item.tensor else "")
        + "</div>"
        for item in block.items
    )


def _picture(block: Picture) -> str:
    light, dark = (_data(*block.encoded(is_dark=is_dark, is_small=True)) for is_dark in (False, True))
    caption = f'<figcaption dir="auto">{_text(block.caption)}</figcaption>' if block.caption else ""
    return (
        f'<figure><picture><source media="screen and (prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{_text(block.alt)}"></picture>{caption}</figure>'
    )


def _data(ending: str, content: bytes) -> str:
    return f"data:{_TYPES[ending]};base64,{base64.b64encode(content).decode()}"


_WRITERS: dict[type, Callable[[Block], str]] = {
    Words: _words,
    Heading: _heading,
    Facts: _facts,
    Bullets: _bullets,
    Table: _table,
    Found: _found,
    Picture: _picture,
}
