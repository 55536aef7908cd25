"""A conversation as a tree: another answer, or an edited question, is a branch; nothing said is ever lost."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from ui.chat.reply import Reply

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"

_numbers = itertools.count(1)


@dataclass(eq=False)
class Turn:
    """What one side said.

    Attributes:
        role: USER or ASSISTANT; "" for the beginning of a conversation. reply: how an answer was (or is being) written.
        before: the turn it follows. after: what follows it, one branch each. chosen: the branch that is shown.
        number: tells turns apart, for as long as the app runs.
    """

    role: str
    words: str = ""
    reply: Reply | None = None
    before: Turn | None = field(default=None, repr=False)
    after: list[Turn] = field(default_factory=list, repr=False)
    chosen: int = 0
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def content(self) -> str:
        """The text, as far as it is written."""
        return self.words if self.reply is None else self.reply.text

    @property
    def variants(self) -> list[Turn]:
        """This turn and those that stand in its place on other branches, the oldest first."""
        return [self] if self.before is None else self.before.after

    @property
    def place(self) -> int:
        """Its place among its variants, from 0."""
        return self.variants.index(self)


class Conversation:
    """A tree of turns, of which one path is shown."""

    def __init__(self) -> None:
        self._start = Turn("")

    @property
    def path(self) -> list[Turn]:
        """The turns that are shown, in order."""
        turns, turn = [], self._start
        while turn.after:
            turn = turn.after[turn.chosen]
            turns.append(turn)
        return turns

    @property
    def is_writing(self) -> bool:
        """Whether an answer on the shown path is being written."""
        return any(turn.reply is not None and turn.reply.is_writing for turn in self.path)

    def say(self, words: str) -> Turn:
        """Add what the person says at the end of the shown path."""
        return self._branch(self.path[-1] if self.path else self._start, Turn(USER, words))

    def answer(self, question: Turn, reply: Reply) -> Turn:
        """Add an answer; another one to the same question is a branch beside it, and is shown."""
        return self._branch(question, Turn(ASSISTANT, reply=reply))

    def edit(self, turn: Turn, words: str) -> Turn:
        """Say something else in the place of a turn; what followed the old words stays with them."""
        return self._branch(turn.before, Turn(USER, words))

    def show(self, turn: Turn) -> None:
        """Let the shown path go through a turn."""
        turn.before.chosen = turn.place

    def stop(self) -> None:
        """End whatever is being written, on all branches."""
        for turn in self.turns():
            if turn.reply is not None:
                turn.reply.stop()

    def turns(self) -> list[Turn]:
        """All turns of all branches, each after the one that it follows."""
        found, waiting = [], list(self._start.after)
        while waiting:
            turn = waiting.pop(0)
            found.append(turn)
            waiting = turn.after + waiting
        return found

    @staticmethod
    def _branch(before: Turn, turn: Turn) -> Turn:
        turn.before = before
        before.after.append(turn)
        before.chosen = len(before.after) - 1
        return turn


def messages_until(turn: Turn, system: str = "") -> list[dict[str, str]]:
    """What was said up to and with a turn, as a chat template takes it."""
    said: list[dict[str, str]] = []
    while turn.before is not None:
        said.append({"role": turn.role, "content": turn.content})
        turn = turn.before
    head = [{"role": SYSTEM, "content": system.strip()}] if system.strip() else []
    return head + said[::-1]
