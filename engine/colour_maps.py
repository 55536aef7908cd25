"""Numbers as colours: one table of eight maps, used by the canvas, thumbnails and exported pictures alike.

A map is 256 colours, interpolated linearly between published anchor colours. Signed maps have their neutral colour in
the middle and are meant for limits symmetric about zero; unsigned maps run from low to high.

Source: ColorBrewer 2 (Brewer, Harrower; RdBu, PRGn, PuOr, Blues, Reds); viridis and magma (Smith, van der Walt 2015,
CC0); cividis (Nuñez, Anderton, Renslow 2018).
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

import numpy as np

from engine.colour_scales import NUM_COLOURS, ColourScale
from engine.errors import WeightscopeError

NAN_COLOUR = (255, 0, 214)
POSINF_COLOUR = (57, 255, 20)
NEGINF_COLOUR = (0, 229, 255)
"""Neon magenta, green and cyan: for what is no number; far from every colour of every map (a test measures it)."""


@dataclass(frozen=True, eq=False)
class ColourMap:
    """A table of colours.

    Attributes:
        name: unique, as shown to people and kept in the URL.
        is_signed: whether its middle is neutral and means zero.
        is_dark: whether zero (signed) or low (unsigned) is dark, which reads best on a dark page.
        is_colour_blind_safe: whether it reads with any common colour vision deficiency.
        colours: (256, 3) uint8, sRGB.
    """

    name: str
    is_signed: bool
    is_dark: bool
    is_colour_blind_safe: bool
    colours: np.ndarray


_BLUES = "f7fbff deebf7 c6dbef 9ecae1 6baed6 4292c6 2171b5 08519c 08306b"
_REDS = "fff5f0 fee0d2 fcbba1 fc9272 fb6a4a ef3b2c cb181d a50f15 67000d"
_RED_BLUE = "67001f b2182b d6604d f4a582 fddbc7 f7f7f7 d1e5f0 92c5de 4393c3 2166ac 053061"
_PURPLE_GREEN = "40004b 762a83 9970ab c2a5cf e7d4e8 f7f7f7 d9f0d3 a6dba0 5aae61 1b7837 00441b"
_ORANGE_PURPLE = "7f3b08 b35806 e08214 fdb863 fee0b6 f7f7f7 d8daeb b2abd2 8073ac 542788 2d004b"
_VIRIDIS = "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725"
_CIVIDIS = "00204d 00336f 39486b 575c6d 707173 8a8779 a69d75 c4b56c e4cf5b ffea46"
_MAGMA = "000004 180f3e 451077 721f81 9f2f7f cd4071 f1605d fd9567 fec98d fcfdbf"
_GREY = "000000 ffffff"
_ICE = " ".join(_BLUES.split()[2:])
_FIRE = " ".join(reversed(_REDS.split()[2:]))


def _table(anchors: str) -> np.ndarray:
    """256 colours at equal steps along the anchors, which are spaced equally; sRGB, rounded."""
    points = np.array([[int(anchor[i : i + 2], 16) for i in (0, 2, 4)] for anchor in anchors.split()], np.float64)
    at, places = np.linspace(0, len(points) - 1, NUM_COLOURS), np.arange(len(points))
    table = np.stack([np.interp(at, places, points[:, channel]) for channel in range(3)], axis=1)
    table = np.round(table).astype(np.uint8)
    table.flags.writeable = False
    return table


def _reversed(anchors: str) -> str:
    return " ".join(reversed(anchors.split()))


COLOUR_MAPS: dict[str, ColourMap] = {
    entry.name: entry
    for entry in (
        ColourMap("blue-red", True, False, True, _table(_reversed(_RED_BLUE))),
        ColourMap("ice-fire", True, True, True, _table(f"{_ICE} 0b0d12 {_FIRE}")),
        ColourMap("purple-green", True, False, True, _table(_PURPLE_GREEN)),
        ColourMap("purple-orange", True, False, True, _table(_reversed(_ORANGE_PURPLE))),
        ColourMap("viridis", False, True, True, _table(_VIRIDIS)),
        ColourMap("cividis", False, True, True, _table(_CIVIDIS)),
        ColourMap("magma", False, True, True, _table(_MAGMA)),
        ColourMap("grey", False, True, True, _table(_GREY)),
    )
}
"""Every map, by name. Add one with its anchors and one line here."""


def colour_map(name: str) -> ColourMap:
    """The map of that name. Raises: WeightscopeError if there is none."""
    if name not in COLOUR_MAPS:
        raise WeightscopeError(f"There is no colour map {name!r}.", f"Choose one of {', '.join(COLOUR_MAPS)}.")
    return COLOUR_MAPS[name]


def default_colour_map(is_signed: bool, is_dark: bool = False) -> str:
    """The map shown at first: neutral colour like the page's background for signed data, viridis otherwise."""
    if is_signed:
        return "ice-fire" if is_dark else "blue-red"
    return "viridis"


def colour_image(values: np.ndarray, scale: ColourScale, name: str) -> np.ndarray:
    """Numbers as colours.

    Args:
        values: any shape, any real type. scale: which number gets which colour. name: a key of `COLOUR_MAPS`.
    Returns: uint8, shape (*values.shape, 3); NaN and ±Inf in their own colours.
    """
    values = np.asarray(values)
    image = colour_map(name).colours.take(scale.colour_numbers(values), axis=0)
    if not np.isfinite(values).all():
        image[np.isnan(values)] = NAN_COLOUR
        image[np.isposinf(values)] = POSINF_COLOUR
        image[np.isneginf(values)] = NEGINF_COLOUR
    return image


def png(image: np.ndarray) -> bytes:
    """An (h, w, 3) or, with transparency, (h, w, 4) uint8 picture as PNG bytes; h and w at least 1."""
    from PIL import Image

    out = io.BytesIO()
    # Weights look like noise, which packs no better at higher levels, only three times slower.
    Image.fromarray(image).save(out, "PNG", compress_level=1)
    return out.getvalue()


def value_png(values: np.ndarray, scale: ColourScale, name: str) -> bytes:
    """Numbers as a PNG of one pixel each, with the colours of `colour_image`.

    Of finite numbers only their colour numbers are stored, a byte each beside the map itself: half the size of a
    picture of its colours, in a tenth of the time. NaN and ±Inf have colours beyond the 256 that such a file can hold,
    so that with any of them it is a picture of colours.

    Args: values: (h, w), h and w at least 1, any real type. scale, name: as of `colour_image`.
    """
    from PIL import Image

    if not np.isfinite(values).all():
        return png(colour_image(values, scale, name))
    image = Image.fromarray(scale.colour_numbers(values))
    image.putpalette(colour_map(name).colours.tobytes())
    out = io.BytesIO()
    image.save(out, "PNG", compress_type=zlib.Z_RLE)
    return out.getvalue()
