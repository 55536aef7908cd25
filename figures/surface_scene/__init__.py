"""A tensor in three dimensions: what the browser is told, and the scripts that draw it.

The scripts beside this file draw with WebGL2 and no library, from one message (`message.py`). Both the app's canvas and
the exported page (`page.py`) are made of them, so that they show the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.colour_maps import NAN_COLOUR, NEGINF_COLOUR, POSINF_COLOUR, colour_map
from engine.colour_scales import ColourScale
from engine.heatmaps import Grid
from engine.surfaces import INFINITE_HEIGHT, ground
from figures.surface_scene.camera import Camera

SHAPES = ("surface", "points", "bars")

MOST_BARS = 1 << 16
"""Bars drawn at most; of a finer grid, each stands for the signed extreme of some cells. Ours: a bar is 18 vertices."""

SCRIPTS = (
    "message.js",
    "colours.js",
    "levels.js",
    "fineness.js",
    "camera.js",
    "shaders.js",
    "renderer.js",
    "furniture.js",
    "labels.js",
    "picking.js",
    "gestures.js",
    "picture.js",
    "scene.js",
)
"""Joined in this order; every name they define is one name in one module."""

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Label:
    """What is shown. `name`, `dtype` and `shape` of the tensor; `source`: of which model it is."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: str = ""


@dataclass(frozen=True, eq=False)
class Lines:
    """Rows or columns that are not in the order of the file.

    Attributes:
        numbers: (n,) the number, in the file, of each line that the grid covers.
        title: how they are sorted ("by norm").
    """

    numbers: np.ndarray
    title: str


@dataclass(frozen=True, slots=True)
class Style:
    """How it is drawn.

    Attributes:
        shape: one of `SHAPES`. is_wireframe: whether lines along rows and columns lie on the surface.
        is_rotating: whether it turns by itself. exaggeration: of the heights; 1 as they are by default.
    """

    shape: str = "surface"
    is_wireframe: bool = False
    is_rotating: bool = False
    exaggeration: float = 1.0


@dataclass(frozen=True, eq=False)
class SurfaceScene:
    """All of a picture in three dimensions.

    Attributes:
        grid: the numbers. label: of what. heights: from `engine.surfaces.height_scale`. colours, colour_map: which
            number has which colour, as in the heatmap. style: how it is drawn. camera: from where it is seen; None for
            all of it, from the usual side. rows, columns: their order; None as in the file.
    """

    grid: Grid
    label: Label
    heights: ColourScale
    colours: ColourScale
    colour_map: str
    style: Style = field(default_factory=Style)
    camera: Camera | None = None
    rows: Lines | None = None
    columns: Lines | None = None


def scene_header(scene: SurfaceScene) -> dict:
    """The scene without its numbers, as JSON can hold it."""
    grid, label, style = scene.grid, scene.label, scene.style
    rows, columns = grid.values.shape
    return {
        "name": label.name,
        "dtype": label.dtype,
        "shape": list(label.shape),
        "source": label.source,
        "cells": [rows, columns],
        "rows": [grid.row_start, grid.row_stop, grid.row_step],
        "columns": [grid.column_start, grid.column_stop, grid.column_step],
        "sorted": [lines.title if lines else "" for lines in (scene.rows, scene.columns)],
        "ground": list(ground(grid)),
        "heights": {
            "kind": scene.heights.kind,
            "is_signed": scene.heights.limits.is_signed,
            "infinite": INFINITE_HEIGHT,
        }
        | {"knots": scene.heights.knots.tolist()},
        "scale": scene.colours.kind,
        "knots": scene.colours.knots.tolist(),
        "colours": colour_map(scene.colour_map).colours.tobytes().hex(),
        "special_colours": [list(NAN_COLOUR), list(POSINF_COLOUR), list(NEGINF_COLOUR)],
        "style": {"shape": style.shape, "wireframe": style.is_wireframe, "rotate": style.is_rotating}
        | {"exaggeration": style.exaggeration, "most_bars": MOST_BARS},
        "camera": scene.camera and scene.camera.numbers,
    }


def scene_text(name: str) -> str:
    """One of the scene's own files: "scene.html", "scene.css"."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def scene_script() -> str:
    """All scripts of the scene, joined; plain top-level classes and functions, nothing exported."""
    return "\n".join(scene_text(name) for name in SCRIPTS)
