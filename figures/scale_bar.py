"""The scale bar of a picture: all colours of a scale, with numbers beside it as on the screen."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from engine.colour_maps import colour_image
from engine.colour_scales import ColourScale
from figures.lettering import short_number, text_width, write
from figures.picture_frame import PictureFrame

LABEL_ROOM = 20
"""Pixels between two numbers beside a bar, in a picture 1200 wide."""


def colour_bar(
    scale: ColourScale, name: str, height: int, frame: PictureFrame, *, extremes: tuple[float, float] | None = None
) -> Image.Image:
    """The scale bar: all colours from the lower end to the upper, with the numbers of the scale beside them.

    Args:
        scale, name: as of the picture it explains. height: of the bar in pixels; the image has a margin of
            `bar_margin(frame)` above and below. extremes: the least and largest number shown; where they lie beyond an
            end of the scale, its number is marked ">=" or "<=".
    """
    unit, ink, margin = frame.unit, frame.ink, bar_margin(frame)
    bar, size = frame.pixels(14), 14 * unit
    labels = _labels(scale, height / unit, extremes)
    width = max(frame.pixels(110), bar + round(16 * unit + max(text_width(text, size) for _, text in labels)))
    image = Image.new("RGB", (width, height + 2 * margin), ink.paper)
    places = 1.0 - (np.arange(height) + 0.5) / height
    colours = colour_image(scale.values_at(places), scale, name)
    image.paste(Image.fromarray(np.repeat(colours[:, None], bar, axis=1)), (0, margin))
    draw = ImageDraw.Draw(image)
    for share, text in labels:
        at = margin + (1.0 - share) * (height - 1)
        draw.line([(bar, at), (bar + 4 * unit, at)], fill=ink.faint, width=frame.pixels(1))
        write(draw, (bar + 9 * unit, at), text, size, fill=ink.text, anchor="lm")
    return image


def bar_margin(frame: PictureFrame) -> int:
    """Pixels above and below a colour bar, and above a plot, for half a line of text."""
    return frame.pixels(10)


def bar_ticks(scale: ColourScale, height: float) -> list[tuple[float, float]]:
    """Where numbers stand beside a bar: (share of it from the low end, number), from low to high.

    Both ends, and between them as many as have room: round numbers on a linear scale, zero and powers of ten on a
    logarithmic one, and equal shares of the entries on a rank scale; the same rule as on the screen.

    Args: height: of the bar, in pixels of a picture 1200 wide.
    """
    low, high = float(scale.knots[0]), float(scale.knots[-1])
    kept = [(0.0, low), (1.0, high)]
    if scale.kind == "linear":
        inner = _round_numbers(low, high, height / 60)
    elif scale.kind == "symmetric log":
        inner = _powers_of_ten(low, high)
    else:
        inner = scale.values_at(np.array([0.5, 0.25, 0.75, 0.125, 0.875])[: 1 if height < 160 else 5]).tolist()
    for value in inner:
        share = float(scale.positions(np.float64(value)))
        if all(abs(other - share) * height >= LABEL_ROOM for other, _ in kept):
            kept.append((share, value))
    return sorted(kept)


def _labels(scale: ColourScale, height: float, extremes: tuple[float, float] | None) -> list[tuple[float, str]]:
    """(share of the bar from its lower end, number as text)."""
    ticks = bar_ticks(scale, height)
    texts = [short_number(value) for _, value in ticks]
    if extremes is not None:
        texts[0] = ("≤ " if extremes[0] < scale.knots[0] else "") + texts[0]
        texts[-1] = ("≥ " if extremes[1] > scale.knots[-1] else "") + texts[-1]
    return [(share, text) for (share, _), text in zip(ticks, texts, strict=True)]


def _round_numbers(low: float, high: float, count: float) -> list[float]:
    """Multiples of 1, 2 or 5 · 10ᵏ between two numbers, about `count` of them, zero first."""
    rough = (high - low) / max(2.0, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * rough)
    numbers = [float(f"{k * step:.12g}") for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return sorted(numbers, key=abs)


def _powers_of_ten(low: float, high: float) -> list[float]:
    """Zero and ±10ᵏ, the largest first, as far as a symmetric logarithm can tell them apart."""
    most = max(abs(low), abs(high))
    found, exponent = [0.0], math.floor(math.log10(most))
    while 10.0**exponent > most / 1000:
        found += [value for value in (10.0**exponent, -(10.0**exponent)) if low < value < high]
        exponent -= 1
    return [value for value in found if low <= value <= high]
