"""Pictures in a row as a file that moves: animated WebP, exact, or GIF, which every program shows."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from engine.errors import WeightscopeError

MOST_PIXELS = 1 << 26
"""Pixels of all frames together: 60 frames of 1200 × 900; about 200 MB while the file is made; chosen by us."""

MOST_COLOURS = 256
"""What a GIF holds."""

MOST_FRAMES_A_SECOND = 50
"""Programs play a GIF faster than that at ten frames a second, by an old habit."""


def check_size(num_frames: int, width: int, height: int) -> None:
    """Raises: WeightscopeError if so many frames of that size are more than can be made."""
    if num_frames * width * height > MOST_PIXELS:
        raise WeightscopeError(
            f"{num_frames} frames of {width} × {height} pixels are more than {MOST_PIXELS:,} in all.",
            "Choose a smaller width, or fewer frames.",
        )


def animated_webp(pictures: Sequence[Image.Image], frames_a_second: float) -> bytes:
    """Frames as a lossless animated WebP that begins again at its end; every pixel as it is.

    Args:
        pictures: RGB, at least one, all of one size. frames_a_second: above 0, at most `MOST_FRAMES_A_SECOND`. A frame
            equal to the one before it may be stored as a longer one.
    Raises: WeightscopeError for too many pixels.
    """
    _check(pictures)
    out = io.BytesIO()
    duration = _duration_ms(frames_a_second)
    pictures[0].save(
        out, "WEBP", save_all=True, append_images=list(pictures[1:]), duration=duration, loop=0, lossless=True, method=2
    )
    return out.getvalue()


def animated_gif(pictures: Sequence[Image.Image], frames_a_second: float) -> bytes:
    """Frames as an animated GIF that begins again at its end.

    One palette serves all frames. It is exact where they have at most 256 colours together; else it is the median cut
    of their colours, and every pixel takes the nearest, without dithering.

    Args: as of `animated_webp`; durations are rounded to hundredths of a second, which is all that a GIF knows.
    """
    _check(pictures)
    colours, frames = _numbered(pictures)
    palette, place = _palette(colours)
    images = []
    for numbers in frames:
        image = Image.fromarray(place[numbers], "P")
        image.putpalette(palette.tobytes())
        images.append(image)
    out = io.BytesIO()
    duration = round(_duration_ms(frames_a_second), -1)
    images[0].save(
        out, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0, optimize=False, disposal=1
    )
    return out.getvalue()


def _check(pictures: Sequence[Image.Image]) -> None:
    width, height = pictures[0].size
    check_size(len(pictures), width, height)


def _duration_ms(frames_a_second: float) -> int:
    return round(1000 / min(frames_a_second, MOST_FRAMES_A_SECOND))


def _numbered(pictures: Sequence[Image.Image]) -> tuple[np.ndarray, list[np.ndarray]]:
    """All colours of all pictures, (n, 3) uint8, sorted; and each picture as numbers of them."""
    packed = [_packed(picture) for picture in pictures]
    all_colours = np.unique(np.concatenate([np.unique(pixels) for pixels in packed]))
    numbers = [np.searchsorted(all_colours, pixels).astype(np.uint32) for pixels in packed]
    channels = [(all_colours >> shift & 255).astype(np.uint8) for shift in (16, 8, 0)]
    return np.stack(channels, axis=1), numbers


def _packed(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture.convert("RGB"), np.uint32)
    return pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]


def _palette(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most 256 colours, (256, 3) uint8, and the place in it of each colour, (n,) uint8."""
    palette = np.zeros((MOST_COLOURS, 3), np.uint8)
    if len(colours) <= MOST_COLOURS:
        palette[: len(colours)] = colours
        return palette, np.arange(len(colours), dtype=np.uint8)
    reduced = Image.fromarray(colours[None]).quantize(MOST_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    found = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)
    palette[: len(found)] = found
    wide = palette[: len(found)].astype(np.int32)
    place = np.empty(len(colours), np.uint8)
    for start in range(0, len(colours), 4096):
        part = colours[start : start + 4096, None].astype(np.int32)
        place[start : start + 4096] = np.square(part - wide).sum(axis=-1).argmin(axis=-1)
    return palette, place
