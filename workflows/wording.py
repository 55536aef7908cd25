"""Numbers as people read them, the same in the terminal and on every page."""

from __future__ import annotations

import math


def bytes_text(num_bytes: float) -> str:
    """Bytes in decimal units with three significant digits: 90868376 -> "90.9 MB"."""
    return _scaled(num_bytes, ("B", "kB", "MB", "GB", "TB", "PB"), " ")


def count_text(count: float) -> str:
    """A count with three significant digits: 22713216 -> "22.7 M"; below 1,000 it is exact."""
    return _scaled(count, ("", "k", "M", "B", "T"), " ").strip()


def duration_text(seconds: float) -> str:
    """A duration in its two largest units: 0.4 -> "0.4 s", 75 -> "1 min 15 s", 7260 -> "2 h 1 min"."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def _scaled(number: float, units: tuple[str, ...], gap: str) -> str:
    for unit in units[:-1]:
        if abs(number) < 999.5:
            digits = f"{number:.0f}" if unit == units[0] else f"{number:.3g}"
            return f"{digits}{gap}{unit}"
        number /= 1000
    return f"{number:,.3g}{gap}{units[-1]}"
