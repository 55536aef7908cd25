"""The pictures of a report, each drawn for light and for dark paper: as the pages show them, without a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import altair as alt
import numpy as np

import engine.sources
from engine.colour_limits import DEFAULT_PERCENT, PERCENTS, colour_limits
from engine.colour_maps import COLOUR_MAPS, default_colour_map
from engine.colour_scales import SCALES, ColourScale, colour_scale
from engine.folding import matrix_shape
from engine.heatmaps import Viewport, thumbnail
from engine.measures.registry import MEASURES
from engine.orders import ORDERS, check_sortable, line_order
from engine.panorama import panorama_of
from engine.sources.base import Source, TensorInfo
from engine.sources.reordered import Reordered
from engine.tile_colours import bounded, group_scales
from figures.charts_export import chart_svg
from figures.panorama_picture import Mosaic, panorama_picture
from figures.pictures import PictureFrame
from figures.report_document import Picture
from storage.records import Location
from storage.store import Store
from workflows.library import status
from workflows.view_export import TensorView, safe_name, source_line, view_of, view_picture, with_texts

WIDTH, BODY_HEIGHT = 1200, 620
"""Pixels of a picture and the most of its body: as wide as the page on a dense screen, and not higher than one."""

LIVE_LIMIT_BYTES = 2 << 30
"""Checkpoints up to this size are read for their panorama without being measured first; as on the Heatmap page."""


@dataclass(eq=False)
class Desk:
    """What the pictures of one report share; close it when they are drawn.

    Attributes:
        store: the database. opened: checkpoints by uri, opened once. names: of pictures that were given away.
    """

    store: Store
    opened: dict[str, Source] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    _stack: ExitStack = field(default_factory=ExitStack)

    def open(self, location: Location) -> Source:
        """The location's checkpoint. Raises: SourceError if it is gone."""
        if location.uri not in self.opened:
            self.opened[location.uri] = self._stack.enter_context(engine.sources.open(location.uri))
        return self.opened[location.uri]

    def close(self) -> None:
        self._stack.close()

    def name(self, stem: str) -> str:
        """A name for a picture's file, with its number: no two are the same."""
        name = f"{len(self.names) + 1:02d}-{safe_name(stem[:80], 'x').removesuffix('.x')}"
        self.names.add(name)
        return name

    def picture(self, stem: str, alt_text: str, draw: Callable[[bool], object], caption: str = "") -> Picture:
        """A picture in both themes; `draw(is_dark)` makes one."""
        return Picture(self.name(stem), alt_text, draw(False), draw(True), caption)

    def chart(self, stem: str, alt_text: str, make: Callable[[bool], alt.TopLevelMixin], caption: str = "") -> Picture:
        """A chart as SVG in both themes; `make(is_dark)` gives it."""
        return self.picture(stem, alt_text, lambda dark: chart_svg(make(dark), is_dark=dark), caption)


def fresh_hash(location: Location) -> str | None:
    """The content under which the files, as they are now, were measured; None if they were not."""
    return location.content_hash if status(location) == "measured" else None


def frame(is_dark: bool) -> PictureFrame:
    return PictureFrame(width=WIDTH, body_height=BODY_HEIGHT, is_dark=is_dark)


def colour_choice(parameters: Mapping[str, str]) -> tuple[str | None, str, float | None]:
    """(colour map or None for the theme's own, kind of scale, percentile or None for the full range) of a URL."""
    name = parameters.get("colours")
    kind = parameters.get("scale", SCALES[0])
    limits = {f"{percent:g} %": percent for percent in PERCENTS} | {"full range": None}
    percent = limits.get(parameters.get("limits", ""), DEFAULT_PERCENT)
    return (name if name in COLOUR_MAPS else None), (kind if kind in SCALES else SCALES[0]), percent


def tensor_scale(
    desk: Desk, location: Location, source: Source, info: TensorInfo, parameters: Mapping[str, str]
) -> ColourScale:
    """The tensor's scale as the Heatmap page has it: exact limits where it was measured, else from a sample."""
    _, kind, percent = colour_choice(parameters)
    content_hash = fresh_hash(location)
    distribution = desk.store.distribution(content_hash, info.name) if content_hash else None
    return colour_scale(source, info, kind, colour_limits(source, info, distribution, percent=percent))


def tensor_picture(desk: Desk, view: TensorView, scale: ColourScale, name: str | None, **texts: str) -> Picture:
    """A window of a tensor, as the Heatmap page exports it.

    Args: name: the colour map; None for each paper's own. texts: of the frame (title, source), in place of the usual.
    """

    def draw(is_dark: bool):
        colours = name or default_colour_map(scale.limits.is_signed, is_dark)
        return view_picture(view, scale, colours, replace(with_texts(view, scale, frame(is_dark)), **texts))

    title = texts.get("title", f"{view.info.name} of {view.location.name}")
    return desk.picture(f"{view.location.name}.{view.info.name}", f"Heatmap of {title}", draw)


