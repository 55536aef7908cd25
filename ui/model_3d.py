"""The whole model in three dimensions: a city of blocks, raised and coloured by any measure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from engine.colour_limits import ColourLimits
from engine.colour_maps import COLOUR_MAPS, colour_image, colour_map
from engine.colour_scales import SCALES, ColourScale, Kind, symmetric_log_scale
from engine.naming import place, role_title
from engine.tile_colours import LIMIT_PERCENT, value_scale
from figures.model_deck import BLOCKS, CAMERAS, City, model_deck
from ui.colours import AUTOMATIC, chosen_map
from ui.measure_offer import measure_offer
from ui.panorama.filters import are_wanted
from ui.panorama.pictures import layout_of
from ui.selection import Selection, choose_tensor
from ui.tensor_view import SHARED_PARAMETERS
from ui.tile_values import PARAMETERS, TileValues, is_measured, measure_titles, tile_values
from workflows.view_export import safe_name

KEY = "city"
MOST_BLOCKS = 10_000
"""Blocks that a browser turns fluently; of a larger model, the filters above show a part."""

SWATCHES = 24
"""Colours in the legend's strip."""


def whole_model_3d(selection: Selection) -> None:
    """Every tensor of the model as a block, with its controls, the legend, the links and the table behind it."""
    measured = is_measured(selection)
    titles = measure_titles(measured)
    height, colour, colours, kind = _controls(titles)
    raised, coloured = tile_values(selection, height), tile_values(selection, colour)
    scale = value_scale([coloured.values], kind)
    name = chosen_map(colours, scale.limits.is_signed)
    is_log, camera = _height_and_camera()
    shares, are_cut = height_shares(raised.values, is_log)
    city = _city(selection, raised, coloured, (shares, are_cut), colour_image(coloured.values, scale, name))
    if len(city.shown) > MOST_BLOCKS:
        st.info(
            f"{len(city.shown):,} tensors are more blocks than a browser can turn. Choose a layer or a role above.",
            icon=":material/filter_alt:",
        )
    else:
        deck = model_deck(city, camera=camera, is_dark=st.context.theme.type == "dark")
        st.pydeck_chart(deck, height=600, key=KEY, on_select=_selected, alt="Every tensor of the model as a block.")
        _legend(scale, name, raised, coloured, int(are_cut[city.shown].sum()))
    _links(selection, raised, coloured)
    if not measured:
        reason = "Measure this model to raise and colour its blocks by any statistic: spread, norms, kurtosis."
        measure_offer(selection.location, reason, key="city")


def height_shares(values: np.ndarray, is_log: bool) -> tuple[np.ndarray, np.ndarray]:
    """Heights of blocks from numbers of any size and sign.

    Args:
        values: (n,) float64. is_log: by the logarithm of the magnitude (`engine.colour_scales.symmetric_log_scale`).
    Returns: (n,) shares of the greatest height, |value| over the 98th percentile of the magnitudes and at most 1, NaN
        where undefined; and (n,) bool, whether it reaches beyond that.
    """
    magnitudes = np.abs(np.asarray(values, np.float64))
    finite = magnitudes[np.isfinite(magnitudes)]
    limit = (float(np.percentile(finite, LIMIT_PERCENT)) or float(finite.max())) if finite.size else 0.0
    if limit == 0.0:
        return np.where(np.isnan(magnitudes), np.nan, 0.0), np.zeros(magnitudes.size, bool)
    shares = magnitudes / limit
    if is_log:
        scale = symmetric_log_scale(ColourLimits(0.0, limit, False))
        shares = np.where(magnitudes > limit, 1.0, scale.positions(magnitudes))
    return np.minimum(shares, 1.0), magnitudes > limit


def _controls(titles: list[str]) -> tuple[str, str, str | None, Kind]:
    """What raises and what colours a block, the colour map and its scale; all in the URL."""
    raised, coloured, maps, scales = st.columns(4)
    standard = ["Largest magnitude", "Standard deviation"] if "Standard deviation" in titles else [PARAMETERS] * 2
    with raised:
        height = _select(
            "Height", titles, "block_height", standard[0], "The number that raises a block, by its magnitude."
        )
    with coloured:
        colour = _select("Colour", titles, "block_colour", standard[1], "The number that colours a block.")
    with maps:
        name = _select("Colours", [AUTOMATIC, *COLOUR_MAPS], "colours", AUTOMATIC, "Signed maps suit signed measures.")
    with scales:
        kind = _select(
            "Scale",
            list(SCALES),
            "scale",
            SCALES[0],
            "Of the colours. Linear: equal steps. Symmetric log: two decades. Rank: every colour equally often.",
        )
    return height, colour, name, kind


def _height_and_camera() -> tuple[bool, str]:
    toggle, cameras = st.columns([1, 3], vertical_alignment="center")
    with toggle:
        is_log = st.toggle(
            "Logarithmic heights", key="block_log", bind="query-params", help="Lifts small blocks beside large ones."
        )
    with cameras:
        if st.session_state.get("block_camera") not in CAMERAS:
            st.session_state["block_camera"] = next(iter(CAMERAS))  # at first, and from a bad URL
        camera = st.segmented_control(
            "Seen from",
            list(CAMERAS),
            required=True,
            key="block_camera",
            bind="query-params",
            label_visibility="collapsed",
        )
    return bool(is_log), camera


