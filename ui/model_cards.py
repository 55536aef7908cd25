"""A model at a glance: its picture, its size, its status, and the way to its heatmap."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.heatmaps import thumbnail
from engine.naming import place
from engine.sources.hub_access import is_hub_uri
from figures.thumbnails import model_strip, shared_limit, tensor_picture
from storage.records import Location
from ui.job_panel import job_of, job_panel, start_job
from ui.model_actions import see_button
from ui.page import escape_markdown, store, user_errors
from ui.selection import open_location
from workflows import library
from workflows.wording import bytes_text, count_text

LIVE_LIMIT_BYTES = 512 * 1000**2
"""Checkpoints up to this size get their picture without being measured first: pooling takes well under a second."""

MOST_CARDS = 9

SHOWN_TENSOR = "model.embed_tokens.weight"
SHOWN_TENSOR_WORDS = "The same token embedding"

_STATUS_BADGES = {
    "new": ("not measured", "gray", ":material/radio_button_unchecked:"),
    "measured": ("measured", "green", ":material/straighten:"),
    "changed": ("changed since", "orange", ":material/change_circle:"),
    "missing": ("file missing", "red", ":material/error:"),
}


def status_badge(status: str) -> None:
    """Where a model stands, as a small coloured badge."""
    text, colour, icon = _STATUS_BADGES[status]
    st.badge(text, color=colour, icon=icon)


def strip(location: Location, status: str) -> None:
    """The whole model as one small picture, one tile a matrix; drawn from storage, or at once for a small new model."""
    if status == "missing":
        return
    if status == "measured":
        picture = _stored_strip(location.content_hash)
    elif location.num_bytes <= LIVE_LIMIT_BYTES and not is_hub_uri(location.uri):  # a picture is not worth a download
        picture = _live_strip(location.uri, location.fingerprint, location)
    else:
        st.caption("Measure it to see its picture.")
        return
    if picture is not None:
        st.image(picture, width="stretch")


@st.cache_data(max_entries=64, show_spinner=False)
def _stored_strip(content_hash: str) -> bytes | None:
    return _strip_picture(store().thumbnails(content_hash))


@st.cache_data(max_entries=64, show_spinner="Drawing thumbnails (the first time compiles the kernels, some seconds) …")
def _live_strip(uri: str, fingerprint: str, _location: Location) -> bytes | None:
    source = open_location(_location)
    matrices = [info for info in source.infos() if len(info.shape) > 1 and info.num_elements]
    return _strip_picture({info.name: thumbnail(source, info) for info in matrices})


def _strip_picture(thumbnails: dict[str, np.ndarray]) -> bytes | None:
    tiles = [(place(name), values) for name, values in thumbnails.items() if min(values.shape) > 1]
    return model_strip(tiles) if tiles else None


def model_cards() -> None:
    """The known models as cards, at most `MOST_CARDS`; the Zoo has them all."""
    known = library.locations(store())
    if not known:
        st.info(
            "There is no model here yet. Add one in the Zoo: a path, an upload, or a folder to scan.",
            icon=":material/search:",
        )
        return
    for first in range(0, min(len(known), MOST_CARDS), 3):
        for column, location in zip(st.columns(3), known[first : first + 3], strict=False):
            with column, user_errors():
                _card(location)
    if len(known) > MOST_CARDS:
        st.page_link("pages/1_Zoo.py", label=f"All {len(known)} models", icon=":material/inventory_2:")


def _card(location: Location) -> None:
    status = library.status(location)
    job = job_of("extract", model=location.uri)
    is_busy = job is not None and job.is_active
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{escape_markdown(location.name)}**")
            status_badge(status)
        strip(location, status)
        st.caption(
            f"{count_text(location.num_parameters)} parameters · {bytes_text(location.num_bytes)} · "
            f"{escape_markdown(location.format)}"
        )
        if is_busy:
            job_panel(job, key="card")
        with st.container(horizontal=True):
            if status != "missing":
                see_button(location, key="card", width="stretch")
            if status in ("new", "changed"):
                st.button(
                    "Measure",
                    key=f"card-measure-{location.name}",
                    icon=":material/straighten:",
                    width="stretch",
                    disabled=is_busy,
                    on_click=start_job,
                    args=("extract", {"model": location.uri, "name": location.name}),
                )


def before_and_after() -> None:
    """One matrix of the bundled decoder before and after training: what this product lets people see."""
    bundled = {location.name: location for location in library.locations(store()) if location.origin == "bundled"}
    if not {"starter-init", "starter"} <= bundled.keys():
        return
    pair = (bundled["starter-init"], bundled["starter"])
    pictures = _pictures_of(SHOWN_TENSOR, tuple(known.fingerprint for known in pair), pair)
    for column, picture, words in zip(st.columns(2), pictures, ("before training", "after"), strict=True):
        with column:
            st.image(picture, width="stretch")
            st.caption(f"{SHOWN_TENSOR_WORDS} {words}", text_alignment="center")


@st.cache_data(max_entries=8, show_spinner="Drawing (the first time compiles the kernels, some seconds) …")
def _pictures_of(tensor: str, fingerprints: tuple[str, ...], _locations: tuple[Location, ...]) -> list[bytes]:
    """The same tensor of several models under one colour scale."""
    grids = []
    for location in _locations:
        source = open_location(location)
        grids.append(thumbnail(source, source.info(tensor), size=128))
    limit = shared_limit(grids)
    return [tensor_picture(grid, height=320, limit=limit) for grid in grids]
