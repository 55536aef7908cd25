"""The list of ideas: each a pure function from the facts to a suggestion, one file an idea."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from engine.discovery.suggestions.facts import ModelFacts
from engine.discovery.suggestions.suggestion import Suggestion
from engine.errors import MeasureError

IDEAS: dict[str, Idea] = {}
"""Every idea that was registered, by name; see `all_ideas`."""

PRICES: dict[str, str] = {
    "nothing": "without loss",
    "error": "at the same error",
    "rows": "by giving rows up",
}
"""What an idea costs -> how that is said: the gain is counted against something that costs as much."""

_ORDER = ("found", "unknown", "nothing")


@dataclass(frozen=True, slots=True)
class Idea:
    """One registered idea.

    Attributes:
        name: the function's name. title: a few words. finding: what it starts from.
        price: what it costs beside effort, a key of PRICES.
        version: raised when the same facts would give another suggestion. description: the function's docstring.
        function: the pure function itself.
    """

    name: str
    title: str
    finding: str
    price: str
    version: int
    description: str
    function: Callable[[ModelFacts], Suggestion]


def idea(*, title: str, finding: str, price: str = "error", version: int = 1) -> Callable:
    """Register a pure function as an idea under its own name; the function is returned unchanged.

    Raises: MeasureError if the name is taken or the function has no docstring.
    """

    def register(function: Callable) -> Callable:
        name, description = function.__name__, inspect.getdoc(function)
        if name in IDEAS:
            raise MeasureError(f"The idea {name} is registered twice.", "Give one of the two functions another name.")
        if not description or price not in PRICES:
            raise MeasureError(f"The idea {name} has no docstring or no known price.", "Say what it saves, and how.")
        IDEAS[name] = Idea(name, title, finding, price, version, description, function)
        return function

    return register


def all_ideas() -> dict[str, Idea]:
    """Every idea by name, in reading order."""
    import engine.discovery.suggestions.ideas  # noqa: F401 — registers them

    return IDEAS


def suggestions(model: ModelFacts) -> list[Suggestion]:
    """What every idea says, what was found first, by bytes; then what is unknown; then what was not found."""
    told = [entry.function(model) for entry in all_ideas().values()]
    return sorted(told, key=lambda one: (_ORDER.index(one.state), -one.gain_bytes))


def ideas_version() -> str:
    """A text that changes when any idea's version does or an idea is added."""
    return " ".join(f"{entry.name}:{entry.version}" for entry in all_ideas().values())
