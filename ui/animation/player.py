"""The player: a film in the browser, which has every frame at hand and plays without a rerun."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from engine.animation import Frame
from engine.colour_maps import NAN_COLOUR, NEGINF_COLOUR, POSINF_COLOUR, colour_map
from engine.colour_scales import ColourScale
from ui.heatmap_canvas.message import encode_message

SPEEDS = (1, 2, 4, 8, 12, 24)
"""Frames a second on offer; film.js has the same."""

USUAL_SPEED = 4

_FOLDER = Path(__file__).parent
_CANVAS = _FOLDER.parent / "heatmap_canvas"
_SHARED = ("message.js", "tile.js", "geometry.js", "paint.js", "colour_bar.js")
"""From the heatmap's canvas: a frame is drawn like any heatmap, with the same colours, axes and bar."""

_OWN = ("film.js", "strip.js", "hands.js", "player.js")


def _read(*paths: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


_PLAYER = st.components.v2.component(
    "weightscope.player",
    html=_read(_FOLDER / "player.html"),
    css=_read(_CANVAS / "canvas.css", _FOLDER / "player.css"),
    js=_read(*(_CANVAS / name for name in _SHARED), *(_FOLDER / name for name in _OWN)),
)


@dataclass(frozen=True, eq=False)
class Film:
    """All that the player shows.

    Attributes:
        id: equal for equal frames, whatever their colours. title, facts: plain text.
        labels, ticks: of each frame, long and short. frames: their cells, at least one, none empty.
        scales: one for all frames, or one for each. name: the colour map.
        height: of the picture with its axes, in CSS pixels.
    """

    id: str
    title: str
    facts: str
    labels: Sequence[str]
    ticks: Sequence[str]
    frames: Sequence[Frame]
    scales: Sequence[ColourScale]
    name: str
    height: int = 480

    def scale(self, index: int) -> ColourScale:
        return self.scales[index if len(self.scales) > 1 else 0]


@dataclass(frozen=True)
class Shown:
    """Where the player rests: index of the frame, and frames a second. `is_told`: whether the player said so itself."""

    frame: int
    speed: int
    is_told: bool


def film_id(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def player(film: Film, *, key: str, start: Shown, on_open: Callable[[int], None]) -> Shown:
    """Draw the player.

    Args:
        film: what it shows. key: unique on the page. start: where a new film begins.
        on_open: called with the index of a frame that the person wants alone, before the next run.
    Returns: where it rests; heard a moment after the last change, and never while it plays.
    """

    def opened() -> None:
        asked = (st.session_state.get(key) or {}).get("open")
        index = _index(asked, film)
        if index is not None:
            on_open(index)

    told = (st.session_state.get(key) or {}).get("shown")
    index = _index(told, film)
    shown = start if index is None else Shown(index, _speed(told.get("speed"), start.speed), True)
    is_held = index is not None and told.get("holds") is True
    tiles = {} if is_held else {str(k): frame.grid for k, frame in enumerate(film.frames)}
    _PLAYER(
        key=key,
        data=encode_message(_header(film, shown), tiles),
        on_shown_change=_nothing,
        on_open_change=opened,
    )
    return shown


def _header(film: Film, shown: Shown) -> dict:
    grid = film.frames[0].grid
    return {
        "film": film.id,
        "title": film.title,
        "facts": film.facts,
        "labels": list(film.labels),
        "ticks": list(film.ticks),
        "std": [_number(frame.std) for frame in film.frames],
        "norm": [_number(frame.norm) for frame in film.frames],
        "matrix": [grid.row_stop - grid.row_start, grid.column_stop - grid.column_start],
        "frame": shown.frame,
        "speed": shown.speed,
        "height": film.height,
        "scale": film.scales[0].kind,
        "frame_knots": [scale.knots.tolist() for scale in film.scales],
        "colours": colour_map(film.name).colours.tobytes().hex(),
        "special_colours": [list(NAN_COLOUR), list(POSINF_COLOUR), list(NEGINF_COLOUR)],
    }


def _index(told: object, film: Film) -> int | None:
    """The frame that the browser names, if it speaks of this film; it comes from outside, so it is checked."""
    if not isinstance(told, dict) or told.get("film") != film.id:
        return None
    frame = told.get("frame")
    is_there = isinstance(frame, int | float) and math.isfinite(frame) and 0 <= frame < len(film.frames)
    return int(frame) if is_there else None


def _speed(raw: object, otherwise: int) -> int:
    return int(raw) if raw in SPEEDS else otherwise


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _nothing() -> None:
    """Streamlit returns a state key only where a callback is given for it."""
