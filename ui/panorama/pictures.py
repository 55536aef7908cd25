"""The small pictures of a model's tensors: stored ones at once, else made from the weights where that is quick."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.heatmaps import thumbnail
from engine.panorama import Panorama, panorama_of
from engine.sources.base import Source
from ui.page import store
from ui.selection import Selection
from ui.tile_values import is_measured

LIVE_LIMIT_BYTES = 2 << 30
"""Checkpoints up to this size are read for their pictures without being measured first: some seconds from a disk."""


def layout_of(selection: Selection) -> Panorama:
    """Where every tensor of the selected model has its tile."""
    return _layout(selection.source.fingerprint, selection.source)


@st.cache_data(max_entries=16, show_spinner=False)
def _layout(fingerprint: str, _source: Source) -> Panorama:
    return panorama_of(_source.infos())


def pictures_of(selection: Selection) -> list[np.ndarray | None] | None:
    """A picture for every tensor, in file order; None for one that could not be read.

    Returns: None for a model that is neither measured nor small and local: its weights are not at hand.
    """
    source = selection.source
    if is_measured(selection):
        known = _stored(selection.location.content_hash)
    elif source.is_remote or source.num_bytes > LIVE_LIMIT_BYTES:
        return None
    else:
        known = _live(source.uri, source.fingerprint, source)
    return [known.get(info.name) for info in source.infos()]


@st.cache_data(max_entries=8, show_spinner=False)
def _stored(content_hash: str) -> dict[str, np.ndarray]:
    return store().thumbnails(content_hash)


@st.cache_data(
    max_entries=8,
    show_spinner="Reading every tensor once for its picture (the first time compiles the kernels, some seconds) …",
    show_time=True,
)
def _live(uri: str, fingerprint: str, _source: Source) -> dict[str, np.ndarray]:
    return {info.name: thumbnail(_source, info) for info in _source.infos()}
