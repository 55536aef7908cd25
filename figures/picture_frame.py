"""What stands around every exported picture: paper, title, source, legend; and the bytes of a finished one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from engine.colour_maps import NAN_COLOUR, NEGINF_COLOUR, POSINF_COLOUR
from engine.errors import WeightscopeError
from figures.lettering import fitted, text_width, write

WIDTHS = (1200, 2400, 4096)
"""Pixels on offer: a slide, a dense screen, print."""

LEAST_WIDTH, MOST_WIDTH = 320, 8192
LEAST_UNIT = 0.75
"""Letters shrink no further: eleven pixels, which can still be read."""

SPECIALS = (("NaN", NAN_COLOUR), ("+Inf", POSINF_COLOUR), ("−Inf", NEGINF_COLOUR))


@dataclass(frozen=True, slots=True)
class Ink:
    """Colours of paper and letters: those of the app's themes."""

    paper: tuple[int, int, int]
    text: tuple[int, int, int]
    faint: tuple[int, int, int]
    line: tuple[int, int, int]


LIGHT = Ink((255, 255, 255), (28, 39, 51), (99, 112, 125), (217, 224, 230))
DARK = Ink((15, 20, 26), (226, 232, 238), (147, 158, 169), (48, 58, 69))


@dataclass(frozen=True, slots=True)
class PictureFrame:
    """What stands around a picture, and how large it is.

    Attributes:
        title: the line above; "" for none. subtitle: smaller, under the title.
        source: the line at the foot that says where the numbers come from; "" for none.
        width: of the whole picture in pixels. Letters and margins grow with it: 2400 is 1200 twice as dense.
        body_height: the most pixels for the body; None for `HEIGHT_SHARE` of the width.
        is_dark: light letters on a dark page.
    Raises: WeightscopeError for a width outside `LEAST_WIDTH` … `MOST_WIDTH`.
    """

    title: str = ""
    subtitle: str = ""
    source: str = ""
    width: int = WIDTHS[0]
    body_height: int | None = None
    is_dark: bool = False

    def __post_init__(self) -> None:
        if not LEAST_WIDTH <= self.width <= MOST_WIDTH:
            raise WeightscopeError(
                f"A picture cannot be {self.width} pixels wide.", f"Choose between {LEAST_WIDTH} and {MOST_WIDTH}."
            )

    @property
    def ink(self) -> Ink:
        return DARK if self.is_dark else LIGHT

    @property
    def unit(self) -> float:
        """Pixels of what is one pixel in a picture 1200 wide; small pictures keep legible letters."""
        return max(LEAST_UNIT, self.width / WIDTHS[0])

    def pixels(self, units: float) -> int:
        """A length of the 1200-wide picture in this one, at least 1."""
        return max(1, round(units * self.unit))


def framed(
    body: Image.Image,
    frame: PictureFrame,
    *,
    bar: Image.Image | None = None,
    specials: Sequence[str] = (),
) -> Image.Image:
    """Any picture with title above, colour bar at its right, and source and legend below.

    Args:
        body: at most as wide as the frame leaves room. bar: of `colour_bar`; both are aligned at their tops and centred
            together. specials: labels of `SPECIALS` to explain.
    Returns: RGB, frame.width wide and as high as it needs to be.
    """
    unit, ink, pad = frame.unit, frame.ink, frame.pixels(24)
    head = _head_height(frame)
    foot = frame.pixels(34) if frame.source or specials else 0
    room = max(body.height, bar.height if bar else 0)
    image = Image.new("RGB", (frame.width, pad + head + room + foot + pad), ink.paper)
    draw = ImageDraw.Draw(image)
    _write_head(draw, frame, pad)
    block = body.width + (bar.width + frame.pixels(16) if bar else 0)
    left = max(0, (frame.width - block) // 2)
    image.paste(body, (left, pad + head))
    if bar:
        image.paste(bar, (left + body.width + frame.pixels(16), pad + head))
    if foot:
        base = pad + head + room + foot
        right = _write_legend(draw, frame, specials, (frame.width - pad, base))
        source = fitted(frame.source, 13 * unit, right - pad - 16 * unit)
        write(draw, (pad, base), source, 13 * unit, fill=ink.faint, anchor="ls")
    return image


def specials_in(values: np.ndarray) -> tuple[str, ...]:
    """The labels of `SPECIALS` that occur among some numbers."""
    found = (np.isnan(values).any(), np.isposinf(values).any(), np.isneginf(values).any())
    return tuple(label for (label, _), is_there in zip(SPECIALS, found, strict=True) if is_there)


def png_bytes(image: Image.Image, texts: dict[str, str] | None = None) -> bytes:
    """The picture as PNG.

    Args:
        texts: kept inside the file, by PNG's keywords ("Title", "Source", "Software", …); any Unicode.
    """
    information = PngInfo()
    for keyword, text in (texts or {}).items():
        information.add_itxt(keyword, text.encode("utf-8", "replace").decode())
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=information, compress_level=6)
    return out.getvalue()


def webp_bytes(image: Image.Image) -> bytes:
    """The picture as lossless WebP: every colour as it is."""
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True, quality=60, method=3)
    return out.getvalue()


def _head_height(frame: PictureFrame) -> int:
    return (frame.pixels(36) if frame.title else 0) + (frame.pixels(26) if frame.subtitle else 0)


def _write_head(draw: ImageDraw.ImageDraw, frame: PictureFrame, pad: int) -> None:
    unit, ink, top = frame.unit, frame.ink, float(pad)
    for text, size, height, colour in ((frame.title, 23, 36, ink.text), (frame.subtitle, 15, 26, ink.faint)):
        if text:
            write(
                draw,
                (pad, top),
                fitted(text, size * unit, frame.width - 2 * pad),
                size * unit,
                fill=colour,
                anchor="la",
            )
            top += height * unit


def _write_legend(
    draw: ImageDraw.ImageDraw, frame: PictureFrame, specials: Sequence[str], corner: tuple[int, int]
) -> float:
    """Swatches with their names, ending at the lower right `corner`; returns where they begin."""
    unit, (right, base) = frame.unit, corner
    for label, colour in reversed([entry for entry in SPECIALS if entry[0] in specials]):
        left = right - text_width(label, 13 * unit)
        write(draw, (left, base), label, 13 * unit, fill=frame.ink.text, anchor="ls")
        side = 11 * unit
        draw.rectangle([left - side - 6 * unit, base - side, left - 6 * unit, base], fill=colour)
        right = left - side - 22 * unit
    return right
