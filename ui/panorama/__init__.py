"""The whole model in one picture: every tensor a tile, layers from left to right, roles from top to bottom."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import streamlit as st

from engine.colour_maps import COLOUR_MAPS
from engine.colour_scales import SCALES, ColourScale, Kind
from engine.heatmaps import entry_text
from engine.naming import place
from engine.panorama import Panorama
from engine.tile_colours import bounded, group_scales
from ui.colours import AUTOMATIC, chosen_map
from ui.measure_offer import measure_offer
from ui.panorama.canvas import Scene, panorama_canvas
from ui.panorama.export import panorama_export
from ui.panorama.filters import are_wanted
from ui.panorama.pictures import layout_of, pictures_of
from ui.selection import Selection, choose_tensor
from ui.tile_values import TileValues, is_measured, measure_titles, short_text, tile_values, written

WEIGHTS = "Weights"
ONE_SCALE, ROLE_SCALE, TENSOR_SCALE = "one scale", "scale per role", "scale per tensor"


def panorama_look(selection: Selection) -> None:
    """The whole model, with the switch between its weights and one number per tensor."""
    measured = is_measured(selection)
    titles = measure_titles(measured)
    title, tiles, name, kind = _controls([WEIGHTS, *titles])
    pictures = pictures_of(selection) if title == WEIGHTS else None
    if title == WEIGHTS and pictures is None:
        title = titles[0]
    values = None if title == WEIGHTS else tile_values(selection, title)
    st.caption(_words(values, selection))
    scene = _scene(selection, pictures, values, tiles, kind, name)
    panorama_canvas(scene, key="panorama", on_open=_open)
    panorama_export(selection, scene)
    if not measured:
        reason = "The pictures of a model this large are made when it is measured." if values and not pictures else ""
        measure_offer(
            selection.location,
            reason or "Measure this model to see any statistic here: spread, norms, kurtosis, quantiles, dead rows.",
            key="panorama",
        )


def _open(name: str) -> None:
    """A tile was clicked: look at that tensor."""
    choose_tensor(name)
    st.session_state["look"] = "Tensor"


def _controls(titles: Sequence[str]) -> tuple[str, str, str | None, Kind]:
    """What a tile shows, what shares a colour scale, the colour map and the kind of scale; all in the URL."""
    columns = st.columns(4)
    with columns[0]:
        title = _select(
            "A tile shows",
            list(titles),
            "measure",
            "The weights themselves, each cell the largest |w| it covers; or one number for the whole tensor.",
        )
    scales = [ONE_SCALE, ROLE_SCALE] + ([TENSOR_SCALE] if title == WEIGHTS else [])
    with columns[1]:
        tiles = _select(
            "Compared by",
            scales,
            "tiles",
            "One scale: a colour is the same number everywhere. Per role or per tensor: each has its own limits, "
            "which shows structure in quiet ones.",
        )
    with columns[2]:
        name = _select(
            "Colours",
            [AUTOMATIC, *COLOUR_MAPS],
            "colours",
            "Signed maps have zero in the middle. All are readable with colour vision deficiencies.",
        )
    with columns[3]:
        kind = _select(
            "Scale",
            list(SCALES),
            "scale",
            "Linear: equal steps. Symmetric log: two decades of magnitude on both sides of zero. Rank: every "
            "colour is used equally often, which shows structure whatever the distribution.",
        )
    return title, tiles, name, kind


def _select(label: str, options: list[str], key: str, words: str) -> str:
    """A select box in the URL; a value that is not on offer (any more) becomes the first."""
    if st.session_state.get(key, options[0]) not in options:
        st.session_state[key] = options[0]
    return st.selectbox(label, options, key=key, bind="query-params", help=words)


def _words(values: TileValues | None, selection: Selection) -> str:
    count = f"{len(selection.source.infos()):,} tensors"
    if values is None:
        what = "Each cell is the **largest |w|** it covers, so no outlier is hidden."
    else:
        what = f"**{values.title}**: {values.description.splitlines()[0]}"
    return f"{count}, each a tile. {what} Click one to open it; scroll to zoom, drag to pan, arrow keys and Enter work."


def _scene(
    selection: Selection,
    pictures: list[np.ndarray | None] | None,
    values: TileValues | None,
    tiles: str,
    kind: Kind,
    colours: str | None,
) -> Scene:
    infos, layout = selection.source.infos(), layout_of(selection)
    places = [place(info.name, info.shape) for info in infos]
    if values is None:
        grids = bounded(pictures)
        notes = [_picture_note(grid) for grid in grids]
    else:
        grids = [np.array([[value]]) for value in values.values]
        notes = [f"{values.title}: {values.text(i)}" for i in range(len(infos))]
    groups = _groups(layout, [(p.role, p.part) for p in places], tiles)
    scales = group_scales(grids, groups, kind, are_values=values is not None)
    write = short_text if values is None else values.write
    is_signed = any(scale.limits.is_signed for scale in scales)
    return Scene(
        layout=layout,
        names=[info.name for info in infos],
        facts=[f"{' × '.join(map(str, info.shape)) or 'scalar'} · {info.dtype}" for info in infos],
        notes=notes,
        grids=grids,
        scales=scales,
        name=chosen_map(colours, is_signed),
        marks=[""] * len(infos) if values is None else [_mark(value, write) for value in values.values],
        row_marks=_row_marks(layout, scales, write) if tiles == ROLE_SCALE else [],
        is_dim=[not is_wanted for is_wanted in are_wanted(places)],
        selected=next((i for i, info in enumerate(infos) if info.name == selection.info.name), None),
        bar=_bar(scales, grids, tiles, write),
        bar_title=_bar_title(values, tiles),
        are_values=values is not None,
    )


def _groups(layout: Panorama, roles: list[Hashable], tiles: str) -> list[Hashable]:
    if tiles == ONE_SCALE:
        return [0] * len(roles)
    if tiles == TENSOR_SCALE:
        return list(range(len(roles)))
    return [role if tile.row is None else tile.row for tile, role in zip(layout.tiles, roles, strict=True)]


def _picture_note(grid: np.ndarray | None) -> str:
    """The largest weight of a picture, with its sign, exactly; what is no number comes first."""
    if grid is None:
        return "could not be read"
    if grid.size == 0:
        return "no entries"
    finite = grid[np.isfinite(grid)]
    broken = "holds NaN · " if np.isnan(grid).any() else "holds ±Inf · " if finite.size < grid.size else ""
    if finite.size == 0:
        return broken.removesuffix(" · ")
    return f"{broken}largest |w|: {entry_text(finite.flat[np.abs(finite).argmax()])}"


def _mark(value: float, write) -> str:
    return "" if np.isnan(value) else written(value, write)


def _row_marks(layout: Panorama, scales: list[ColourScale], write) -> list[str]:
    """The upper limit of each row's own scale."""
    marks = [""] * len(layout.rows)
    for tile, scale in zip(layout.tiles, scales, strict=True):
        if tile.row is not None:
            marks[tile.row] = ("±" if scale.limits.is_signed else "≤ ") + write(scale.limits.high)
    return marks


