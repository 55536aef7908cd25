"""The whole model as a city: the panorama laid flat, every tensor a block, raised and coloured by a number of its own.

Layers run along one axis, roles across; what lies outside the layers stands before and behind them. The plan is that of
`engine.panorama`, so a block stands where its tile lies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pydeck as pdk

from engine.panorama import Panorama, Tile

MOST_HEIGHT = 3.0
"""Of a block, in ordinary tiles; chosen by us: a skyline, and no block hides those behind it for long."""

LEAST_HEIGHT = 0.03
"""A block without a height is a slab that can still be seen and clicked."""

APART = 0.1
"""Street between two blocks, in ordinary tiles; narrow blocks leave a tenth of their width."""

LABEL_ROOM = 3.0
"""Between the layers and what stands before them: for the names of the roles, in ordinary tiles."""

MOST_SIGNS = 40
"""Blocks outside the layers up to which each has its name above it."""

BLOCKS = "blocks"
"""The layer whose objects can be selected; each has a `tensor`."""

CAMERAS: dict[str, tuple[float, float]] = {
    "from the corner": (32.0, -28.0),
    "from the front": (30.0, 0.0),
    "from the side": (30.0, -90.0),
    "from above": (90.0, 0.0),
}
"""Where the city is seen from: (degrees above the horizon, degrees about the vertical axis)."""

EDGES = {True: [98, 112, 128, 255], False: [108, 122, 137, 255]}
"""Edges of blocks on a dark page and on a light one: one in a map's neutral colour is seen there, too."""

PIN = [255, 94, 58]
"""Over the selected block, seen through all others: an orange that no colour map has."""

UNDEFINED = {True: (70, 80, 92), False: (200, 206, 213)}
"""The colour of a block whose number is undefined, on a dark page and on a light one."""


@dataclass(frozen=True, eq=False)
class City:
    """What the blocks show.

    Attributes:
        layout: where they stand. names, facts: of each tensor: its name; role, shape and type in a line.
        heights: (n,) in [0, 1], the share of the greatest height; NaN for none. are_cut: those that reach beyond it.
        colours: (n, 3) uint8. are_coloured: (n,) bool, False where the number is undefined.
        height_words, colour_words: of each tensor, for the tooltip. shown: indices of the tensors that stand there.
        selected: index of the marked one, or None.
    """

    layout: Panorama
    names: Sequence[str]
    facts: Sequence[str]
    heights: np.ndarray
    are_cut: np.ndarray
    colours: np.ndarray
    are_coloured: np.ndarray
    height_words: Sequence[str]
    colour_words: Sequence[str]
    shown: Sequence[int]
    selected: int | None = None


def model_deck(city: City, *, camera: str = "from the corner", is_dark: bool = False, pixels: int = 900) -> pdk.Deck:
    """The city as a deck to turn, zoom and click; needs no map and nothing from the internet.

    Args:
        camera: a key of `CAMERAS`. is_dark: letters and ground for a dark page. pixels: about the width it will have.
    """
    city = replace(city, layout=_with_room(city.layout))
    blocks = [_block(city, i, is_dark) for i in city.shown]
    layers = [
        _ground(city.layout, is_dark),
        _buildings(blocks, is_dark),
        *_labels(city, is_dark),
        *_marks(city, is_dark),
    ]
    pitch, turn = CAMERAS[camera]
    left = min((tile.x for tile in city.layout.tiles), default=0.0)
    width, depth = city.layout.width - left, city.layout.height
    return pdk.Deck(
        layers=layers,
        views=[pdk.View(type="OrbitView", controller=True, fovy=28)],
        initial_view_state=pdk.ViewState(
            target=[left + width / 2, -depth / 2, 0.3],
            rotation_x=pitch,
            rotation_orbit=turn,
            zoom=_zoom(width, depth, turn, pixels),
            min_zoom=-2,
            max_zoom=12,
        ),
        map_provider=None,
        parameters={"cull": False},
        tooltip={
            "text": "{tensor}\n{facts}\n{height}\n{colour}",
            "style": {
                "backgroundColor": "#1a212a" if is_dark else "#ffffff",
                "color": "#e2e8ee" if is_dark else "#1c2733",
                "border": f"1px solid {'#303a45' if is_dark else '#d9e0e6'}",
                "borderRadius": "6px",
                "padding": "7px 11px 8px",
                "fontSize": "13px",
                "maxWidth": "460px",
                "whiteSpace": "pre-line",
                "overflowWrap": "anywhere",
                "boxShadow": "0 4px 14px rgb(0 0 0 / 0.22)",
            },
        },
    )


