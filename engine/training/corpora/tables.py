"""Comma-separated values and JSON lines: the column that holds the text, one document a row."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

from engine.errors import TrainingError
from engine.training.corpora.encodings import plain
from engine.training.corpus import Document

TEXT_COLUMNS = ("text", "content", "document", "body", "article", "story", "sentence", "review", "message", "prompt")
"""Names that a column of text usually has, likeliest first."""

MIN_WORDS = 2.0
"""A column without a usual name holds text if its cells have so many words on average."""

_LOOKED_AT = 200
"""Rows by which columns are judged."""

_SEPARATORS = (",", ";", "\t", "|")
_NOTHING = "\x1f"
"""Separates nothing in a text: a table of one column, whose commas are its own."""

_EVEN_SHARE = 0.8
"""Of the first rows must be equally wide. Chosen by us."""

_LETTERS = re.compile(r"[^\W\d_]")


def csv_documents(text: str, name: str, column: str) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """The text column of comma-, semicolon- or tab-separated values. Returns: documents, and notes on the choice.

    Raises: TrainingError if it is no table, or no column holds text.
    """
    rows = list(_csv_rows(text, name))
    if not rows:
        raise TrainingError(f"{name} has no rows.", "Choose a table with text in it.")
    header, first = rows[0], 1
    if column not in header and not _is_header(rows):
        header, first = [f"column {number}" for number in range(1, len(rows[0]) + 1)], 0
    records = [dict(zip(header, row, strict=False)) for row in rows[first:]]
    return _chosen(records, name, column)


def jsonl_documents(text: str, name: str, column: str) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """The text field of each line's object; a line may also be a string. Returns: documents, and notes on the choice.

    Raises: TrainingError if a line is no JSON, or no field holds text.
    """
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TrainingError(
                f"Line {number} of {name} is no JSON: {str(error)[:120]}.", "Write one object with a text on each line."
            ) from error
        records.append(value if isinstance(value, dict) else {"text": value})
    if not records:
        raise TrainingError(f"{name} has no lines.", "Write one object with a text on each line.")
    return _chosen(records, name, column)


def text_column(records: Iterable[Mapping[str, object]], name: str, column: str = "") -> str:
    """The column that holds the text: the one asked for, else one with a usual name, else the one with most words.

    Raises: TrainingError if there is none, with the names of those there are.
    """
    looked_at = list(records)
    names = list(dict.fromkeys(str(key) for record in looked_at for key in record))
    shown = ", ".join(repr(one[:60]) for one in names[:12]) or "none"
    if column:
        if column not in names:
            raise TrainingError(f"{name} has no column {column!r}.", f"Its columns are: {shown}.")
        return column
    words = {one: _mean_words(looked_at, one) for one in names}
    usual = {one.strip().lower(): one for one in reversed(names) if words[one] > 0}
    for likely in TEXT_COLUMNS:
        if likely in usual:
            return usual[likely]
    best = max(words, key=words.__getitem__, default="")
    if words.get(best, 0.0) < MIN_WORDS:
        raise TrainingError(
            f"No column of {name} holds text.", f"Name the one to learn from; its columns are: {shown}."
        )
    return best


def _mean_words(records: list[Mapping[str, object]], column: str) -> float:
    """Words of a cell on average; letters count where a script puts no spaces. 0 for numbers and dates."""
    cells = [record.get(column) for record in records]
    cells = [cell for cell in cells if isinstance(cell, str) and _LETTERS.search(cell)]
    return sum(max(len(cell.split()), len(_LETTERS.findall(cell)) / 12) for cell in cells) / max(len(records), 1)


def _chosen(records: list[dict[str, object]], name: str, column: str) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """A document of each row that has a text in the column."""
    chosen = text_column(records[:_LOOKED_AT], name, column)
    title = PurePath(name).name
    documents = []
    for number, record in enumerate(records, 1):
        text = record.get(chosen)
        if isinstance(text, str) and text.strip():
            documents.append(Document(f"{title} {number}", plain(text, name)))
    if not documents:
        raise TrainingError(f"Column {chosen!r} of {name} is empty.", "Name another column.")
    notes = [f"Learns from column {chosen!r}."]
    if len(documents) < len(records):
        notes.append(f"{len(records) - len(documents):,} of {len(records):,} rows have no text there.")
    return tuple(documents), tuple(notes)


def _csv_rows(text: str, name: str) -> Iterator[list[str]]:
    """Rows that are not empty, whatever separates them."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))  # of all readers; a cell may be a whole book
    try:
        yield from (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text)) if any(row))
    except csv.Error as error:
        raise TrainingError(f"{name} is no table: {error}.", "Save it again as comma-separated values.") from error


def _separator(text: str) -> str:
    """What separates the columns: what makes nearly all of the first rows equally wide, and them widest.

    csv.Sniffer takes quoted commas for separators.
    """
    best, most = _SEPARATORS[0], (0.0, 1)
    for separator in _SEPARATORS:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        widths = Counter(len(row) for row in itertools.islice(lines, _LOOKED_AT) if row)
        width, count = max(widths.items(), key=lambda pair: pair[1], default=(1, 0))
        share = count / max(widths.total(), 1)
        if width > 1 and share >= _EVEN_SHARE and (share, width) > most:
            best, most = separator, (share, width)
    return best if most[1] > 1 else _NOTHING


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first row names columns: all different, short, none a number, and none that returns below."""
    first = [cell.strip() for cell in rows[0]]
    if len(set(first)) < len(first) or any(len(cell) > 60 or not _LETTERS.search(cell) for cell in first):
        return False
    if {cell.lower() for cell in first} & set(TEXT_COLUMNS):
        return True
    below = {cell.strip() for row in rows[1:_LOOKED_AT] for cell in row}
    return len(rows) > 1 and not below & set(first) and max(len(cell.split()) for cell in first) <= 4
