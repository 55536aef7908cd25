"""Tokens as text: one by one, and as a growing text whose characters may span tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_UNFINISHED = "\ufffd"
_MOST_BEFORE = 8
"""How many tokens of the prompt are decoded with the first new ones: spaces between words depend on what is before."""

_MOST_KEPT = 50_000


class TokenTexts:
    """What each token reads as.

    Args:
        decode: token ids -> text, without special tokens. spell: one token id -> how the vocabulary spells it.
    """

    def __init__(self, decode: Callable[[list[int]], str], spell: Callable[[int], str]) -> None:
        self.decode = decode
        self._spell = spell
        self._known: dict[int, str] = {}

    def of(self, token: int) -> str:
        """The text of one token in the middle of a text, with its leading space; special tokens as they are spelt."""
        if token not in self._known:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[token] = self._read(token)
        return self._known[token]

    def _read(self, token: int) -> str:
        """A token decoded after itself keeps the space that a decoder strips from the beginning of a text."""
        once, twice = self.decode([token]), self.decode([token, token])
        text = twice[len(once) :] if twice.startswith(once) else once
        return self._spell(token) if not text or _UNFINISHED in text else text


class TextStream:
    """The text of tokens that arrive one at a time; the parts that `push` gives, joined, are the decoded whole."""

    def __init__(self, texts: TokenTexts, before: Sequence[int]) -> None:
        self._texts = texts
        self._ids = list(before[-_MOST_BEFORE:])
        self._start = 0
        self._read = len(self._ids)

    def push(self, token: int) -> str:
        """What a token adds; "" while it ends within a character."""
        self._ids.append(token)
        old, new = self._decoded()
        if new.endswith(_UNFINISHED) and len(self._ids) - self._read < 4:  # a character has at most four bytes
            return ""
        self._start, self._read = self._read, len(self._ids)
        return new[len(old) :]

    def flush(self) -> str:
        """What is still held back, with a mark for the broken character."""
        old, new = self._decoded()
        self._start, self._read = self._read, len(self._ids)
        return new[len(old) :]

    def _decoded(self) -> tuple[str, str]:
        return self._texts.decode(self._ids[self._start : self._read]), self._texts.decode(self._ids[self._start :])