def _with_room(layout: Panorama) -> Panorama:
    """The same plan with room for the names of the roles: what stands before the layers moves away from them."""
    if not layout.rows:
        return layout
    start = layout.columns[0].x
    return replace(
        layout,
        tiles=tuple(replace(t, x=t.x - LABEL_ROOM) if t.x < start - 1e-6 else t for t in layout.tiles),
        captions=tuple(replace(c, x=c.x - LABEL_ROOM) if c.x < start - 1e-6 else c for c in layout.captions),
    )


def _zoom(width: float, depth: float, turn: float, pixels: int) -> float:
    """The power of two at which the city fits into the picture, seen from that side.

    A street that runs away from the viewer counts three quarters: nearer houses look larger, and the eye must not
    stand in it.
    """
    along, aside = abs(math.cos(math.radians(turn))), abs(math.sin(math.radians(turn)))
    across, away = width * along + depth * aside + 0.5, width * aside + depth * along
    return math.log2(min(0.88 * pixels / max(across, 0.75 * away), 150.0, 820.0 / (depth + MOST_HEIGHT)))


def _block(city: City, index: int, is_dark: bool) -> dict:
    height = city.heights[index]
    colour = city.colours[index] if city.are_coloured[index] else UNDEFINED[is_dark]
    return {
        "plan": _plan(city.layout.tiles[index]),
        "high": LEAST_HEIGHT if np.isnan(height) else round(max(LEAST_HEIGHT, float(height) * MOST_HEIGHT), 4),
        "fill": [int(channel) for channel in colour],
        "tensor": city.names[index],
        "facts": city.facts[index],
        "height": city.height_words[index],
        "colour": city.colour_words[index],
    }


def _plan(tile: Tile) -> list[list[float]]:
    """The corners of a block, a street away from its neighbours; roles run towards the viewer, so y is turned."""
    street_x, street_y = (min(APART, 0.1 * extent) / 2 for extent in (tile.width, tile.height))
    left, right = tile.x + street_x, tile.x + tile.width - street_x
    far, near = -tile.y - street_y, -tile.y - tile.height + street_y
    return [[round(x, 4), round(y, 4)] for x, y in ((left, far), (right, far), (right, near), (left, near))]


def _buildings(blocks: list[dict], is_dark: bool) -> pdk.Layer:
    """The blocks. Here and below, colours are given to inner layers, so that Streamlit fades none on a selection."""
    return pdk.Layer(
        "PolygonLayer",
        blocks,
        id=BLOCKS,
        get_polygon="plan",
        get_elevation="high",
        _sub_layer_props={"fill": {"getFillColor": "@@=fill", "getLineColor": EDGES[is_dark]}},
        extruded=True,
        wireframe=True,
        filled=True,
        stroked=False,
        pickable=True,
        auto_highlight=True,
        highlight_color=[255, 255, 255, 90],
        material={"ambient": 0.62, "diffuse": 0.5, "shininess": 24, "specularColor": [40, 44, 50]},
    )


def _ground(layout: Panorama, is_dark: bool) -> pdk.Layer:
    """A plate beneath the layers of each stack, so that the streets read as one district."""
    margin, plates = 0.18, []
    stacks = {column.stack: None for column in layout.columns}
    for stack in stacks:
        columns = [column for column in layout.columns if column.stack == stack]
        left, right = columns[0].x - margin, columns[-1].x + columns[-1].width + margin
        far, near = margin, -max(row.y + row.height for row in layout.rows) - margin
        plates.append({"plan": [[left, far, -0.02], [right, far, -0.02], [right, near, -0.02], [left, near, -0.02]]})
    return pdk.Layer(
        "PolygonLayer",
        plates,
        id="ground",
        get_polygon="plan",
        _sub_layer_props={"fill": {"getFillColor": [38, 47, 58] if is_dark else [233, 237, 241]}},
        extruded=False,
        stroked=False,
        pickable=False,
    )


