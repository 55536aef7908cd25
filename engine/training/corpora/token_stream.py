"""Weighted corpora as batches of tokens, each a pure function of its step: going on needs no saved position."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from engine.errors import TrainingError
from engine.training.corpora.fingerprints import mixed
from engine.training.corpora.token_array import token_array
from engine.training.corpus import Corpus

PERIOD = 1024
"""Windows after which each corpus has had its share exactly; one with any weight has at least one of them."""


class TokenStream:
    """Token windows of several corpora for training.

    Each corpus is one ring of tokens, every document behind an END_OF_TEXT. The n-th window of the training (n = step ·
    size + place in the global batch) belongs to one corpus: of every PERIOD windows each has a number in proportion
    to weight × tokens, in an order drawn for that period. A corpus goes through its own windows epoch by epoch: a ring
    of m tokens has ⌈m / context⌉ of them, a context apart from a start drawn for that epoch, in an order drawn for it,
    so that every token is a target once before any is again (but for an overlap of less than one context).
    A corpus shorter than the context goes round its ring within one window.

    Args:
        arrays: tokens of each corpus, one-dimensional, of any integer type; may lie in mapped files.
        weights: how often a token of each is drawn beside one of weight 1; ≥ 0, one at least above.
        seed: draws all orders.
    Raises: TrainingError if there is nothing to draw.
    """

    def __init__(self, arrays: Sequence[np.ndarray], weights: Sequence[float], seed: int) -> None:
        sizes = np.array([len(array) for array in arrays], np.float64)
        self._arrays, self.seed = tuple(arrays), seed
        mass = sizes * np.asarray(weights, np.float64)
        if len(weights) != len(arrays) or not np.isfinite(mass).all() or (mass < 0).any() or mass.sum() <= 0:
            raise TrainingError(
                f"There are no tokens to draw: {len(arrays)} corpora of {sizes.sum():.0f} tokens, weights {weights}.",
                "Attach at least one text with a weight above 0.",
            )
        if min((size for size, share in zip(sizes, mass, strict=True) if share > 0)) < 2:
            raise TrainingError("A corpus is empty after the split.", "Attach more text, or take this corpus away.")
        self.shares = mass / mass.sum()
        self._counts = _apportioned(self.shares)

    @classmethod
    def of(
        cls, corpora: Sequence[Corpus], tokenizer: PreTrainedTokenizerFast, seed: int, folder: Path | None = None
    ) -> TokenStream:
        """The stream of some corpora's documents: training text alone, after the split.

        Corpora without text or weight are left out. Args: folder: keeps token arrays for the next time, in mapped
        files; None keeps them in memory.
        """
        used = [corpus for corpus in corpora if corpus.weight > 0 and any(d.text for d in corpus.documents)]
        arrays = [token_array(corpus.documents, tokenizer, folder) for corpus in used]
        return cls(arrays, [corpus.weight for corpus in used], seed)

    @property
    def num_tokens(self) -> int:
        """Tokens of all corpora, each counted once."""
        return sum(len(array) for array in self._arrays)

    def batch(
        self, step: int, size: int, context: int, rank: int = 0, world: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One rank's part of one global batch.

        Args:
            step: from 0. size: windows of the global batch, over all ranks. context: tokens of a window.
            rank, world: rank r of w has the windows ⌊r·size / w⌋ … ⌊(r+1)·size / w⌋ of the global batch.
        Returns: ids and targets, int64, shape (windows, context); targets are the next tokens.
        """
        first, last = rank * size // world, (rank + 1) * size // world
        rows = np.empty((last - first, context + 1), np.int64)
        for row, place in zip(rows, range(step * size + first, step * size + last), strict=True):
            corpus, start = self.window(place, context)
            row[:] = self._ring(corpus, start, context + 1)
        tokens = torch.from_numpy(rows)
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def window(self, place: int, context: int) -> tuple[int, int]:
        """(corpus, start in its ring) of the window with number `place` in the whole training."""
        period, slot = divmod(place, PERIOD)
        owners, ranks = _period(tuple(self._counts), self.seed, period)
        corpus = int(owners[slot])
        size = len(self._arrays[corpus])
        per_epoch = -(-size // context)
        epoch, number = divmod(period * self._counts[corpus] + int(ranks[slot]), per_epoch)
        start = _draw(self.seed, "start", corpus, epoch) % size
        return corpus, (start + int(_order(self.seed, corpus, epoch, per_epoch)[number]) * context) % size

    def _ring(self, corpus: int, start: int, count: int) -> np.ndarray:
        array = self._arrays[corpus]
        if start + count <= len(array):
            return array[start : start + count]
        return np.take(array, np.arange(start, start + count), mode="wrap")


def _apportioned(shares: np.ndarray) -> list[int]:
    """PERIOD slots in proportion to the shares, by largest remainders; at least one where the share is above 0."""
    wanted = shares * PERIOD
    counts = np.maximum(np.floor(wanted), shares > 0).astype(int)
    while counts.sum() != PERIOD:
        step = 1 if counts.sum() < PERIOD else -1
        gaps = np.where((shares > 0) & ((step > 0) | (counts > 1)), step * (wanted - counts), -np.inf)
        counts[np.argmax(gaps)] += step
    return counts.tolist()


@functools.lru_cache(maxsize=8)
def _period(counts: tuple[int, ...], seed: int, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Which corpus has each slot of a period, and how many slots it had in it before."""
    owners = np.repeat(np.arange(len(counts)), counts)
    ranks = np.concatenate([np.arange(count) for count in counts])
    order = _shuffled(PERIOD, _draw(seed, "period", period))
    owners = owners[order]
    for corpus, count in enumerate(counts):
        ranks[owners == corpus] = np.arange(count)
    return owners, ranks


@functools.lru_cache(maxsize=64)
def _order(seed: int, corpus: int, epoch: int, count: int) -> np.ndarray:
    return _shuffled(count, _draw(seed, "order", corpus, epoch))


def _shuffled(count: int, key: int) -> np.ndarray:
    """A permutation of 0 … count − 1, from a key alone: the same in every version of numpy and on every machine."""
    return np.argsort(mixed(np.arange(count, dtype=np.uint64) + np.uint64(key)), kind="stable")


def _draw(*key: int | str) -> int:
    """A number of 63 bits from a key."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "little") >> 1
