"""A scene as bytes for the browser.

Layout, little-endian: uint32 length of the header; the header, UTF-8 JSON padded with spaces so that data begin at a
multiple of 8; the arrays, each padded to 8 bytes. The header's `arrays` say of each by its name how it is encoded,
where it begins and how many numbers it has. The cells travel as "f32", or as "hi16" (the upper halves of their float32)
where that loses nothing, which halves bfloat16, 8-bit and small-integer tensors. Of types with more digits, the stored
numbers of a small grid go along as "f64", "i64" or "u64", to be shown in full; of sorted lines, their numbers in the
file as "u32".
"""

from __future__ import annotations

import json
import struct

import numpy as np

from figures.surface_scene import SurfaceScene, scene_header

ALIGNMENT = 8

MOST_STORED = 1 << 17
"""Cells up to which stored numbers go along: 1 MiB; a finer grid shows them in full on a click. Ours."""


def encode_scene(scene: SurfaceScene, also: dict, *, has_cells: bool = True) -> bytes:
    """Pack a scene, and what else the browser is told; without the cells it keeps those it has.

    Returns: the message; its header is `scene_header(scene)` with `also` and "arrays".
    """
    arrays, described, offset = [], {}, 0
    for name, (encoding, array) in _arrays(scene).items() if has_cells else ():
        described[name] = [encoding, offset, array.size]
        data = array.tobytes()
        arrays.append(data + b"\0" * (-len(data) % ALIGNMENT))
        offset += len(arrays[-1])
    header = scene_header(scene) | also | {"arrays": described}
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % ALIGNMENT)
    return b"".join([struct.pack("<I", len(text)), text, *arrays])


def _arrays(scene: SurfaceScene) -> dict[str, tuple[str, np.ndarray]]:
    bits = np.ascontiguousarray(scene.grid.values, "<f4").view("<u4")
    is_halved = not (bits & 0xFFFF).any()
    arrays = {"values": ("hi16", (bits >> 16).astype("<u2")) if is_halved else ("f32", bits)}
    stored = scene.grid.stored
    if stored is not None and stored.size <= MOST_STORED:
        is_whole = stored.dtype.kind in "iu" and stored.dtype.itemsize == 8
        encoding = f"{stored.dtype.kind}64" if is_whole else "f64"
        arrays["stored"] = encoding, stored.astype(f"<{encoding[0]}8")
    for name, lines in (("row_numbers", scene.rows), ("column_numbers", scene.columns)):
        if lines is not None:
            arrays[name] = "u32", lines.numbers.astype("<u4")
    return arrays
