"""JSON files beside the weights, read with a limit on everything that could grow."""

from __future__ import annotations

import json
from pathlib import Path, PurePath

from engine.errors import MalformedHeaderError, SourceNotFoundError

MAX_JSON_BYTES = 64_000_000
"""Longest JSON file; the index of a model of 250,000 tensors has some 30 MB."""

MAX_JSON_ITEMS = 1_000_000
"""Most commas and brackets together, which bound the memory that parsing takes."""


def read_json_object(path: Path, reject_duplicates: bool = False) -> dict:
    """The object that a JSON file holds.

    Args:
        path: the file.
        reject_duplicates: whether a key that occurs twice in one object is an error; else the last one wins.
    Raises: SourceNotFoundError if there is no such file; MalformedHeaderError if it is too big, too deep, not UTF-8,
        not JSON, or no object.
    """
    hint = f"Restore {path.name} from where the checkpoint came from."
    try:
        too_long = path.stat().st_size > MAX_JSON_BYTES
        data = b"" if too_long else path.read_bytes()
    except OSError as error:
        raise SourceNotFoundError(f"{path} cannot be read: {error.strerror or error}.", hint) from error
    if too_long:
        raise MalformedHeaderError(f"{path} is longer than {MAX_JSON_BYTES} bytes.", hint)
    return json_object(data, str(path), reject_duplicates)


def json_object(data: bytes, name: str, reject_duplicates: bool = False) -> dict:
    """The object that the bytes of a JSON file hold.

    Args:
        data: the bytes. name: how the file is called in messages. reject_duplicates: as in `read_json_object`.
    Raises: MalformedHeaderError if it is too big, too deep, not UTF-8, not JSON, or no object.
    """
    hint = f"Restore {PurePath(name).name} from where the checkpoint came from."
    num_items = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if num_items > MAX_JSON_ITEMS:
        raise MalformedHeaderError(f"{name} holds {num_items} items, expected at most {MAX_JSON_ITEMS}.", hint)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_distinct if reject_duplicates else None)
    except ValueError as error:
        raise MalformedHeaderError(f"{name} is not valid JSON: {error}.", hint) from error
    except RecursionError as error:
        raise MalformedHeaderError(f"{name} is nested too deeply to be JSON of a checkpoint.", hint) from error
    if not isinstance(value, dict):
        raise MalformedHeaderError(f"{name} holds a {type(value).__name__}, expected an object.", hint)
    return value


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for key, value in pairs:
        if key in fields:
            raise ValueError(f"the key {key[:200]!r} occurs twice")
        fields[key] = value
    return fields
