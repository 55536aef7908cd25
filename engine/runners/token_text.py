"""Tokens as text: one by one, and as a growing text whose characters may span tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_UNFINISHED = "\ufffd"
_MOST_BEFORE = 8
"""How many tokens of the prompt are decoded with the first new ones: spaces between words depend on what is before."""

_MOST_HELD = 3
"""Marks of broken bytes at the end of a text that may yet become a character, which has at most four bytes."""

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
        self._num_given = len(self._decoded())

    def push(self, token: int) -> str:
        """What a token adds, up to the last character that may still be incomplete."""
        self._ids.append(token)
        text = self._decoded()
        num_broken = len(text) - len(text.rstrip(_UNFINISHED))
        new = self._given(text, len(text) - min(num_broken, _MOST_HELD))
        if not num_broken:  # the next texts are decoded from here, with this token before them
            self._start, self._read = self._read, len(self._ids)
            self._num_given = len(self._decoded())
        return new

    def flush(self) -> str:
        """What is still held back, with a mark for the broken character."""
        text = self._decoded()
        return self._given(text, len(text))

    def _given(self, text: str, stop: int) -> str:
        """The part of the text before `stop` that was not given yet."""
        new, self._num_given = text[self._num_given : stop], max(self._num_given, stop)
        return new

    def _decoded(self) -> str:
        return self._texts.decode(self._ids[self._start :])
