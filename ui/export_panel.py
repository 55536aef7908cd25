"""What is on the screen as files: the picture as PNG or WebP, the numbers as CSV or Parquet, a chart as SVG or PNG.

Nothing is rendered before a button is pressed.
"""

from __future__ import annotations

from collections.abc import Callable

import altair as alt
import numpy as np
import streamlit as st

from engine.colour_maps import default_colour_map
from engine.folding import matrix_shape
from engine.heatmaps import Viewport
from figures.pictures import WIDTHS, PictureFrame, png_bytes, webp_bytes
from ui.colours import AUTOMATIC, Colours
from ui.heatmap_canvas import View
from ui.selection import Selection
from workflows.product import signature
from workflows.view_export import (
    MOST_ENTRIES,
    POOLED_SIDE,
    TensorView,
    csv_bytes,
    file_name,
    parquet_bytes,
    safe_name,
    view_picture,
    with_texts,
)

PAGE, LIGHT, DARK = "as this page", "light", "dark"


def export_panel(
    selection: Selection,
    view: View | None,
    colours: Colours,
    rows: np.ndarray | None = None,
    columns: np.ndarray | None = None,
) -> None:
    """A popover with everything that can be taken along of a tensor's view.

    Args:
        selection: the tensor; of a sorted one, in the order shown. view: the window shown; None for all of it.
        colours: as on the screen. rows, columns: of sorted lines, their numbers in the file, by place.
    """
    shape = matrix_shape(selection.info.shape)
    window = view or View.full(shape)
    viewport = Viewport(window.row_start, window.row_stop, window.column_start, window.column_stop).clipped(shape)
    target = TensorView(selection.location, selection.source, selection.info, viewport, rows, columns)
    with st.popover("Export", icon=":material/download:", width="stretch"):
        if 0 in shape:
            st.caption("This tensor has no entries, so there is nothing to take along.")
            return
        _pictures(target, colours)
        st.divider()
        _data(target)


def picture_choices() -> PictureFrame:
    """Size and theme of a picture to keep, bound to `?export_width=` and `?export_theme=`; no texts yet."""
    size_column, theme_column = st.columns(2)
    with size_column:
        sizes = {f"{width} px": width for width in WIDTHS}
        size = st.selectbox("Width", list(sizes), key="export_width", bind="query-params")
    with theme_column:
        theme = st.selectbox("Paper", [PAGE, LIGHT, DARK], key="export_theme", bind="query-params")
    is_dark = st.context.theme.type == "dark" if theme in (None, PAGE) else theme == DARK
    return PictureFrame(width=sizes.get(size, WIDTHS[0]), is_dark=is_dark)


def suited_name(name: str, is_signed: bool, is_dark: bool) -> str:
    """The colour map for a picture on such paper: `name`, the screen's; the paper's own where nobody chose one."""
    if st.session_state.get("colours", AUTOMATIC) in (None, AUTOMATIC):
        return default_colour_map(is_signed, is_dark)
    return name


def download(label: str, make: Callable[[], bytes], name: str, mime: str, *, key: str, help: str = "") -> None:
    """A button whose file is made when it is pressed, without a rerun of the page."""
    st.download_button(
        label, make, name, mime, key=key, on_click="ignore", icon=":material/download:", width="stretch", help=help
    )


def chart(drawing: alt.TopLevelMixin, name: str, *, key: str) -> None:
    """An Altair chart with its downloads: SVG for print and editing, PNG three times as dense as the screen.

    Args: drawing: the chart. name: of the files, without ending; any text. key: unique on the page.
    """
    from figures.charts_export import chart_png, chart_svg

    st.altair_chart(drawing, width="stretch", key=key)
    is_dark = st.context.theme.type == "dark"
    with st.popover("Save this chart", icon=":material/download:", type="tertiary"):
        download(
            "SVG",
            lambda: chart_svg(drawing, is_dark=is_dark),
            safe_name(name, "svg"),
            "image/svg+xml",
            key=f"{key}-svg",
        )
        download(
            "PNG", lambda: chart_png(drawing, is_dark=is_dark), safe_name(name, "png"), "image/png", key=f"{key}-png"
        )


def _pictures(target: TensorView, colours: Colours) -> None:
    st.markdown("**Picture of this view**")
    bare = picture_choices()
    has_texts = st.toggle("Title and source", value=True, key="export_texts", bind="query-params")
    frame = with_texts(target, colours.scale, bare) if has_texts else bare
    name = suited_name(colours.name, colours.scale.limits.is_signed, frame.is_dark)
    texts = {"Title": target.info.name, "Source": frame.source, "Software": signature()}

    def picture():
        return view_picture(target, colours.scale, name, frame)

    png, webp = st.columns(2)
    with png:
        download("PNG", lambda: png_bytes(picture(), texts), file_name(target, "png"), "image/png", key="export-png")
    with webp:
        download("WebP", lambda: webp_bytes(picture()), file_name(target, "webp"), "image/webp", key="export-webp")


def _data(target: TensorView) -> None:
    st.markdown("**Numbers of this view**")
    size = f"{target.num_rows:,} × {target.num_columns:,} entries"
    note = "" if target.is_exact else "pooled"
    order = ", in the order shown" if target.is_sorted else ""
    if target.is_exact:
        st.caption(f"All {size}, exactly as stored, with their row and column{order}.")
    else:
        st.caption(
            f"{size} are more than {MOST_ENTRIES:,}: the files hold at most {POOLED_SIDE:,} × {POOLED_SIDE:,} cells, "
            "each the entry of largest magnitude with the rows and columns it covers. Zoom in for single entries."
        )
    csv, parquet = st.columns(2)
    with csv:
        name = file_name(target, "csv", note=note)
        download("CSV", lambda: csv_bytes(target), name, "text/csv", key="export-csv")
    with parquet:
        name = file_name(target, "parquet", note=note)
        mime = "application/vnd.apache.parquet"
        download("Parquet", lambda: parquet_bytes(target), name, mime, key="export-parquet")
