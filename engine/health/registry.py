"""The list of rules: each a pure function from the evidence to findings, one file a rule."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from engine.errors import MeasureError
from engine.health.evidence import ModelEvidence
from engine.health.findings import SEVERITIES, Finding

RULES: dict[str, Rule] = {}
"""Every rule that was registered, by name; see `all_rules`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One registered rule.

    Attributes:
        name: the function's name. title: a few words for a heading.
        version: raised when the same weights would give other findings.
        description: the function's docstring: what it looks for, its threshold, and where that comes from.
        function: the pure function itself.
    """

    name: str
    title: str
    version: int
    description: str
    function: Callable[[ModelEvidence], Iterable[Finding]]

    def findings(self, model: ModelEvidence) -> Iterator[Finding]:
        """What the rule finds, under its own name."""
        for finding in self.function(model):
            if finding.severity not in SEVERITIES:
                raise MeasureError(f"The rule {self.name} gave the severity {finding.severity!r}.", "Use a known one.")
            yield finding


def rule(*, title: str, version: int = 1) -> Callable:
    """Register a pure function as a rule under its own name; the function is returned unchanged.

    Raises: MeasureError if the name is taken or the function has no docstring.
    """

    def register(function: Callable) -> Callable:
        name, description = function.__name__, inspect.getdoc(function)
        if name in RULES:
            raise MeasureError(f"The rule {name} is registered twice.", "Give one of the two functions another name.")
        if not description:
            raise MeasureError(
                f"The rule {name} has no docstring.", "Say what it looks for and where its threshold is from."
            )
        RULES[name] = Rule(name, title, version, description, function)
        return function

    return register


def all_rules() -> dict[str, Rule]:
    """Every rule by name, in reading order."""
    import engine.health.rules  # noqa: F401 — registers them

    return RULES


def findings(model: ModelEvidence) -> list[Finding]:
    """What all rules find, errors first, then in the order of the rules and of the tensors in the file."""
    found = [finding for entry in all_rules().values() for finding in entry.findings(model)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def rules_version() -> str:
    """A text that changes when any rule's version does or a rule is added."""
    return " ".join(f"{entry.name}:{entry.version}" for entry in all_rules().values())
