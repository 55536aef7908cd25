"""Waves in a matrix as charts: its power spectrum with the peaks marked, and what there is along each axis."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from engine.colour_limits import ColourLimits
from engine.colour_maps import colour_map, value_png
from engine.colour_scales import linear_scale
from engine.discovery.fourier import AxisReading, Peak

DATA_COLOUR, NULL_COLOUR, PEAK_COLOUR = "#3d85c6", "#87919c", "#d9483b"
"""Mid-tones, which read on a light and on a dark page."""

MAP = "viridis"
TICKS = (0.5, 0.25, 0.125, 0.0625)
"""Frequencies that get a label: periods of 2, 4, 8 and 16."""

_PERIOD = "datum.value == 0 ? '∞' : format(1 / abs(datum.value), '.3~g')"
_PLAIN = "datum.value < 1 ? format(datum.value, '~g') : format(datum.value, ',')"
MOST_POINTS = 400
"""Of a curve; of more, neighbours are taken together, the highest and the lowest of each group both drawn."""


def shared_limits(pictures: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits of colour for several pooled spectra: from a typical cell of the quietest to the highest peak of all.

    Args: pictures: energies over the mean; NaN and zeros do not count.
    Returns: (low, high), 0 < low < high.
    """
    positive = [picture[np.isfinite(picture) & (picture > 0)] for picture in pictures]
    positive = [values for values in positive if values.size]
    if not positive:
        return 0.1, 1.0
    low = min(float(np.quantile(values, 0.02)) for values in positive)
    high = max(float(values.max()) for values in positive)
    return (low, high) if high > 1.01 * low else (low / 2, 2 * high)


def power_chart(
    picture: np.ndarray, limits: tuple[float, float], peaks: Sequence[Peak] = (), *, height: int = 400
) -> alt.LayerChart:
    """A pooled power spectrum with periods as axes and rings around the peaks.

    Args:
        picture: (h, w) energy over the mean of its kind, rows from frequency −½ to ½, columns from 0 to ½
            (`engine.discovery.fourier_power.power_picture`). limits: (low, high), the ends of the colours, logarithmic.
        peaks: that are ringed, each with its numbers at the pointer.
    Returns: a chart that needs no network.
    """
    low, high = limits
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = np.log10(np.clip(np.nan_to_num(picture, nan=low), low, high))
    scale = linear_scale(ColourLimits(float(np.log10(low)), float(np.log10(high)), False))
    image = "data:image/png;base64," + base64.b64encode(value_png(shown[::-1], scale, MAP)).decode()
    frame = pd.DataFrame({"left": [0.0], "right": [0.5], "bottom": [-0.5], "top": [0.5], "image": [image]})
    x = alt.X("left:Q", title="period, columns", scale=alt.Scale(domain=[0, 0.5], nice=False), axis=_axis((0, *TICKS)))
    y_ticks = (0, *TICKS, *(-tick for tick in TICKS))
    y = alt.Y("bottom:Q", title="period, rows", scale=alt.Scale(domain=[-0.5, 0.5], nice=False), axis=_axis(y_ticks))
    drawn = alt.Chart(frame).mark_image(aspect=False).encode(x=x, x2="right:Q", y=y, y2="top:Q", url="image:N")
    steps = np.linspace(0, 255, 9).astype(int)
    colours = ["#{:02x}{:02x}{:02x}".format(*colour_map(MAP).colours[step]) for step in steps]
    legend = (
        alt.Chart(pd.DataFrame({"energy": [low, high], "left": 0.0, "bottom": 0.0}))
        .mark_point(opacity=0, size=0)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "energy:Q",
                scale=alt.Scale(type="log", domain=[low, high], range=colours, interpolate="rgb"),
                legend=alt.Legend(
                    title="energy / mean of its kind",
                    labelExpr=_PLAIN,
                    orient="bottom",
                    gradientLength=220,
                    tickCount=4,
                ),
            ),
        )
    )
    return alt.layer(drawn, legend, _rings(peaks, x, y)).properties(height=height)


