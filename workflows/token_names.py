"""The names of a vocabulary's rows, read from the tokenizer's files without running it, and their kinds."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping

from engine.errors import SourceError
from storage.forensics import TokenGroup
from workflows.model_files import ModelFiles

MOST_TOKENS = 2_000_000
LONGEST = 60
"""Characters of a token's name that are kept; ours."""

MOST_EXAMPLES = 12

_NUMBERED = re.compile(r"(\[|<|<\|)([A-Za-z_ ]+?)[_-]?\d+(\]|>|\|>)")
_SPECIAL = re.compile(r"(\[[A-Z]+\]|<\|?/?[A-Za-z_ ]+\|?>)")
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


def token_names(files: ModelFiles) -> dict[int, str]:
    """Row of the vocabulary -> its token, from `tokenizer.json` or `vocab.txt`; {} where there is neither.

    Raises: SourceError where a file is too long or no JSON.
    """
    fast = files.json("tokenizer.json")
    model = fast.get("model") if isinstance(fast.get("model"), dict) else {}
    names = _of_vocabulary(model.get("vocab"))
    for token in fast.get("added_tokens") if isinstance(fast.get("added_tokens"), list) else ():
        if isinstance(token, dict) and _is_row(token.get("id")) and isinstance(token.get("content"), str):
            names[token["id"]] = token["content"][:LONGEST]
    if names:
        return names
    lines = files.text("vocab.txt", 32_000_000)
    return {row: line[:LONGEST] for row, line in enumerate(lines[0].splitlines()[:MOST_TOKENS])} if lines else {}


def names_or_none(files: ModelFiles) -> dict[int, str]:
    """As `token_names`, but {} where the files cannot be read: rows are then told by number alone."""
    try:
        return token_names(files)
    except SourceError:
        return {}


def token_groups(names: Mapping[int, str], never: Collection[int], num_rows: int) -> tuple[TokenGroup, ...]:
    """The rows by kind of token, those with the most never updated ones first; kinds without any are left out.

    Args: never: rows that were never updated. num_rows: of the matrix; rows beyond the names are "no token".
    """
    never = set(never)
    totals: dict[str, int] = defaultdict(int)
    found: dict[str, list[int]] = defaultdict(list)
    for row in range(num_rows):
        group = token_kind(names[row]) if row in names else "no token"
        totals[group] += 1
        if row in never:
            found[group].append(row)
    groups = [
        TokenGroup(group, len(rows), totals[group], tuple(names[row] for row in rows[:MOST_EXAMPLES] if row in names))
        for group, rows in found.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.never, group.group)))


def token_kind(token: str) -> str:
    """What kind of token it is: "[unused…]", "special", "byte", "digits", "punctuation", or its script."""
    if _BYTE.fullmatch(token):
        return "byte"
    numbered = _NUMBERED.fullmatch(token)
    if numbered:
        return f"{numbered[1]}{numbered[2]}…{numbered[3]}"
    if _SPECIAL.fullmatch(token):
        return "special"
    core = token.removeprefix("##").strip("▁Ġ ") or token
    letters = [character for character in core if character.isalpha()]
    if letters:
        return _script(letters[0])
    if any(character.isdecimal() for character in core):
        return "digits"
    return "punctuation and signs"


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "UNKNOWN").split()[0].split("-")[0]
    return {"CJK": "Chinese and Japanese characters", "FULLWIDTH": "Latin"}.get(name, name.capitalize())


def _of_vocabulary(vocabulary: object) -> dict[int, str]:
    """Of a dict token -> row (BPE, WordPiece) or a list of [token, score] (Unigram)."""
    if isinstance(vocabulary, dict):
        pairs = ((row, token) for token, row in vocabulary.items())
    elif isinstance(vocabulary, list):
        pairs = ((row, item[0]) for row, item in enumerate(vocabulary) if isinstance(item, list) and item)
    else:
        return {}
    return {row: token[:LONGEST] for row, token in pairs if _is_row(row) and isinstance(token, str)}


def _is_row(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_TOKENS
