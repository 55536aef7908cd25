"""The worked queries of docs/sql.md, so that the document, its test and the SQL page show the same ones."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "sql.md"
_QUERY = re.compile(r"^\*\*\d+\. (?P<title>.+?)\*\*.*?^```sql\n(?P<sql>.*?)^```", re.MULTILINE | re.DOTALL)


def worked_queries() -> dict[str, str]:
    """Title -> SQL of every worked query, in the order of the document; {} if the document is not here."""
    if not DOCUMENT.is_file():
        return {}
    text = DOCUMENT.read_text(encoding="utf-8")
    return {found["title"].strip(): found["sql"].strip() for found in _QUERY.finditer(text)}
