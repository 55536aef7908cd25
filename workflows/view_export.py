"""A view taken along: the picture of a window of a tensor, and its numbers as CSV or Parquet, under a telling name."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.colour_scales import ColourScale
from engine.folding import matrix_shape
from engine.heatmaps import Grid, Viewport, read_grid
from engine.sources.base import Source, TensorInfo
from storage.records import Location
from workflows.product import signature

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

    from figures.pictures import PictureFrame

MOST_ENTRIES = 1 << 22
"""Entries that leave one by one: a CSV of about 45 MB; chosen by us. A larger window leaves as pooled cells."""

POOLED_SIDE = 1024
"""Cells along each side of what leaves pooled, at most."""

MOST_WIDE_COLUMNS = 16_383
"""Columns of a spreadsheet beside that of the row numbers; a wider window leaves with one line per entry."""

LONGEST_STEM = 150
"""Letters of a file name before its ending; file systems take 255 bytes, and downloads add a number."""


@dataclass(frozen=True, eq=False)
class TensorView:
    """A window of one tensor of one checkpoint.

    Attributes:
        location: whose it is; named in titles and files. source, info: the tensor, of a sorted one in the order shown.
        window: in whole entries. rows, columns: (n,) int64; of sorted lines, the number in the file of the line at each
            place; None in file order.
    """

    location: Location
    source: Source
    info: TensorInfo
    window: Viewport
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None

    @property
    def is_full(self) -> bool:
        return (self.num_rows, self.num_columns) == matrix_shape(self.info.shape)

    @property
    def is_sorted(self) -> bool:
        return self.rows is not None or self.columns is not None

    @property
    def is_exact(self) -> bool:
        """Whether its data leave entry by entry."""
        return self.num_rows * self.num_columns <= MOST_ENTRIES

    @property
    def num_rows(self) -> int:
        return self.window.row_stop - self.window.row_start

    @property
    def num_columns(self) -> int:
        return self.window.column_stop - self.window.column_start


def view_of(location: Location, source: Source, info: TensorInfo, window: Viewport | None = None) -> TensorView:
    """The view of a window, cut off at the tensor's borders; None for the whole tensor."""
    shape = matrix_shape(info.shape)
    return TensorView(location, source, info, (window or Viewport(0, shape[0], 0, shape[1])).clipped(shape))


def file_name(view: TensorView, ending: str, *, note: str = "") -> str:
    """A name for a file of the view, such as `starter.layers.0.q_proj.weight.rows0-64.png`.

    Only letters, digits and "._-" of ASCII, no path, no leading dot. Rows and columns are half open, and only named
    where they are not all; of sorted ones, their places. `note` stands before the ending ("pooled").
    """
    window, shape = view.window, matrix_shape(view.info.shape)
    parts = [view.location.name, view.info.name, *(["sorted"] if view.is_sorted else [])]
    if (window.row_start, window.row_stop) != (0, shape[0]):
        parts.append(f"rows{window.row_start}-{window.row_stop}")
    if (window.column_start, window.column_stop) != (0, shape[1]):
        parts.append(f"columns{window.column_start}-{window.column_stop}")
    return safe_name(".".join([*parts, note] if note else parts), ending)


def safe_name(stem: str, ending: str) -> str:
    """A file name of any text: what a file system or a browser could take amiss is "_"; long ones lose their middle."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", stem)
    safe = re.sub(r"\.{2,}", ".", safe).strip("._-") or "weights"
    if len(safe) > LONGEST_STEM:
        half = (LONGEST_STEM - 2) // 2
        safe = f"{safe[:half]}__{safe[-half:]}"
    return f"{safe}.{ending}"


def source_line(location: Location) -> str:
    """Where numbers come from, for the foot of a picture: model, revision or content, and this product's version."""
    _, _, revision = location.uri.partition("@") if location.uri.startswith("hf://") else ("", "", "")
    words = [location.name]
    if revision:
        words.append(f"revision {revision[:12]}")
    if location.content_hash:
        words.append(f"content {location.content_hash[:12]}")
    return " · ".join([*words, signature()])


def view_picture(view: TensorView, scale: ColourScale, name: str, frame: PictureFrame) -> Image.Image:
    """The view as a picture (`figures.pictures.heatmap_picture`), read as finely as the picture can show.

    Args:
        scale, name: which number gets which colour, and the colour map. frame: size, theme and texts; of texts left
            empty, none is drawn (`with_texts` fills them in).
    """
    from figures.pictures import Axes, heatmap_picture, plot_size

    size = plot_size(view.num_rows, view.num_columns, frame)
    grid = read_grid(view.source, view.info, replace(view.window, max_rows=size[0], max_columns=size[1]))
    return heatmap_picture(grid, scale, name, frame, axes=Axes(view.rows, view.columns))


