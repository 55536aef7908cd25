"""What the server sends the canvas: one message of bytes with a header, up to two tiles, and named lists of numbers.

Layout, little-endian: uint32 length of the header; the header, UTF-8 JSON padded with spaces so that data begin at a
multiple of 8; the arrays, each padded to 8 bytes. The header's `tiles` say where each array begins and how it is
encoded. Values travel as "f32", or as "hi16" (the upper halves of their float32) where that loses nothing, which halves
bfloat16, 8-bit and small-integer tensors. Types with more digits also send their stored values, for the tooltip, as
"f64", "i64" or "u64". The header's `lists` say the same of one-dimensional arrays, which travel as "f32" or "i32".
"""

from __future__ import annotations

import json
import struct

import numpy as np

from engine.heatmaps import Grid

ALIGNMENT = 8


def encode_message(header: dict, tiles: dict[str, Grid], lists: dict[str, np.ndarray] | None = None) -> bytes:
    """Pack a header, its tiles and its lists.

    Args:
        header: what JSON can hold. tiles: id -> grid; the browser keeps tiles by id and draws the finest on top.
        lists: name -> (n,) numbers; whole ones, below 2³¹, as "i32", all others as "f32".
    Returns: the message; its header is `header` plus "tiles" and "lists".
    """
    arrays: list[bytes] = []
    described = []
    offset = 0

    def place(array: np.ndarray) -> int:
        nonlocal offset
        start, data = offset, _padded(array.tobytes(), b"\0")
        arrays.append(data)
        offset += len(data)
        return start

    for name, grid in tiles.items():
        encoding, values = _values(grid.values)
        tile = {
            "id": name,
            "rows": [grid.row_start, grid.row_stop, grid.row_step],
            "columns": [grid.column_start, grid.column_stop, grid.column_step],
            "shape": list(grid.values.shape),
            "values": [encoding, place(values)],
        }
        if grid.stored is not None:
            encoding, stored = _stored(grid.stored)
            tile["stored"] = [encoding, place(stored)]
        described.append(tile)
    listed = {}
    for name, numbers in (lists or {}).items():
        is_whole = numbers.dtype.kind == "i"
        listed[name] = ["i32" if is_whole else "f32", place(numbers.astype("<i4" if is_whole else "<f4")), numbers.size]
    text = json.dumps({**header, "tiles": described, "lists": listed}, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % ALIGNMENT)
    return b"".join([struct.pack("<I", len(text)), text, *arrays])


def _values(values: np.ndarray) -> tuple[str, np.ndarray]:
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    if not (bits & 0xFFFF).any():
        return "hi16", (bits >> 16).astype("<u2")
    return "f32", bits


def _stored(stored: np.ndarray) -> tuple[str, np.ndarray]:
    if stored.dtype.kind == "f" or stored.dtype.itemsize < 8:
        return "f64", stored.astype("<f8")
    return ("i64", stored.astype("<i8")) if stored.dtype.kind == "i" else ("u64", stored.astype("<u8"))


def _padded(data: bytes, fill: bytes) -> bytes:
    return data + fill * (-len(data) % ALIGNMENT)
