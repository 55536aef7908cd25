"""Any table as a chart: what to put on the axes at first, and the chart of what was chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import altair as alt
import pandas as pd
from pandas.api import types

from figures.spectrum import DATA_COLOUR

Kind = Literal["bars", "lines", "points", "areas", "cells"]
KINDS: tuple[Kind, ...] = ("bars", "lines", "points", "areas", "cells")
NO_COLOUR = "none"

MOST_MARKS = 5000
"""Rows that are drawn; ours: what a browser draws at once."""

MOST_BARS, MOST_COLOURS = 60, 20
"""Bars and colours that can be told apart; a default asks for no more."""

_NOUN = {"quantitative": "Q", "temporal": "T", "nominal": "N"}


@dataclass(frozen=True)
class Axes:
    """What is drawn how. x, y: columns. colour: a column, or `NO_COLOUR`."""

    kind: Kind
    x: str
    y: str
    colour: str = NO_COLOUR


def column_kinds(table: pd.DataFrame) -> dict[str, str]:
    """The columns that can stand on an axis: name -> "quantitative", "temporal" or "nominal". Lists cannot."""
    kinds = {}
    for name in table.columns:
        column = table[name]
        if types.is_bool_dtype(column):
            kinds[name] = "nominal"
        elif types.is_numeric_dtype(column):
            kinds[name] = "quantitative"
        elif types.is_datetime64_any_dtype(column):
            kinds[name] = "temporal"
        elif column.dropna().map(lambda value: isinstance(value, str)).all():
            kinds[name] = "nominal"
    return kinds


def default_axes(table: pd.DataFrame) -> Axes | None:
    """A sensible first chart; None where no column is a number that varies along something.

    A running number or a time with a measure is a line, coloured by the text that tells series apart; few names with a
    number are bars; two numbers are points.
    """
    kinds = column_kinds(table)
    numbers = [name for name, kind in kinds.items() if kind == "quantitative" and table[name].notna().any()]
    names = [name for name, kind in kinds.items() if kind == "nominal" and table[name].notna().any()]
    if table.empty or not numbers:
        return None
    series = next((name for name in names if 1 < table[name].nunique() <= MOST_COLOURS), NO_COLOUR)
    times = [name for name, kind in kinds.items() if kind == "temporal"]
    along = times + [name for name in numbers if _runs(table, name, series)]
    others = [name for name in numbers if name not in along]
    if along and (others or len(numbers) > 1):
        return Axes("lines", along[0], (others or [n for n in numbers if n != along[0]])[0], series)
    labels = [name for name in names if table[name].nunique() == len(table)] or names
    if labels and (len(table) <= MOST_BARS or len(numbers) == 1):
        return Axes("bars", max(labels, key=lambda name: table[name].nunique()), numbers[0])
    if len(numbers) > 1:
        return Axes("points", numbers[0], numbers[1], series)
    return Axes("bars", (labels or names or numbers)[0], numbers[0]) if labels else None


def _runs(table: pd.DataFrame, name: str, series: str) -> bool:
    """Whether a number only grows from row to row, in each series: a layer, a step, the edge of a bin."""
    column = table[name].astype("Float64")
    if column.isna().any() or column.nunique() < 3:
        return False
    if series == NO_COLOUR:
        return bool(column.is_monotonic_increasing and column.is_unique)
    groups = column.groupby(table[series], sort=False)
    return bool(all(group.is_monotonic_increasing and group.is_unique for _, group in groups))


def query_chart(table: pd.DataFrame, axes: Axes, *, height: int = 380) -> alt.Chart:
    """The chart of at most `MOST_MARKS` rows. axes: columns of `column_kinds`; names may hold any letters."""
    kinds = column_kinds(table)
    used = list(dict.fromkeys(name for name in (axes.x, axes.y, axes.colour) if name != NO_COLOUR or name in kinds))
    fields = {name: f"c{number}" for number, name in enumerate(used)}
    shown = table[used].head(MOST_MARKS).rename(columns=fields)
    number = {"bars": 0, "areas": 0}.get(axes.kind)

    def channel(kind: type, name: str, **options):
        return kind(f"{fields[name]}:{_NOUN[kinds[name]]}", title=name, **options)

    def axis(kind: type, name: str):
        options = {"sort": None} if kinds[name] == "nominal" else {"scale": alt.Scale(zero=number == 0, nice=True)}
        if kinds[name] == "quantitative":
            step = {"tickMinStep": 1} if types.is_integer_dtype(table[name]) else {}
            options["axis"] = alt.Axis(format="~g", **step)
        return channel(kind, name, **options)

    is_lying = axes.kind == "bars" and kinds[axes.x] == "nominal"
    places = (alt.Y, alt.X) if is_lying else (alt.X, alt.Y)
    encoding = {
        "x" if place is alt.X else "y": axis(place, name) for place, name in zip(places, (axes.x, axes.y), strict=True)
    }
    if axes.colour in kinds:
        encoding["color"] = channel(alt.Color, axes.colour)
    tooltip = [alt.Tooltip(f"{field}:{_NOUN[kinds[name]]}", title=name) for name, field in fields.items()]
    chart = _mark(alt.Chart(shown), replace(axes, colour=axes.colour if axes.colour in kinds else NO_COLOUR))
    num_bars = shown[fields[axes.x]].nunique() if is_lying else 0
    return chart.encode(**encoding, tooltip=tooltip).properties(
        height=max(height, 18 * num_bars) if is_lying else height
    )


def _mark(chart: alt.Chart, axes: Axes) -> alt.Chart:
    plain = {} if axes.colour != NO_COLOUR else {"color": DATA_COLOUR}
    if axes.kind == "bars":
        return chart.mark_bar(**plain)
    if axes.kind == "lines":
        return chart.mark_line(point=True, **plain)
    if axes.kind == "areas":
        return chart.mark_area(opacity=0.7, **plain)
    if axes.kind == "cells":
        return chart.mark_rect(**plain)
    return chart.mark_circle(size=50, opacity=0.75, **plain)
