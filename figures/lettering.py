"""Letters and numbers on exported pictures: one font that comes with Pillow, so that every machine draws the same."""

from __future__ import annotations

import math
from functools import lru_cache

from PIL import ImageDraw, ImageFont

ELLIPSIS = "…"

_SUBSTITUTES = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "×": "x",
        "≥": ">=",
        "≤": "<=",
        "→": "->",
        "∞": "Inf",
        "²": "^2",
        "σ": "sigma",
        "µ": "u",
        "‖": "||",
    }
)
"""Signs that the font (Aileron, cut down by Pillow) lacks, spelled with those it has."""


@lru_cache(maxsize=32)
def font(size: float) -> ImageFont.FreeTypeFont:
    """The font at that height in pixels. Its layout is Pillow's own, never an optional library's."""
    return ImageFont.load_default(max(6.0, float(size)))


def drawable(text: str) -> str:
    """Any text as one line that the font can draw: control characters and broken Unicode become "?"."""
    line = " ".join(text.translate(_SUBSTITUTES).split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def text_width(text: str, size: float) -> float:
    """How wide `write` draws a text."""
    return font(size).getlength(drawable(text))


def fitted(text: str, size: float, width: float) -> str:
    """The text, or its beginning and end around "…" where it is wider than `width`: names tell most at both ends."""
    text = drawable(text)
    if text_width(text, size) <= width:
        return text
    low, high = 0, len(text)  # letters kept
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if text_width(_shortened(text, kept), size) <= width else (low, kept - 1)
    return _shortened(text, low)


def write(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: float, **options) -> None:
    """Draw a line of text; `options` are Pillow's (`fill`, `anchor`)."""
    draw.text(place, drawable(text), font=font(size), **options)


def short_number(value: float) -> str:
    """Three digits, as on the canvas: "0.0123", "12.5", "1.5e-7"; 0 below 1e-300."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    if abs(value) < 1e-300:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        number = float(f"{value:.3g}")
        return str(int(number)) if number.is_integer() else str(number)
    mantissa, exponent = f"{value:.2e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent):+d}"


def grouped(number: int) -> str:
    """ "1,234,567"."""
    return f"{number:,}"


def ticks(start: int, stop: int, pixels: float, room: float) -> list[int]:
    """Whole numbers to label between start and stop − 1, at least `room` pixels apart: steps of 1, 2, 5, 10, …"""
    least = (stop - start) * room / max(1.0, pixels)
    factors, step, turn = (2, 2.5, 2), 1.0, 0
    while step < least:
        step *= factors[turn % 3]
        turn += 1
    first = math.ceil(start / step) * int(step)
    return list(range(first, stop, int(step)))


def _shortened(text: str, kept: int) -> str:
    head = (kept + 1) // 2
    return text[:head] + ELLIPSIS + (text[len(text) - (kept - head) :] if kept > head else "")
