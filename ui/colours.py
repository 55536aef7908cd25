"""How numbers become colours on every page: the controls, bound to the URL, and what they choose."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from engine.colour_limits import DEFAULT_PERCENT, PERCENTS, ColourLimits, colour_limits
from engine.colour_maps import COLOUR_MAPS, default_colour_map
from engine.colour_scales import SCALES, ColourScale, Kind, colour_scale
from ui.page import store
from ui.selection import Selection

AUTOMATIC = "automatic"
FULL_RANGE = "full range"


@dataclass(frozen=True)
class Colours:
    """How numbers become colours. `scale`: which number has which place; `name`: a key of `COLOUR_MAPS`."""

    scale: ColourScale
    name: str


def colour_controls(selection: Selection) -> Colours:
    """Colour map, scale and limits for a tensor, in one row, bound to `?colours=`, `?scale=` and `?limits=`."""
    name, kind, percent = chosen_colouring()
    scale = tensor_scale(selection, kind, percent)
    return Colours(scale, chosen_map(name, scale.limits.is_signed))


def chosen_colouring() -> tuple[str | None, Kind, float | None]:
    """The controls alone: the map's name or "automatic", the kind of scale, the percentile of the limits."""
    map_column, scale_column, limit_column = st.columns(3)
    with map_column:
        name = st.selectbox(
            "Colours",
            [AUTOMATIC, *COLOUR_MAPS],
            key="colours",
            bind="query-params",
            help="Signed maps have zero in the middle. All are readable with colour vision deficiencies.",
        )
    with scale_column:
        kind = st.selectbox(
            "Scale",
            SCALES,
            key="scale",
            bind="query-params",
            help="Linear: equal steps. Symmetric log: two decades of magnitude on both sides of zero. Rank: every "
            "colour is used equally often, which shows structure whatever the distribution.",
        )
    with limit_column:
        choices = [*(f"{percent:g} %" for percent in PERCENTS), FULL_RANGE]
        limit = st.selectbox(
            "Colour limits",
            choices,
            index=PERCENTS.index(DEFAULT_PERCENT),
            key="limits",
            bind="query-params",
            disabled=kind == "rank",
            help="The percentile that gets the end colour. Larger magnitudes keep that colour; none is hidden. "
            "Ranks always span everything.",
        )
    return name, kind or "linear", chosen_percent(limit)


def chosen_percent(limit: str | None) -> float | None:
    """The percentile that "Colour limits" says; None for the full range."""
    return None if limit == FULL_RANGE else float((limit or f"{DEFAULT_PERCENT} %").removesuffix(" %"))


def chosen_map(name: str | None, is_signed: bool) -> str:
    """The colour map's name; for "automatic" the one that suits the data and the page's theme."""
    if name not in (None, AUTOMATIC):
        return name
    return default_colour_map(is_signed, st.context.theme.type == "dark")


def tensor_scale(selection: Selection, kind: Kind, percent: float | None = DEFAULT_PERCENT) -> ColourScale:
    """The scale of the selected tensor: exact limits where it was measured, else from a sample of it."""
    location = selection.location
    content_hash = location.content_hash if location.fingerprint == selection.source.fingerprint else None
    return _scale(selection.source.fingerprint, content_hash, selection.info.name, kind, percent, selection)


@st.cache_data(max_entries=256, show_spinner=False)
def _scale(
    fingerprint: str, content_hash: str | None, tensor: str, kind: Kind, percent: float | None, _selection: Selection
) -> ColourScale:
    return colour_scale(_selection.source, _selection.info, kind, _limits(content_hash, percent, _selection))


def _limits(content_hash: str | None, percent: float | None, selection: Selection) -> ColourLimits:
    distribution = store().distribution(content_hash, selection.info.name) if content_hash else None
    return colour_limits(selection.source, selection.info, distribution, percent=percent)