def _labels(city: City, is_dark: bool) -> list[pdk.Layer]:
    """Roles at the left end of their street, layer numbers in front, names above what stands outside the layers."""
    layout = city.layout
    layers = []
    if layout.rows:
        start = layout.columns[0].x - 0.3
        titles = [
            {"at": [start, -row.y - row.height / 2, 0], "words": row.title}
            for row in layout.rows
            if row.label == row.title
        ]
        layers.append(_text("roles", titles, is_dark, 12, "end"))
        step = _step(len(layout.columns))
        near = -max(row.y + row.height for row in layout.rows) - 0.45
        numbers = [
            {"at": [column.x + column.width / 2, near, 0], "words": f"{column.stack} {column.layer}".strip()}
            for k, column in enumerate(layout.columns)
            if k % step == 0 or (column.stack and column.layer == 0)
        ]
        layers.append(_text("layers", numbers, is_dark, 12, "middle"))
    below = {(round(tile.x, 4), round(tile.y, 4)): i for i, tile in enumerate(layout.tiles)}
    roofs = [(below[round(c.x, 4), round(c.y + c.height, 4)], c.text) for c in layout.captions]
    signs = [{"at": _roof(city, i, 0.45), "words": text} for i, text in roofs if i in city.shown]
    if 0 < len(signs) <= MOST_SIGNS:
        layers.append(_text("signs", signs, is_dark, 11, "middle"))
    return layers


def _marks(city: City, is_dark: bool) -> list[pdk.Layer]:
    """An arrow over every block that is taller than shown, and a pin over the selected one."""
    layers = []
    cut = [{"at": _roof(city, i), "words": "▲"} for i in city.shown if city.are_cut[i]]
    if cut:
        layers.append(_letters("cut", cut, [147, 158, 169], 9))
    if city.selected in city.shown:
        pin = [{"at": _roof(city, city.selected, 0.5), "words": "▼"}]
        layers.append(_letters("pin", pin, PIN, 26, parameters={"depthCompare": "always"}))
    return layers


def _roof(city: City, index: int, above: float = 0.18) -> list[float]:
    tile, height = city.layout.tiles[index], city.heights[index]
    top = (0.0 if np.isnan(height) else float(height)) * MOST_HEIGHT
    return [tile.x + tile.width / 2, -tile.y - tile.height / 2, top + above]


def _text(name: str, data: list[dict], is_dark: bool, size: int, anchor: str) -> pdk.Layer:
    """Words that always face the viewer, on a little paper so that they can be read above blocks."""
    paper = [15, 20, 26, 150] if is_dark else [255, 255, 255, 150]
    return _letters(
        name,
        data,
        [226, 232, 238] if is_dark else [28, 39, 51],
        size,
        get_text_anchor=pdk.types.String(anchor),
        paper=paper,
    )


def _letters(
    name: str, data: list[dict], colour: list[int], size: int, *, paper: list[int] | None = None, **options
) -> pdk.Layer:
    return pdk.Layer(
        "TextLayer",
        data,
        id=name,
        get_position="at",
        get_text="words",
        _sub_layer_props={
            "characters": {"getColor": [*colour, 255]},
            "background": {"getFillColor": paper or [0, 0, 0, 0]},
        },
        background=paper is not None,
        background_padding=[4, 2],
        get_size=size,
        size_units=pdk.types.String("pixels"),
        get_alignment_baseline=pdk.types.String("center"),
        font_family=pdk.types.String("sans-serif"),
        character_set=pdk.types.String("auto"),
        pickable=False,
        **options,
    )


def _step(count: int) -> int:
    """Every layer has its number up to 32 of them, then every second, fourth, …"""
    step = 1
    while count > 32 * step:
        step *= 2
    return step