def _bar(scales: list[ColourScale], grids: list[np.ndarray | None], tiles: str, write) -> list[str]:
    """What to write along the colour bar: numbers of the one scale, or words for scales that differ."""
    if tiles == ONE_SCALE and scales:
        numbers = scales[0].values_at(np.linspace(0, 1, 5))
        shown = [grid[np.isfinite(grid)] for grid in grids if grid is not None]
        least, most = (fold(cells) for fold, cells in ((np.min, _ends(shown, np.min)), (np.max, _ends(shown, np.max))))
        signs = ["≤ " if least < numbers[0] else "", "", "", "", "≥ " if most > numbers[-1] else ""]
        return [sign + write(number) for sign, number in zip(signs, numbers, strict=True)]
    is_signed = any(scale.limits.is_signed for scale in scales)
    return ["−limit", "0", "+limit"] if is_signed else ["low", "high"]


def _ends(cells: list[np.ndarray], fold) -> np.ndarray:
    """The least, or the largest, of each tile; 0 where there is none at all."""
    return np.array([fold(own) for own in cells if own.size] or [0.0])


def _bar_title(values: TileValues | None, tiles: str) -> str:
    what = "weight" if values is None else f"{values.title.lower()}{f', {values.unit}' if values.unit else ''}"
    return what + {ONE_SCALE: "", ROLE_SCALE: ", limits of each role", TENSOR_SCALE: ", limits of each tensor"}[tiles]
