"""Which files of a repository are the weights, by their names alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from engine.errors import SourceError, SourceNotFoundError
from engine.sources.formats import FORMATS

INDEX_SUFFIX = ".index.json"

_SHARD = re.compile(r"(?P<stem>.+)-\d{5,6}-of-(?P<total>\d{5,6})(?P<suffix>\.\w+)")


def weight_files(names: Iterable[str], format: str) -> list[str]:
    """The best checkpoint of one format at a repository's top, chosen as in a local folder.

    Args: names: paths in the repository. format: a name of `engine.sources.formats`.
    Returns: one whole file; or one index, alone; or all weight files of that format; [] if there are none.
    Raises: SourceError for several indexes; SourceNotFoundError if a shard is missing.
    """
    kind = next(kind for kind in FORMATS if kind.name == format)
    top = sorted(name for name in names if "/" not in name and not name.startswith("."))
    weights = [n for n in top if PurePosixPath(n).suffix.lower() in kind.suffixes and n not in kind.others]
    whole = [name for name in kind.whole if name in weights]
    if whole:
        return whole[:1]
    indexes = [n for n in top if n.endswith(tuple(f"{suffix}{INDEX_SUFFIX}" for suffix in kind.suffixes))]
    standard = [name for name in indexes if name.removesuffix(INDEX_SUFFIX) in kind.whole]
    if len(indexes) > 1 and not standard:
        raise SourceError(
            f"The repository holds several checkpoints: {', '.join(indexes)}.", "Download the one you want."
        )
    if indexes:
        return (standard or indexes)[:1]
    for found in filter(None, map(_SHARD.fullmatch, weights)):
        siblings = [n for n in weights if n.startswith(f"{found['stem']}-") and f"-of-{found['total']}" in n]
        if len(siblings) < int(found["total"]):
            raise SourceNotFoundError(
                f"The repository holds {len(siblings)} of the {int(found['total'])} shards of {found['stem']}.",
                "The upload may not be complete: ask its owner.",
            )
    return weights