def _select(label: str, options: list[str], key: str, standard: str, words: str) -> str:
    """A select box in the URL; a value that is not on offer (any more) becomes the standard one."""
    if st.session_state.get(key, standard) not in options:
        st.session_state[key] = standard
    return st.selectbox(label, options, index=options.index(standard), key=key, bind="query-params", help=words)


def _city(
    selection: Selection,
    raised: TileValues,
    coloured: TileValues,
    heights: tuple[np.ndarray, np.ndarray],
    colours: np.ndarray,
) -> City:
    infos = selection.source.infos()
    places = [place(info.name, info.shape) for info in infos]
    shown = [i for i, is_wanted in enumerate(are_wanted(places)) if is_wanted]
    shapes = [" × ".join(map(str, info.shape)) or "scalar" for info in infos]
    return City(
        layout=layout_of(selection),
        names=[info.name for info in infos],
        facts=[f"{role_title(p.role)} · {shape} {i.dtype}" for p, shape, i in zip(places, shapes, infos, strict=True)],
        heights=heights[0],
        are_cut=heights[1],
        colours=colours,
        are_coloured=~np.isnan(coloured.values),
        height_words=[f"height · {raised.title}: {raised.text(i)}" for i in range(len(infos))],
        colour_words=[f"colour · {coloured.title}: {coloured.text(i)}" for i in range(len(infos))],
        shown=shown,
        selected=next((i for i in shown if infos[i].name == selection.info.name), None),
    )


def _selected() -> None:
    """A block was clicked: every page looks at its tensor from now on."""
    blocks = st.session_state[KEY].selection.objects.get(BLOCKS, [])
    if blocks:
        choose_tensor(blocks[0]["tensor"])


def _legend(scale: ColourScale, name: str, raised: TileValues, coloured: TileValues, num_cut: int) -> None:
    """The colours with their numbers, and what the height means."""
    table = colour_map(name).colours
    stops = ", ".join(f"rgb({r} {g} {b})" for r, g, b in table[np.linspace(0, 255, SWATCHES).astype(int)])
    numbers = [coloured.write(float(value)) for value in scale.values_at(np.array([0.0, 0.5, 1.0]))]
    low, middle, high = numbers
    unit = f", {coloured.unit}" if coloured.unit else ""
    cut = f" ▲ {num_cut} {'blocks are' if num_cut > 1 else 'block is'} taller than shown." if num_cut else ""
    strip, words = st.columns([1, 2])
    strip.html(
        f'<div style="height:10px;border-radius:3px;background:linear-gradient(90deg,{stops})"></div>'
        '<div style="display:flex;justify-content:space-between;font-size:12px;opacity:.8">'
        f"<span>{low}</span><span>{middle}</span><span>{high}</span></div>"
    )
    words.caption(
        f"Colour: {coloured.title.lower()}{unit}. Height: {raised.title.lower()}, by magnitude.{cut} "
        "Drag to turn, scroll to zoom, drag with Ctrl or the right button to move, click a block to select its tensor."
    )


def _links(selection: Selection, raised: TileValues, coloured: TileValues) -> None:
    """To the selected tensor, flat and in three dimensions, and the numbers behind the blocks."""
    with st.container(horizontal=True, vertical_alignment="center"):
        parameters = {key: st.query_params[key] for key in SHARED_PARAMETERS if key in st.query_params}
        st.page_link(
            "pages/3_Heatmap.py",
            label="Open in Heatmap",
            icon=":material/grid_on:",
            query_params={**parameters, "look": "Tensor"},
        )
        st.button("Open in 3D", key="city-tensor", icon=":material/landscape:", on_click=_open_in_3d)
        st.download_button(
            "CSV",
            lambda: city_table(selection, raised, coloured).to_csv(index=False).encode(),
            safe_name(f"{selection.location.name}.tensors", "csv"),
            "text/csv",
            key="city-csv",
            icon=":material/download:",
            on_click="ignore",
            help="Every tensor with both numbers.",
        )


def _open_in_3d() -> None:
    st.session_state["space"] = "Tensor"  # the page's other view


def city_table(selection: Selection, raised: TileValues, coloured: TileValues) -> pd.DataFrame:
    """Every tensor with its place and both numbers, in file order."""
    infos = selection.source.infos()
    places = [place(info.name, info.shape) for info in infos]
    table = pd.DataFrame(
        {
            "tensor": [info.name for info in infos],
            "stack": [where.stack for where in places],
            "layer": pd.array([where.layer for where in places], dtype="Int64"),
            "role": [where.role for where in places],
            "part": [where.part for where in places],
            "shape": ["x".join(map(str, info.shape)) for info in infos],
            "dtype": [info.dtype for info in infos],
            raised.title: raised.values,
        }
    )
    table[coloured.title] = coloured.values
    return table
