"""Which files of a repository a model needs: its weights in one format, and the small files beside them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from engine.errors import SourceNotFoundError, UnsupportedFormatError
from engine.sources.formats import FORMATS
from engine.sources.hub import weights_of
from engine.sources.hub_access import Access, ListedFile, Listing
from engine.sources.hub_files import INDEX_SUFFIX, weight_files

WEIGHT_FORMATS = ("safetensors", "pytorch")
"""In order of preference. Other formats are fetched file by file, since a repository often holds ten of them."""

MAX_COMPANION_BYTES = 64_000_000
"""Largest file beside the weights; the largest tokenizers have some 35 MB."""

_SUFFIXES = frozenset({".json", ".txt", ".model", ".jinja", ".md", ".tiktoken", ".vocab", ".spm", ".bpe"})
_PLAIN_NAMES = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")
_LEFT_OUT = frozenset({"trainer_state.json", "requirements.txt"})
_MODULE = re.compile(r"\d{1,2}_\w+/[^/]+")
"""Files of a sentence-transformers module, such as 1_Pooling/config.json."""


def needed_files(access: Access, listing: Listing, file: str = "") -> tuple[list[ListedFile], list[ListedFile]]:
    """What to fetch: (weights, companions).

    Weights are those of the first format of `WEIGHT_FORMATS` that is there, chosen as when a folder is opened, or the
    one `file` that was asked for. Companions are config, tokenizer, card and licence, and the index of shards.

    Args: listing: of all folders.
    Raises: SourceNotFoundError if `file` is not there; UnsupportedFormatError if there are no such weights.
    """
    weights, index = _weights(access, listing, file)
    companions = [each for each in listing.files.values() if _is_companion(each) or each.name in index]
    if not file:
        suffix = PurePosixPath(weights[0].name).suffix
        modules = [each for each in listing.files.values() if _MODULE.fullmatch(each.name)]
        companions += [each for each in modules if PurePosixPath(each.name).suffix in (suffix, ".json", ".txt")]
    return weights, [each for each in companions if each not in weights]


def _weights(access: Access, listing: Listing, file: str) -> tuple[list[ListedFile], list[str]]:
    """The weight files, and the names of the index beside them, if there is one."""
    if file:
        if file not in listing.files:
            raise SourceNotFoundError(
                f"{listing.name} has no file {file!r}.", f"Its weights are: {_several(_weight_names(listing))}."
            )
        return [listing.files[file]], []
    for format in WEIGHT_FORMATS:
        weights, weight_map = weights_of(access, listing, format)
        if weights:
            return weights, weight_files(listing.files, format) if weight_map else []
    names = _weight_names(listing)
    raise UnsupportedFormatError(
        f"{listing.name} has no safetensors or PyTorch weights at its top.",
        f"Choose one of its files: --file {_several(names)}." if names else "It may hold no weights.",
    )


def _is_companion(file: ListedFile) -> bool:
    name = file.name
    if "/" in name or name.startswith(".") or file.size > MAX_COMPANION_BYTES or name.endswith(INDEX_SUFFIX):
        return False
    return name.startswith(_PLAIN_NAMES) or (PurePosixPath(name).suffix in _SUFFIXES and name not in _LEFT_OUT)


def _weight_names(listing: Listing) -> list[str]:
    suffixes = {suffix for kind in FORMATS for suffix in kind.suffixes}
    return sorted(name for name in listing.files if PurePosixPath(name).suffix.lower() in suffixes)


def _several(names: list[str]) -> str:
    more = f" and {len(names) - 12} others" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more or "none"
