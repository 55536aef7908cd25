"""The rectangle a person selected on the heatmap: its exact statistics, and the way to it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd
import streamlit as st

from engine.heatmaps import Viewport
from engine.regions import Region, region
from figures.distributions import histogram
from ui.arrangement import Arrangement
from ui.heatmap_canvas import Frame, SortedLines, View


def rectangle_panel(
    shown: Arrangement, rectangle: View, tensor_norm: float, on_zoom: Callable[[], None], on_clear: Callable[[], None]
) -> None:
    """Statistics and histogram of a rectangle.

    Args:
        shown: the tensor as it is shown. rectangle: in places of the picture. tensor_norm: L2 norm of all of it.
        on_zoom, on_clear: callbacks of the two buttons.
    """
    found = _region(shown.source.fingerprint, shown.info.name, rectangle.text, shown)
    with st.container(border=True):
        st.markdown(_title(rectangle, shown))
        with st.container(horizontal=True):
            st.button("Zoom to it", key="zoom-to-rectangle", icon=":material/zoom_in:", on_click=on_zoom)
            st.button("Clear", key="clear-rectangle", icon=":material/close:", on_click=on_clear)
        if found.distribution.num_finite:
            st.altair_chart(histogram(found.distribution, height=150), width="stretch")
        table = _table(found, shown, tensor_norm)
        st.dataframe(
            table,
            hide_index=True,
            height=35 * len(table) + 38,
            column_config={"value": st.column_config.TextColumn(alignment="right")},
        )


@st.cache_data(max_entries=64, show_spinner="Measuring the rectangle …")
def _region(fingerprint: str, tensor: str, rectangle: str, _shown: Arrangement) -> Region:
    view = View.parse(rectangle)
    window = Viewport(view.row_start, view.row_stop, view.column_start, view.column_stop)
    return region(_shown.source, _shown.info, window)


def _title(rectangle: View, shown: Arrangement) -> str:
    rows = _span("row", rectangle.row_start, rectangle.row_stop, shown.rows)
    columns = _span("column", rectangle.column_start, rectangle.column_stop, shown.columns)
    return f"**Selected** · {rows} · {columns}"


def _span(name: str, start: int, stop: int, lines: SortedLines | None) -> str:
    """Lines by number; several sorted ones by place, for their numbers follow no order."""
    if stop - start == 1:
        return f"{name} {start if lines is None else int(lines.numbers[start]):,}"
    span = f"{start:,}–{stop - 1:,}"
    return f"{name}s {span}" if lines is None else f"{stop - start:,} {name}s at places {span} {lines.title}"


def _table(found: Region, shown: Arrangement, tensor_norm: float) -> pd.DataFrame:
    d = found.distribution
    share = found.share_of_energy(tensor_norm)
    broken = {"NaN": d.num_nan, "+Inf": d.num_posinf, "−Inf": d.num_neginf}
    lines = [
        ("weights", f"{d.count:,}", ""),
        ("mean", _number(d.mean), ""),
        ("std", _number(math.sqrt(d.m2)), ""),
        ("smallest", _number(d.minimum), _where(found.minimum_at, shown)),
        ("largest", _number(d.maximum), _where(found.maximum_at, shown)),
        ("L2 norm", _number(d.l2), ""),
        ("share of energy", "–" if math.isnan(share) else f"{share:.3%}", "Σw² over the whole tensor's"),
        ("zeros", f"{d.num_zero:,}", f"{d.num_zero / d.count:.2%}"),
        ("NaN, ±Inf", f"{sum(broken.values()):,}", ", ".join(f"{n:,} {name}" for name, n in broken.items() if n)),
    ]
    return pd.DataFrame(lines, columns=["measure", "value", "where"])


def _where(place: tuple[int, int] | None, shown: Arrangement) -> str:
    if place is None:
        return ""
    row, column = Frame(rows=shown.rows, columns=shown.columns).number(place)
    return f"row {row:,}, column {column:,}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.7g}"
