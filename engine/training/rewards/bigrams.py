"""Which token follows which: a smoothed bigram model, counted from training text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DISCOUNT = 0.75
"""Taken from every count. Church & Gale 1991 find 0.75 from counts of 2 up in 44 million words of news text; Chen &
Goodman 1999 take the same constant discount as their baseline."""


class BigramModel:
    """p(next | token), by absolute discounting, interpolated with how many different tokens the next one follows.

    With c counts of pairs, V tokens, N(·, b) different tokens before b and N(a, ·) after a:

        p(b | a) = max(c(a, b) − D, 0) / c(a) + D · N(a, ·) / c(a) · q(b)
        q(b)     = (N(·, b) + 1) / (Σ N + V)

    and p(b | a) = q(b) for a token a that was never followed by anything. Every p is above 0 and they add up to 1.

    Args:
        rows: token ids in text order, one array for each stretch of text; pairs are counted inside stretches only.
        vocabulary_size: ids are 0 … vocabulary_size − 1.
    Source: Kneser & Ney 1995 in the form of Chen & Goodman 1999; the added 1 (for tokens never seen) is ours.
    """

    def __init__(self, rows: Sequence[np.ndarray], vocabulary_size: int) -> None:
        pairs = [_pair_keys(np.asarray(row, dtype=np.int64), vocabulary_size) for row in rows]
        keys = np.concatenate([np.empty(0, dtype=np.int64), *pairs])
        self._vocabulary_size = vocabulary_size
        self._keys, self._counts = np.unique(keys, return_counts=True)
        self._total_after = np.bincount(keys // vocabulary_size, minlength=vocabulary_size)
        self._kinds_after = np.bincount(self._keys // vocabulary_size, minlength=vocabulary_size)
        kinds_before = np.bincount(self._keys % vocabulary_size, minlength=vocabulary_size)
        self._continuation = (kinds_before + 1) / (len(self._keys) + vocabulary_size)

    @property
    def vocabulary_size(self) -> int:
        """Tokens that can occur."""
        return self._vocabulary_size

    def log_probs(self, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
        """ln p(tokens[i + 1] | tokens[i]): float64 of shape (max(tokens − 1, 0),), all finite.

        Args: tokens: ids below the vocabulary size.
        """
        tokens = np.asarray(tokens, dtype=np.int64)
        before, after = tokens[:-1], tokens[1:]
        counts = self._counts_of(before * self._vocabulary_size + after)
        total = np.maximum(self._total_after[before], 1)
        spare = np.where(self._total_after[before] > 0, DISCOUNT * self._kinds_after[before] / total, 1.0)
        return np.log(np.maximum(counts - DISCOUNT, 0) / total + spare * self._continuation[after])

    def _counts_of(self, keys: np.ndarray) -> np.ndarray:
        """How often each pair was seen."""
        if not len(self._keys):
            return np.zeros(len(keys))
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[places] == keys, self._counts[places], 0)


def _pair_keys(tokens: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """One number for each neighbouring pair."""
    return tokens[:-1] * vocabulary_size + tokens[1:]
