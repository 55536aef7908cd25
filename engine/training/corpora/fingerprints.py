"""Runs of text as numbers, so that shared text is found without keeping or comparing strings."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

SAMPLED_RUN = 24
"""Bytes of the runs by which near copies are told: some five words. Chosen by us: half of them survive when one word
in fifteen is exchanged, while unrelated prose shares few."""

SAMPLE_SHARE = 16
"""One run in so many is sampled, by its hash, so that equal texts give equal samples (Manber 1994)."""

_BASE = 0x9E3779B97F4A7C15
"""Odd, so that it has an inverse modulo 2⁶⁴."""

_INVERSE = pow(_BASE, -1, 1 << 64)
_CHUNK = 1 << 20
_TABLE_BITS = 24


def essence(text: str) -> bytes:
    """What remains of a text when copies with other white space, case or letter forms are to be equal: UTF-8."""
    return b"".join(_essence(text[start : start + _CHUNK]) for start in range(0, len(text), _CHUNK))


def _essence(text: str) -> bytes:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return "".join(text.casefold().split()).encode(errors="replace")


def run_hashes(data: bytes, length: int) -> np.ndarray:
    """The hash of every run of `length` bytes, in order.

    Rabin-Karp by prefix sums: Σ bᵢ·Bⁱ over a run, times B⁻ˢᵗᵃʳᵗ, all modulo 2⁶⁴; then mixed (splitmix64).

    Args: data: n bytes. length: ≥ 1.
    Returns: uint64, shape (max(n − length + 1, 0),).
    Source: Karp & Rabin 1987; Steele, Lea & Flood 2014 (mixing).
    """
    if len(data) < length:
        return np.empty(0, np.uint64)
    return np.concatenate([hashes for _, hashes in _chunks(data, length)])


def _chunks(data: bytes, length: int) -> Iterator[tuple[int, np.ndarray]]:
    """(start, hashes) of pieces of bounded size: eight bytes a hash would be much for a long text."""
    for start in range(0, len(data) - length + 1, _CHUNK):
        values = np.frombuffer(data, np.uint8, offset=start, count=min(_CHUNK + length - 1, len(data) - start))
        powers, inverses = _powers(len(values))
        sums = np.zeros(len(values) + 1, np.uint64)
        np.cumsum((values + np.uint64(1)) * powers, out=sums[1:])
        yield start, mixed((sums[length:] - sums[:-length]) * inverses[: len(values) - length + 1])


def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Bⁱ and B⁻ⁱ modulo 2⁶⁴ for i < count."""
    powers, inverses = _powers_up_to(1 << max(count - 1, 1).bit_length())
    return powers[:count], inverses[:count]


@functools.lru_cache(maxsize=4)
def _powers_up_to(size: int) -> np.ndarray:
    factors = np.full((2, size), [[_BASE], [_INVERSE]], np.uint64)
    factors[:, 0] = 1
    return np.cumprod(factors, axis=1, dtype=np.uint64)


def mixed(values: np.ndarray) -> np.ndarray:
    """uint64 numbers spread over all bits, one to one (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def samples(data: bytes, length: int = SAMPLED_RUN) -> np.ndarray:
    """Hashes of one run in SAMPLE_SHARE, chosen by the hash itself; uint64, in order, with repeats."""
    hashes = run_hashes(data, length)
    return hashes[hashes % np.uint64(SAMPLE_SHARE) == 0]


def among(hashes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which hashes are in `known`, which is sorted; bool, the shape of `hashes`."""
    if not len(known):
        return np.zeros(len(hashes), bool)
    return known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes


def found_in(wanted: Mapping[int, np.ndarray], texts: Iterable[bytes]) -> dict[int, np.ndarray]:
    """Which runs occur anywhere in some texts.

    Args:
        wanted: length of runs in bytes -> their hashes, sorted and unique uint64. texts: essences, read once.
    Returns: for each length bool, the shape of its hashes.
    """
    is_found = {length: np.zeros(len(hashes), bool) for length, hashes in wanted.items()}
    shift = np.uint64(64 - _TABLE_BITS)
    tables = {length: np.zeros(1 << _TABLE_BITS, bool) for length in wanted}  # a quick no for nearly every run
    for length, hashes in wanted.items():
        tables[length][hashes >> shift] = True
    for text in _batches(texts):
        for length, known in wanted.items():
            if not len(known):
                continue
            for _, hashes in _chunks(text, length):
                maybe = hashes[tables[length][hashes >> shift]]
                is_found[length][np.searchsorted(known, maybe[among(maybe, known)])] = True
    return is_found


def _batches(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Many short texts as a few long ones, apart by a byte that no text has: the arrays of each cost time."""
    batch: list[bytes] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _CHUNK:
            yield b"\0".join(batch)
            batch, size = [], 0
    yield b"\0".join(batch)
