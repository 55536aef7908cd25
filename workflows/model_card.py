"""A model's own card, made safe to show: its front matter as rows, its text without anything that loads or runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

MAX_FRONT_MATTER = 64_000
MAX_VALUE = 300
"""Characters shown of one value."""

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(?P<yaml>.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_CODE = re.compile(r"(^(?P<fence>`{3,}|~{3,}).*?(?:^(?P=fence)|\Z)|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_HIDDEN = re.compile(r"<(script|style|svg|iframe|object)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_AUTOLINK = re.compile(r"<(https?://[^\s<>]+)>")
_IMAGE = re.compile(r"!+(?=\[)")
_EMPTY_LINK = re.compile(r"\[\s*\](?=\()")
_HEADING = re.compile(r"^(#{1,6})(?=\s)", re.MULTILINE)
_LINK = re.compile(r"\[([^\[\]]*)\]\(\s*(?!https?://|mailto:)[^()\s]*(?:\s+\"[^\"]*\")?\s*\)")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A card as it can be shown.

    Attributes:
        facts: (name, value) of the front matter, values as text. body: safe Markdown.
        problem: why the front matter could not be read; "" if it could.
    """

    facts: tuple[tuple[str, str], ...]
    body: str
    problem: str = ""

    @property
    def licence(self) -> str:
        """What the front matter says; "" if nothing."""
        facts = dict(self.facts)
        name = facts.get("license_name") if facts.get("license") == "other" else None
        return name or facts.get("license", "")


def parse_card(text: str) -> ModelCard:
    """A README.md from anywhere, taken apart and made safe."""
    found = _FRONT.match(text)
    if found is None:
        return ModelCard((), safe_markdown(text))
    body = safe_markdown(text[found.end() :])
    try:
        facts = _facts(found["yaml"])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return ModelCard((), body, f"Its front matter is no YAML that can be read: {reason[:200]}.")
    return ModelCard(facts, body)


def safe_markdown(text: str) -> str:
    """Markdown that shows text and links, and nothing else.

    HTML and comments go; images become links to them, so that nobody learns who looks at a card; links to anywhere but
    the web become their text. Code stays as it is, but for `![`, which no renderer may take for an image where it sees
    the end of the code elsewhere than we do. Headings go two levels down, below those of the page.
    """
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [_without_markup(text[end : code.start()]), code[0]]
        end = code.end()
    parts.append(_without_markup(text[end:]))
    return "".join(parts).replace("![", "!\u200b[").strip()


def _without_markup(text: str) -> str:
    text = _AUTOLINK.sub(r"\1", text)
    text = _HIDDEN.sub("", _COMMENT.sub("", text))
    text = _TAG.sub("", _BREAK.sub("  \n", text))
    text = _EMPTY_LINK.sub("[image]", _IMAGE.sub("", text))
    return _HEADING.sub(lambda found: "#" * min(len(found[1]) + 2, 6), _LINK.sub(r"\1", text))


def _facts(text: str) -> tuple[tuple[str, str], ...]:
    """Top-level names with their values as text: lists joined, deeper structures only counted, which bounds aliases."""
    if len(text) > MAX_FRONT_MATTER:
        raise ValueError(f"it is longer than {MAX_FRONT_MATTER} characters")
    values = yaml.safe_load(text)
    if not isinstance(values, dict):
        raise ValueError(f"it holds a {type(values).__name__}, expected names with values")
    return tuple((str(name)[:MAX_VALUE], _shown(value)[:MAX_VALUE]) for name, value in values.items())


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return f"{len(value)} entries"
    if isinstance(value, list):
        plain = [str(item) for item in value[:50] if not isinstance(item, dict | list)]
        return ", ".join(plain) if plain or not value else f"{len(value)} entries"
    return "" if value is None else str(value)
