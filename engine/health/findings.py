"""What a rule says about a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""error: the weights are broken. warning: probably not meant. note: worth knowing, often normal."""

MOST_LINES = 64
"""Lines a finding names at most; it counts all of them. Ours: enough to look at, little to store."""


@dataclass(frozen=True)
class Finding:
    """One thing that is odd.

    Attributes:
        rule: the rule's name. severity: one of `SEVERITIES`.
        tensor: where; "" if it concerns the whole checkpoint.
        axis: "row" or "column" where `lines` are numbers of those; "" otherwise.
        lines: the first `MOST_LINES` rows or columns it is about; of a single weight, see `weight`.
        num_lines: how many there are in all.
        weight: (row, column) of a single weight; None otherwise.
        value, threshold: what was found and what it was held against, in the rule's unit; NaN where there is none.
        words: one or two plain sentences.
    """

    rule: str
    severity: Severity
    tensor: str
    words: str
    value: float = float("nan")
    threshold: float = float("nan")
    axis: str = ""
    lines: tuple[int, ...] = ()
    num_lines: int = 0
    weight: tuple[int, int] | None = None


def some(lines) -> tuple[int, ...]:
    """The first lines of many, as plain integers."""
    return tuple(int(line) for line in lines[:MOST_LINES])


def listed(lines, num_lines: int | None = None, most: int = 5) -> str:
    """Line numbers as a person reads them: "3, 7 and 12" or "3, 7, 12, 15, 20 and 34 more"."""
    total = len(lines) if num_lines is None else num_lines
    shown = [f"{int(line):,}" for line in lines[:most]]
    if total > len(shown):
        return f"{', '.join(shown)} and {total - len(shown):,} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