def with_texts(view: TensorView, scale: ColourScale, frame: PictureFrame) -> PictureFrame:
    """The frame with title, subtitle and source of the view."""
    from figures.pictures import plot_size

    height, width = plot_size(view.num_rows, view.num_columns, frame)
    shape = " × ".join(map(str, view.info.shape)) or "scalar"
    words = [f"{view.info.dtype} · {shape}", *_window_words(view)]
    if view.num_rows > height or view.num_columns > width:
        words.append("each cell the largest |w| it covers")
    if scale.kind != "linear":
        words.append(f"{scale.kind} scale")
    return replace(frame, title=view.info.name, subtitle=" · ".join(words), source=source_line(view.location))


def csv_bytes(view: TensorView) -> bytes:
    """The view's numbers as CSV; every number reads back as exactly the stored one.

    Of at most `MOST_ENTRIES` entries and `MOST_WIDE_COLUMNS` columns: a line per row, the first column its number, the
    header the numbers of the columns. Of others: `table`.
    """
    import pyarrow.csv

    is_wide = view.is_exact and view.num_columns <= MOST_WIDE_COLUMNS
    out = io.BytesIO()
    pyarrow.csv.write_csv(_wide(view) if is_wide else table(view), out)
    return out.getvalue()


def parquet_bytes(view: TensorView) -> bytes:
    """The view's numbers as Parquet: `table`, with what it is in the file's metadata."""
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(table(view), out, compression="zstd", use_dictionary=["row", "column"])
    return out.getvalue()


def table(view: TensorView) -> pa.Table:
    """The view's numbers, a line for each, in storage order.

    Returns: columns row, column, value where the view has at most `MOST_ENTRIES` entries, with the numbers of the file;
        else row_start, row_stop, column_start, column_stop, value: pooled cells, their ranges half open, of sorted
        lines counted by place. int64, and float32 or, where the stored type has more digits, that type. The
        schema's metadata say which tensor of which checkpoint it is.
    """
    import pyarrow as pa

    grid = _read(view)
    values = grid.values if grid.stored is None else grid.stored
    height, width = values.shape
    rows, columns = grid.row_edges, grid.column_edges
    if grid.is_exact:
        lines = {
            "row": np.repeat(_numbers(view.rows, rows[:-1]), width),
            "column": np.tile(_numbers(view.columns, columns[:-1]), height),
        }
    else:
        lines = {
            "row_start": np.repeat(rows[:-1], width),
            "row_stop": np.repeat(rows[1:], width),
            "column_start": np.tile(columns[:-1], height),
            "column_stop": np.tile(columns[1:], height),
        }
    lines["value"] = _plain(values.ravel())
    return pa.table(lines).replace_schema_metadata(_metadata(view, grid))


def _wide(view: TensorView) -> pa.Table:
    import pyarrow as pa

    grid = _read(view)
    values = _plain(grid.values if grid.stored is None else grid.stored)
    numbers = _numbers(view.columns, grid.column_edges[:-1])
    columns = {str(number): values[:, k] for k, number in enumerate(numbers)}
    return pa.table({"row": _numbers(view.rows, grid.row_edges[:-1]), **columns})


def _numbers(lines: np.ndarray | None, places: np.ndarray) -> np.ndarray:
    """The numbers, in the file, of the lines at some places."""
    return places if lines is None else np.asarray(lines, np.int64)[places]


def _read(view: TensorView) -> Grid:
    height, width = (view.num_rows, view.num_columns) if view.is_exact else (POOLED_SIDE, POOLED_SIDE)
    return read_grid(view.source, view.info, replace(view.window, max_rows=height, max_columns=width))


def _plain(values: np.ndarray) -> np.ndarray:
    """In the machine's byte order, which is all that Arrow takes."""
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _metadata(view: TensorView, grid: Grid) -> dict[str, str]:
    cell = "one entry" if grid.is_exact else f"the entry of largest magnitude of {grid.row_step} x {grid.column_step}"
    return {
        "model": view.location.name,
        "content_hash": view.location.content_hash or "",
        "tensor": view.info.name.encode("utf-8", "replace").decode(),
        "dtype": view.info.dtype,
        "shape": " ".join(map(str, view.info.shape)),
        "cell": cell,
        "order": "sorted" if view.is_sorted else "as in the file",
        "software": signature(),
    }


def _window_words(view: TensorView) -> list[str]:
    words = []
    spans = (
        ("row", view.window.row_start, view.window.row_stop, view.rows),
        ("column", view.window.column_start, view.window.column_stop, view.columns),
    )
    for what, start, stop, lines in spans:
        if not view.is_full:
            words.append(f"{what}s {start:,}–{stop - 1:,}" if lines is None else f"{stop - start:,} sorted {what}s")
        elif lines is not None:
            words.append(f"sorted {what}s")
    return words
