"""Tables of plain text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

LONGEST_CELL = 60
_GAP = "  "


def text_table(headings: Sequence[str], rows: Sequence[Sequence], width: int | None = None) -> str:
    """Columns under their headings, numbers to the right.

    Args:
        rows: one value a heading; None and NaN are shown as nothing, floats with six significant digits.
        width: characters of the terminal; columns that do not fit are left out at the right, which a last line says.
            None for no limit.
    """
    shown = [[_cell(value, width is not None) for value in row] for row in rows]
    widths = [max([len(head), *(len(row[i]) for row in shown)]) for i, head in enumerate(headings)]
    fitting = _fitting(widths, width)
    is_number = [
        any(row[i] for row in shown) and all(_is_number(row[i]) for row in rows if row[i] is not None)
        for i in range(len(headings))
    ]
    lines = []
    for cells in (headings, ["─" * wide for wide in widths], *shown):
        aligned = [
            cell.rjust(widths[i]) if is_number[i] else cell.ljust(widths[i]) for i, cell in enumerate(cells[:fitting])
        ]
        lines.append(_GAP.join(aligned).rstrip())
    if fitting < len(headings):
        lines.append(f"… and {len(headings) - fitting} more columns: {', '.join(headings[fitting:])}")
    return "\n".join(lines)


def _fitting(widths: list[int], width: int | None) -> int:
    """How many columns fit, at least one."""
    used = 0
    for count, wide in enumerate(widths):
        used += wide + (len(_GAP) if count else 0)
        if width is not None and used > width and count:
            return count
    return len(widths)


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value, is_cut: bool) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = " ".join(str(value).split())
    return f"{text[: LONGEST_CELL - 1]}…" if is_cut and len(text) > LONGEST_CELL else text
