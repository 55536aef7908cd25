"""The panorama's canvas: what the server sends it, and what comes back.

A message is little-endian: uint32 length of the header; the header, UTF-8 JSON padded with spaces to an even end; then
the cells of all tiles, uint16: numbers of colours (`engine.tile_colours.cell_numbers`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from engine.colour_maps import NAN_COLOUR, NEGINF_COLOUR, POSINF_COLOUR, colour_map
from engine.colour_scales import ColourScale
from engine.panorama import Panorama
from engine.tile_colours import cell_numbers

_FOLDER = Path(__file__).parent
_SCRIPTS = ("message.js", "tiles.js", "window.js", "drawing.js", "moves.js", "panorama.js")


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


_CANVAS = st.components.v2.component(
    "weightscope.panorama",
    html=_read("panorama.html"),
    css=_read("panorama.css"),
    js="\n".join(_read(name) for name in _SCRIPTS),
)


@dataclass(frozen=True, eq=False)
class Scene:
    """All that the canvas shows.

    Attributes:
        layout: where the tiles lie.
        names, facts, notes: of each tensor: its name; shape and type; the words about its value. Plain text.
        grids: the cells of each tile, or a single number; None where there is nothing to draw.
        scales: how numbers become colours, one for each tile. name: the colour map.
        marks: short text inside each tile, where it has room; "" for none.
        row_marks: short text at the right end of each row.
        is_dim: whether a tile lies outside the filters.
        selected: index of the tensor that every page looks at; None if it is none of these.
        bar: numbers along the colour bar, from low to high, as text; bar_title: what they are.
        are_values: whether a tile is one number: NaN is then "undefined", and hatched.
    """

    layout: Panorama
    names: Sequence[str]
    facts: Sequence[str]
    notes: Sequence[str]
    grids: Sequence[np.ndarray | None]
    scales: Sequence[ColourScale]
    name: str
    marks: Sequence[str]
    row_marks: Sequence[str]
    is_dim: Sequence[bool]
    selected: int | None
    bar: Sequence[str]
    bar_title: str
    are_values: bool


def panorama_canvas(scene: Scene, *, key: str, on_open: Callable[[str], None]) -> None:
    """Draw the scene; a click on a tile, or Enter, calls `on_open` with that tensor's name before the next run."""

    def opened() -> None:
        name = (st.session_state.get(key) or {}).get("open")
        if name in scene.names:  # it comes from outside
            on_open(name)

    _CANVAS(key=key, data=encoded(scene), on_open_change=opened)


def encoded(scene: Scene) -> bytes:
    """The scene as one message."""
    grids, cells = [], []
    offset = 0
    for grid, scale in zip(scene.grids, scene.scales, strict=True):
        if grid is None or grid.size == 0:
            grids.append(None)
            continue
        grids.append([*grid.shape, offset])
        cells.append(cell_numbers(grid, scale).ravel())
        offset += grid.size
    text = json.dumps(_header(scene, grids), allow_nan=False).encode()
    text += b" " * (len(text) % 2)
    data = np.concatenate(cells).astype("<u2") if cells else np.zeros(0, "<u2")
    return struct.pack("<I", len(text)) + text + data.tobytes()


def _header(scene: Scene, grids: list) -> dict:
    layout = scene.layout
    return {
        "size": [layout.width, layout.height],
        "tiles": [_rounded(tile.x, tile.y, tile.width, tile.height) for tile in layout.tiles],
        "rows": [[row.label, row.title, *_rounded(row.y, row.height)] for row in layout.rows],
        "columns": [[column.stack, column.layer, *_rounded(column.x, column.width)] for column in layout.columns],
        "captions": [[c.text, *_rounded(c.x, c.y, c.width, c.height)] for c in layout.captions],
        "names": list(scene.names),
        "facts": list(scene.facts),
        "notes": list(scene.notes),
        "marks": list(scene.marks),
        "row_marks": list(scene.row_marks),
        "dim": [i for i, is_dim in enumerate(scene.is_dim) if is_dim],
        "selected": scene.selected,
        "grids": grids,
        "are_values": scene.are_values,
        "is_signed": bool(scene.scales) and scene.scales[0].limits.is_signed,
        "colours": colour_map(scene.name).colours.tobytes().hex(),
        "special_colours": [list(NAN_COLOUR), list(POSINF_COLOUR), list(NEGINF_COLOUR)],
        "bar": list(scene.bar),
        "bar_title": scene.bar_title,
    }


def _rounded(*numbers: float) -> list[float]:
    return [round(number, 5) for number in numbers]
