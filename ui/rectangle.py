"""The rectangle a person selected on the heatmap: its exact statistics, and the way to it."""

from __future__ import annotations

import math

import streamlit as st

from engine.heatmaps import Viewport
from engine.measures.results import Distribution
from engine.regions import Region, region
from figures.distributions import histogram
from ui.arrangement import Arrangement
from ui.heatmap_canvas import Frame, View
from workflows.wording import count_text


def rectangle_panel(shown: Arrangement, rectangle: View, tensor_norm: float, on_zoom, on_clear) -> None:
    """Statistics and histogram of a rectangle.

    Args:
        shown: the tensor as it is shown. rectangle: in places of the picture. tensor_norm: L2 norm of all of it.
        on_zoom, on_clear: callbacks of the two buttons.
    """
    found = _region(shown.source.fingerprint, shown.info.name, rectangle.text, shown)
    with st.container(border=True, key="rectangle-panel"):
        words, zoom, clear = st.columns([3, 1, 1], vertical_alignment="center")
        words.markdown(_title(rectangle, shown), unsafe_allow_html=False)
        zoom.button("Zoom to it", key="zoom-to-rectangle", icon=":material/zoom_in:", on_click=on_zoom, width="stretch")
        clear.button("Clear", key="clear-rectangle", icon=":material/close:", on_click=on_clear, width="stretch")
        numbers, picture = st.columns([1, 1.15], vertical_alignment="center")
        with numbers:
            st.markdown(_table(found, shown, tensor_norm))
        with picture:
            if found.distribution.num_finite:
                st.altair_chart(histogram(found.distribution, height=190), width="stretch")
            else:
                st.caption("It holds no finite value to draw.")


@st.cache_data(max_entries=64, show_spinner="Measuring the rectangle …")
def _region(fingerprint: str, tensor: str, rectangle: str, _shown: Arrangement) -> Region:
    view = View.parse(rectangle)
    window = Viewport(view.row_start, view.row_stop, view.column_start, view.column_stop)
    return region(_shown.source, _shown.info, window)


def _title(rectangle: View, shown: Arrangement) -> str:
    rows, columns = rectangle.row_stop - rectangle.row_start, rectangle.column_stop - rectangle.column_start
    parts = []
    for name, start, count, lines in (
        ("row", rectangle.row_start, rows, shown.rows),
        ("column", rectangle.column_start, columns, shown.columns),
    ):
        first = start if lines is None or count > 1 else int(lines.numbers[start])
        what = name if lines is None or count == 1 else f"place {lines.title} of {name}"
        parts.append(f"{what}s {start:,}–{start + count - 1:,}" if count > 1 else f"{what} {first:,}")
    return f"**{rows:,} × {columns:,}** · {', '.join(parts)}"


def _table(found: Region, shown: Arrangement, tensor_norm: float) -> str:
    """Two columns of numbers as a Markdown table; every text in it is ours."""
    d = found.distribution
    broken = d.num_nan + d.num_posinf + d.num_neginf
    share = found.share_of_energy(tensor_norm)
    lines = [
        ("weights", f"{d.count:,}"),
        ("mean", _number(d.mean)),
        ("std", _number(math.sqrt(d.m2))),
        ("min", _extreme(d.minimum, found.minimum_at, shown)),
        ("max", _extreme(d.maximum, found.maximum_at, shown)),
        ("L2 norm", _number(d.l2)),
        ("share of the tensor's energy", "–" if math.isnan(share) else f"{share:.3%}"),
        ("zeros", f"{d.num_zero:,} ({d.num_zero / d.count:.2%})"),
        ("NaN, ±Inf", count_text(broken) + (_broken(d) if broken else "")),
    ]
    return "| | |\n|:--|--:|\n" + "\n".join(f"| {name} | {value} |" for name, value in lines)


def _extreme(value: float, place: tuple[int, int] | None, shown: Arrangement) -> str:
    if place is None:
        return "–"
    row, column = Frame(rows=shown.rows, columns=shown.columns).number(place)
    return f"{_number(value)} at row {row:,}, column {column:,}"


def _broken(d: Distribution) -> str:
    kinds = (("NaN", d.num_nan), ("+Inf", d.num_posinf), ("−Inf", d.num_neginf))
    return f" ({', '.join(f'{count:,} {name}' for name, count in kinds if count)})"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.6g}".replace("-", "−", 1)