def arranged_view(location: Location, source: Source, info: TensorInfo, parameters: Mapping[str, str]) -> TensorView:
    """The window and the order of lines that a URL asks for; Raises: MeasureError if it cannot be sorted."""
    shape = matrix_shape(info.shape)
    window = _window(parameters.get("view", ""), shape)
    kinds = [parameters.get(axis, ORDERS[0]) for axis in ("rows", "columns")]
    if all(kind == ORDERS[0] or kind not in ORDERS for kind in kinds) or info.num_elements == 0:
        return view_of(location, source, info, window)
    check_sortable(info)
    matrix = source.read(info.name).reshape(shape)
    orders = [
        line_order(lines, kind) if kind != ORDERS[0] and kind in ORDERS else None
        for lines, kind in zip((matrix, matrix.T), kinds, strict=True)
    ]
    sorted_ = Reordered(source, info, *orders)
    plain = view_of(location, sorted_, sorted_.info(info.name), window)
    return TensorView(location, sorted_, plain.info, plain.window, *orders)


def _window(text: str, shape: tuple[int, int]) -> Viewport | None:
    """The window that `?view=` names; None for all of it, and for a text that names none inside."""
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    row_start, row_stop, column_start, column_stop = (min(int(part[:18]), 1 << 53) for part in parts)
    is_inside = row_start < min(row_stop, shape[0]) and column_start < min(column_stop, shape[1])
    return Viewport(row_start, row_stop, column_start, column_stop) if is_inside else None


def panorama(desk: Desk, location: Location, parameters: Mapping[str, str] | None = None) -> Picture | None:
    """The whole model as the Heatmap page shows it; None where its weights are not at hand."""
    parameters = parameters or {}
    source = desk.open(location)
    infos, layout = source.infos(), panorama_of(source.infos())
    title = parameters.get("measure", "Weights")
    values = None if title == "Weights" else _tile_values(desk, location, infos, title)
    pictures = None if values is not None else _thumbnails(desk, location, source)
    if values is None and pictures is None:
        return None
    grids = bounded(pictures) if values is None else [np.array([[value]]) for value in values]
    tiles = parameters.get("tiles", "one scale")
    rows = [(tile.row if tile.row is not None else index - len(infos)) for index, tile in enumerate(layout.tiles)]
    groups = {"scale per role": rows, "scale per tensor": list(range(len(infos)))}.get(tiles, [0] * len(infos))
    name, kind, _ = colour_choice(parameters)
    scales = group_scales(grids, groups, kind, are_values=values is not None)
    is_signed = any(scale.limits.is_signed for scale in scales)
    shown = "weights, each cell the largest |w| it covers" if values is None else title.lower()

    def draw(is_dark: bool):
        colours = name or default_colour_map(is_signed, is_dark)
        texts = {
            "title": location.name,
            "subtitle": f"{len(infos):,} tensors · {shown}",
            "source": source_line(location),
        }
        paper = PictureFrame(**texts, width=WIDTH, body_height=BODY_HEIGHT, is_dark=is_dark)
        return panorama_picture(Mosaic(layout, grids, scales, colours, values is not None), paper)

    return desk.picture(f"{location.name}.whole-model", f"All tensors of {location.name}, each a tile", draw)


def _thumbnails(desk: Desk, location: Location, source: Source) -> list[np.ndarray | None] | None:
    content_hash = fresh_hash(location)
    if content_hash:
        known = desk.store.thumbnails(content_hash)
    elif source.is_remote or source.num_bytes > LIVE_LIMIT_BYTES:
        return None
    else:
        known = {info.name: thumbnail(source, info) for info in source.infos()}
    return [known.get(info.name) for info in source.infos()]


def _tile_values(desk: Desk, location: Location, infos: tuple[TensorInfo, ...], title: str) -> np.ndarray | None:
    """One number for each tensor; None for a measure that is not known or not taken."""
    from_headers = {
        "Parameters": lambda info: info.num_elements,
        "Bytes": lambda info: info.num_bytes,
        "Bits a weight": lambda info: 8 * info.num_bytes / info.num_elements if info.num_elements else np.nan,
    }
    if title in from_headers:
        return np.array([from_headers[title](info) for info in infos], np.float64)
    measure = next((entry.name for entry in MEASURES.values() if entry.title == title), None)
    content_hash = fresh_hash(location)
    if measure is None or content_hash is None:
        return None
    table = desk.store.tensor_stats(content_hash)
    by_name = dict(zip(table["tensor"], table[measure].astype(np.float64), strict=True))
    return np.array([by_name.get(info.name, np.nan) for info in infos], np.float64)
