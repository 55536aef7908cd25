"""A mosaic: many small pictures of one kind, in rows and columns, that can be hovered and chosen.

It draws all of the attention look: heads by layer as single cells, a layer's heads as small matrices, attention maps of
every head, and one map with a token on each side.

A message is little-endian: uint32 length of the header; the header, UTF-8 JSON padded with spaces so that data begin at
a multiple of 4; the cells of all tiles as float32, then the numbers of their colours as uint16.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from engine.colour_maps import NAN_COLOUR, NEGINF_COLOUR, POSINF_COLOUR, colour_map
from engine.colour_scales import ColourScale
from engine.tile_colours import cell_numbers

_FOLDER = Path(__file__).parent
_SCRIPTS = ("message.js", "layout.js", "pictures.js", "paint.js", "mosaic.js")


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


_CANVAS = st.components.v2.component(
    "weightscope.mosaic",
    html=_read("mosaic.html"),
    css=_read("mosaic.css"),
    js="\n".join(_read(name) for name in _SCRIPTS),
)


@dataclass(frozen=True)
class Frame:
    """How tiles are laid out. Lengths in CSS pixels.

    Attributes:
        columns: tiles in a row; None for as many as have room, each about `tile_width`.
        aspect: width over height of a tile. largest: width of a tile at most. max_height: of all rows together.
        gap: between tiles.
    """

    columns: int | None = None
    tile_width: float = 120.0
    aspect: float = 1.0
    largest: float = 1000.0
    max_height: float = 560.0
    gap: float = 2.0


@dataclass(frozen=True, eq=False)
class Mosaic:
    """All that is shown.

    Attributes:
        tiles: (count, height, width) numbers; NaN and ±Inf in their own colours.
        scale, colours: how numbers become colours, and the colour map's name.
        frame: the layout. label: what it is, for those who do not see it.
        titles, notes: of each tile, for the card under the pointer; without titles it reads "row `pair` column".
        captions: above each tile; () for none.
        row_labels, column_labels: beside and above the tiles, as many as there are rows and columns; () for none.
        row_words, column_words: the same for the card; the labels where left out.
        row_title, column_title: what rows and columns are.
        cell_rows, cell_columns: words for the rows and columns of cells in a tile; () for none.
        value_kind: how the card writes a cell: "number" (exact), "share" (percent), or "" for not at all.
        bar: texts along the colour bar from its low to its high end; () for no bar. bar_title: what colours mean.
        bar_span: the part of the scale that the bar shows, in [0, 1].
        selected: the marked tile.
        is_undefined_empty: whether NaN means "no such number", and is drawn as an empty box.
    """

    tiles: np.ndarray
    scale: ColourScale
    colours: str
    frame: Frame
    label: str
    titles: Sequence[str] = ()
    notes: Sequence[str] = ()
    captions: Sequence[str] = ()
    row_labels: Sequence[str] = ()
    column_labels: Sequence[str] = ()
    row_words: Sequence[str] = ()
    column_words: Sequence[str] = ()
    row_title: str = ""
    column_title: str = ""
    pair: str = "→"
    cell_rows: Sequence[str] = ()
    cell_columns: Sequence[str] = ()
    value_kind: str = ""
    bar: Sequence[str] = ()
    bar_title: str = ""
    bar_span: tuple[float, float] = (0.0, 1.0)
    selected: int | None = None
    is_undefined_empty: bool = False


def mosaic(picture: Mosaic, *, key: str, on_choose: Callable[[int], None] | None = None) -> None:
    """Draw it. A click on a tile, or Enter, calls `on_choose` with the tile's index before the next run."""
    identity = _identity(picture)

    def chosen() -> None:
        asked = (st.session_state.get(key) or {}).get("chosen")  # it comes from outside
        if not isinstance(asked, dict) or asked.get("scene") != identity or on_choose is None:
            return
        index = asked.get("index")
        if type(index) is int and 0 <= index < len(picture.tiles):
            on_choose(index)

    _CANVAS(
        key=key,
        data=encoded(picture, identity, is_clickable=on_choose is not None),
        on_chosen_change=chosen,
    )


def encoded(picture: Mosaic, identity: str = "", *, is_clickable: bool = False) -> bytes:
    """The mosaic as one message."""
    tiles = np.ascontiguousarray(picture.tiles, "<f4")
    frame = picture.frame
    header = {
        "id": identity,
        "label": picture.label,
        "count": tiles.shape[0],
        "tile": list(tiles.shape[1:]),
        "columns": frame.columns,
        "tile_width": frame.tile_width,
        "aspect": frame.aspect,
        "largest": frame.largest,
        "max_height": frame.max_height,
        "gap": frame.gap,
        "titles": list(picture.titles),
        "notes": list(picture.notes),
        "captions": list(picture.captions),
        "row_labels": list(picture.row_labels),
        "column_labels": list(picture.column_labels),
        "row_words": list(picture.row_words or picture.row_labels),
        "column_words": list(picture.column_words or picture.column_labels),
        "row_title": picture.row_title,
        "column_title": picture.column_title,
        "pair": picture.pair,
        "cell_rows": list(picture.cell_rows),
        "cell_columns": list(picture.cell_columns),
        "value_kind": picture.value_kind,
        "bar": list(picture.bar),
        "bar_title": picture.bar_title,
        "bar_span": [256 * share for share in picture.bar_span],
        "selected": picture.selected,
        "is_undefined_empty": picture.is_undefined_empty,
        "is_clickable": is_clickable,
        "colours": colour_map(picture.colours).colours.tobytes().hex(),
        "special_colours": [list(NAN_COLOUR), list(POSINF_COLOUR), list(NEGINF_COLOUR)],
    }
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % 4)
    numbers = cell_numbers(tiles, picture.scale).astype("<u2")
    return struct.pack("<I", len(text)) + text + tiles.tobytes() + numbers.tobytes()


def _identity(picture: Mosaic) -> str:
    """What a click belongs to: one that was meant for an earlier picture with other tiles does nothing."""
    parts = (picture.label, str(picture.tiles.shape), "\0".join(picture.titles))
    return hashlib.sha256("\1".join(parts).encode()).hexdigest()[:16]
