"""Numbers as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable


def percent(share: float) -> str:
    """A share as a person reads it: 3.1 %, 0.004 %, 100 %; never 0 % or 100 % unless it is."""
    if share in (0, 1):
        return f"{share * 100:.0f} %"
    if 0.9995 <= share < 1:
        return "more than 99.9 %"
    if share < 1e-6:
        return "less than 0.0001 %"
    if share < 0.0995:
        return f"{share * 100:.2g} %"
    return f"{share * 100:.3g} %" if share < 9.995 else f"{share * 100:,.0f} %"


def numbers(values: Iterable[int]) -> str:
    """Rising numbers as a person writes them: 0, 3–5, 8."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
