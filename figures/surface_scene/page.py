"""A scene as one HTML file that opens anywhere: no server, no internet, no library."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import zlib
from dataclasses import replace

from engine.heatmaps import Grid
from engine.surfaces import coarser
from figures.surface_scene import SurfaceScene, scene_script, scene_text
from figures.surface_scene.message import encode_scene

MOST_CELLS = 1 << 20
"""Cells a page holds at most; a finer grid is pooled by the signed extreme. Ours: a page stays under `MOST_BYTES`."""

MOST_BYTES = 6 << 20
"""Of a page: a million float32, hardly compressible, in base64, and the scripts."""

HEIGHT = 640
"""Of the picture, in CSS pixels, before the page fits it to its window."""


def exported_grid(grid: Grid) -> Grid:
    """The grid that a page of it holds."""
    return coarser(grid, MOST_CELLS)


def surface_page(scene: SurfaceScene) -> bytes:
    """The scene as HTML: it draws, turns and names its cells by itself, in light and dark.

    Names come from checkpoints, so they are escaped in the page's title and otherwise travel inside the base64 data; a
    content security policy forbids every request and every script but this one.

    Returns: UTF-8, at most `MOST_BYTES` (with a name of at most some kilobytes).
    """
    grid = exported_grid(scene.grid)
    also = {"grid_id": "page", "camera_token": "", "selected": None, "height": HEIGHT}
    data = base64.b64encode(zlib.compress(encode_scene(replace(scene, grid=grid), also), 6)).decode("ascii")
    script = f"{scene_script()}\n{scene_text('page.js')}"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:"
    title = html.escape(" · ".join(filter(None, [scene.label.name, scene.label.source, "Weightscope"])))
    parts = {
        "policy": policy,
        "title": title,
        "style": scene_text("scene.css") + scene_text("page.css"),
        "scene": scene_text("scene.html"),
        "data": data,
        "script": script,
    }
    # In one pass: a name with "@data@" in it stays a name.
    return re.sub("@([a-z]+)@", lambda found: parts[found[1]], scene_text("page.html")).encode()
