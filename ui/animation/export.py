"""The film as a file: animated WebP or GIF, rendered when the button is pressed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import streamlit as st
from PIL import Image

from engine.errors import WeightscopeError
from figures.animations import animated_gif, animated_webp, check_size
from figures.pictures import PictureFrame, heatmap_picture, plot_size
from ui.animation.player import SPEEDS, USUAL_SPEED, Film
from ui.export_panel import DARK, LIGHT, PAGE, download, suited_name
from ui.page import show_error
from ui.selection import Selection
from workflows.view_export import safe_name, source_line

WIDTHS = (480, 720, 960, 1200)
"""Pixels on offer: a message, a page, a slide."""


def export_film(selection: Selection, film: Film, speed: int) -> None:
    """A popover with the choices and the two downloads. `speed`: frames a second as in the player; 0 for the usual."""
    with st.popover("Export this animation", icon=":material/download:"):
        size_column, theme_column, speed_column = st.columns(3)
        sizes = {f"{width} px": width for width in WIDTHS}
        size = size_column.selectbox("Width", list(sizes), index=1, key="film_width", bind="query-params")
        theme = theme_column.selectbox("Paper", [PAGE, LIGHT, DARK], key="export_theme", bind="query-params")
        now = speed or USUAL_SPEED
        fast = speed_column.selectbox("Frames a second", SPEEDS, index=SPEEDS.index(now), key=f"film_speed_{now}")
        is_dark = st.context.theme.type == "dark" if theme in (None, PAGE) else theme == DARK
        frame = PictureFrame(film.title, " ", source_line(selection.location), sizes.get(size, 720), is_dark=is_dark)
        try:
            check_size(len(film.frames), frame.width, film_height(film, frame))
        except WeightscopeError as error:
            show_error(error)
            return
        name = suited_name(film.name, film.scales[0].limits.is_signed, is_dark)
        stem = f"{selection.location.name}.{film.title}.{len(film.frames)}-frames"
        webp, gif = st.columns(2)
        with webp:
            make = _maker(film, frame, name, animated_webp, fast)
            download("WebP", make, safe_name(stem, "webp"), "image/webp", key="film-webp", help="Exact colours.")
        with gif:
            make = _maker(film, frame, name, animated_gif, fast)
            words = "Shown by every program; 256 colours for all frames."
            download("GIF", make, safe_name(stem, "gif"), "image/gif", key="film-gif", help=words)
        st.caption("One colour bar, one layout, the frame's name under the title.")


def film_pictures(film: Film, frame: PictureFrame, name: str) -> list[Image.Image]:
    """Every frame as a picture of one size, its label as subtitle. `name`: the colour map."""
    whole = np.concatenate([each.grid.values.ravel() for each in film.frames])
    return [
        heatmap_picture(each.grid, film.scale(k), name, replace(frame, subtitle=label), whole=whole)
        for k, (each, label) in enumerate(zip(film.frames, film.labels, strict=True))
    ]


def film_height(film: Film, frame: PictureFrame) -> int:
    """At least as high as the pictures will be, without drawing any."""
    grid = film.frames[0].grid
    plot = plot_size(grid.row_stop - grid.row_start, grid.column_stop - grid.column_start, frame)
    return max(plot[0], grid.values.shape[0]) + frame.pixels(200)


def _maker(film: Film, frame: PictureFrame, name: str, write: Callable, speed: int | None) -> Callable[[], bytes]:
    return lambda: write(film_pictures(film, frame, name), speed or USUAL_SPEED)
