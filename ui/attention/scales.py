"""Colours of pictures that are no tensor's own: their boxes, their scales, and the numbers along a colour bar."""

from __future__ import annotations

import numpy as np
import streamlit as st

from engine.colour_limits import ColourLimits
from engine.colour_maps import COLOUR_MAPS, colour_map
from engine.colour_scales import SCALES, ColourScale, Kind, linear_scale, rank_scale, symmetric_log_scale
from ui.colours import AUTOMATIC, chosen_map


def map_and_scale() -> tuple[str | None, Kind]:
    """Colour map and kind of scale in one row, bound to the same `?colours=` and `?scale=` as everywhere."""
    map_column, scale_column, _ = st.columns([1, 1, 2])
    with map_column:
        name = st.selectbox("Colours", [AUTOMATIC, *COLOUR_MAPS], key="colours", bind="query-params")
    with scale_column:
        kind = st.selectbox("Scale", SCALES, key="scale", bind="query-params")
    return name, kind or "linear"


def probability_colours(
    values: np.ndarray, name: str | None, kind: Kind
) -> tuple[ColourScale, str, tuple[float, float]]:
    """Scale, colour map and the used part of the scale for shares in [0, 1].

    A signed map keeps its neutral colour for 0, as for weights, so that only its upper half is used.

    Args: values: what ranks are taken of. name, kind: as `map_and_scale` gives them.
    """
    name = chosen_map(name, is_signed=True)
    is_signed = colour_map(name).is_signed
    if kind == "rank":
        entries = values[np.isfinite(values)]
        scale = rank_scale(np.concatenate([entries, -entries]) if is_signed else entries)
    else:
        limits = ColourLimits(-1.0 if is_signed else 0.0, 1.0, is_signed)
        scale = linear_scale(limits) if kind == "linear" else symmetric_log_scale(limits)
    return scale, name, (0.5 if is_signed else 0.0, 1.0)


def bar_texts(scale: ColourScale, count: int = 5, span: tuple[float, float] = (0.0, 1.0)) -> list[str]:
    """The numbers at equal steps along a part of a scale, three digits each."""
    return [f"{number:.3g}" for number in scale.values_at(np.linspace(*span, count)) + 0.0]