def axis_power_chart(reading: AxisReading, line: str, *, height: int = 210) -> alt.LayerChart:
    """Energy by frequency along one axis, with the band that 95 of 100 nulls stay in.

    Args: line: "row" or "column", of whose numbers the periods are.
    """
    frequencies = reading.power.frequencies[1:]
    table = _curve(frequencies, reading.relative)
    x = alt.X("at:Q", title=f"period, {line}s", scale=alt.Scale(domain=[0, 0.5], nice=False), axis=_axis((0, *TICKS)))
    y = alt.Y("value:Q", title="energy / mean", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
    band = _band(frequencies[[0, -1]] if len(frequencies) else frequencies, reading.relative_band[:, :1], x)
    curve = (
        alt.Chart(table)
        .mark_line(color=DATA_COLOUR, size=1.3)
        .encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("period:Q", title=f"period, {line}s", format=".4~g"),
                alt.Tooltip("value:Q", title="energy / mean", format=".3~f"),
            ],
        )
    )
    return alt.layer(*band, curve).properties(height=height)


def autocorrelation_chart(reading: AxisReading, line: str, *, height: int = 210) -> alt.LayerChart:
    """How alike weights are that stand so many rows (or columns) apart, with the band that 95 of 100 nulls stay in."""
    values = reading.autocorrelation[1:]
    lags = np.arange(1, len(values) + 1)
    table = pd.DataFrame({"at": lags, "value": values}).dropna()
    most = max(len(table), 2)
    x = alt.X("at:Q", title=f"{line}s apart", scale=alt.Scale(domain=[0, most], nice=False), axis=alt.Axis(grid=False))
    y = alt.Y("value:Q", title="correlation", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5))
    tips = [alt.Tooltip("at:Q", title=f"{line}s apart"), alt.Tooltip("value:Q", title="correlation", format=".4f")]
    base = alt.Chart(table).encode(x=x, y=y, tooltip=tips)
    sticks = base.mark_rule(color=DATA_COLOUR, size=1.2, opacity=0.6).encode(y2=alt.datum(0))
    band = _band(np.array([0, most]), reading.autocorrelation_band[:, 1:2], x)
    return alt.layer(*band, sticks, base.mark_circle(color=DATA_COLOUR, size=26, opacity=1)).properties(height=height)


def _rings(peaks: Sequence[Peak], x: alt.X, y: alt.Y) -> alt.Chart:
    rows = []
    for number, peak in enumerate(peaks, 1):
        words = {"rows": _period(peak.row_period), "columns": _period(peak.column_period)}
        numbers = {"height": peak.height, "share": peak.share, "p": peak.p_value, "number": number}
        rows.append({"left": peak.column_frequency, "bottom": peak.row_frequency, **words, **numbers})
    columns = ("left", "bottom", "rows", "columns", "height", "share", "p", "number")
    return (
        alt.Chart(pd.DataFrame(rows, columns=columns))
        .mark_point(shape="circle", size=190, strokeWidth=2.2, color=PEAK_COLOUR, filled=False)
        .encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("rows:N", title="period, rows"),
                alt.Tooltip("columns:N", title="period, columns"),
                alt.Tooltip("height:Q", title="energy / mean of its kind", format=".4~g"),
                alt.Tooltip("share:Q", title="of all energy", format=".2~%"),
                alt.Tooltip("p:Q", title="p", format=".2~f"),
            ],
        )
    )


def _band(ends: np.ndarray, limits: np.ndarray, x: alt.X) -> list[alt.Chart]:
    """A level band over the whole axis; nothing where there is none."""
    if len(ends) < 2 or not np.isfinite(limits).all():
        return []
    frame = pd.DataFrame({"at": ends, "low": float(limits[0, 0]), "high": float(limits[1, 0])})
    tips = [
        alt.Tooltip("low:Q", title="95 of 100 nulls: from", format=".4~f"),
        alt.Tooltip("high:Q", title="to", format=".4~f"),
    ]
    area = alt.Chart(frame).mark_area(color=NULL_COLOUR, opacity=0.3)
    return [area.encode(x=x, y=alt.Y("low:Q"), y2="high:Q", tooltip=tips)]


def _curve(places: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """The points of a curve: all, or the lowest and the highest of each group of neighbours."""
    kept = np.arange(len(values))
    if len(values) > MOST_POINTS:
        groups = np.array_split(kept, MOST_POINTS // 2)
        ends = [(group[values[group].argmin()], group[values[group].argmax()]) for group in groups]
        kept = np.unique(np.array(ends))
    with np.errstate(divide="ignore"):
        return pd.DataFrame({"at": places[kept], "value": values[kept], "period": 1 / places[kept]}).dropna()


def _axis(values: Sequence[float]) -> alt.Axis:
    return alt.Axis(values=sorted(values), labelExpr=_PERIOD, grid=False)


def _period(period: float) -> str:
    return "does not change" if np.isinf(period) else f"{period:.4g}"
