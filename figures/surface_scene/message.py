"""A scene as bytes for the browser.

Layout, little-endian: uint32 length of the header; the header, UTF-8 JSON padded with spaces so that data begin at a
multiple of 8; the arrays, each padded to 8 bytes. The header's `arrays` say of each array by which name it goes, how it
is encoded and where it begins. The cells travel as "f32", or as "hi16" (the upper halves of their float32) where that
loses nothing, which halves bfloat16, 8-bit and small-integer tensors. Of types with more digits, the stored numbers of
a small grid go along as "f64", "i64" or "u64", to be shown in full.
"""

from __future__ import annotations

import json
import struct

import numpy as np

from engine.heatmaps import Grid

ALIGNMENT = 8

MOST_STORED = 1 << 17
"""Cells up to which stored numbers go along: 1 MiB; a finer grid shows them in full on a click. Ours."""


def encode_scene(header: dict, grid: Grid | None) -> bytes:
    """Pack a header and the cells; without a grid, the browser keeps the cells it has.

    Returns: the message; its header is `header` plus "arrays".
    """
    arrays, described, offset = [], {}, 0
    for name, (encoding, array) in _arrays(grid).items():
        described[name] = [encoding, offset]
        data = array.tobytes()
        arrays.append(data + b"\0" * (-len(data) % ALIGNMENT))
        offset += len(arrays[-1])
    text = json.dumps({**header, "arrays": described}, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % ALIGNMENT)
    return b"".join([struct.pack("<I", len(text)), text, *arrays])


def _arrays(grid: Grid | None) -> dict[str, tuple[str, np.ndarray]]:
    if grid is None:
        return {}
    bits = np.ascontiguousarray(grid.values, "<f4").view("<u4")
    is_halved = not (bits & 0xFFFF).any()
    arrays = {"values": ("hi16", (bits >> 16).astype("<u2")) if is_halved else ("f32", bits)}
    stored = grid.stored
    if stored is not None and stored.size <= MOST_STORED:
        is_whole = stored.dtype.kind in "iu" and stored.dtype.itemsize == 8
        encoding = f"{stored.dtype.kind}64" if is_whole else "f64"
        arrays["stored"] = encoding, stored.astype(f"<{encoding[0]}8")
    return arrays
