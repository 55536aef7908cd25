"""A matrix's spectrum as charts: the density of its eigenvalues against noise, its singular values, and all layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import altair as alt
import numpy as np
import pandas as pd

DATA_COLOUR, SPIKE_COLOUR = "#3d85c6", "#d9483b"
IID_COLOUR, SCALED_COLOUR, TAIL_COLOUR = "#87919c", "#d9822b", "#2a9d6f"
"""Mid-tones, which read on a light and on a dark page; everything else follows the page's theme."""

NUM_BINS = 60
NUM_POINTS = 160
"""Of a curve; `curve_points` gives the places."""

LEAST_DECADES, MOST_DECADES = 2.0, 6.0
"""The logarithmic axis shows so many decades below the largest eigenvalue: what lies further down is no direction that
anybody looks for, and would squeeze the bulk."""

LOWEST_COUNT = 0.1
"""Where curves leave the picture on a logarithmic axis of counts: a tenth of an eigenvalue."""

_PLAIN_NUMBER = "datum.value < 1 ? format(datum.value, '~g') : format(datum.value, ',')"

MOST_MARKS = 500
"""Spikes that get a mark of their own."""

OUTSIDE = "outside"

IID, SCALED, TAIL = "Marchenko–Pastur (entries shuffled)", "row × column noise", "power-law tail"


@dataclass(frozen=True, eq=False)
class SpectrumPicture:
    """What is drawn of one spectrum.

    Attributes:
        eigenvalues: (k,) λ = σ², descending. num_spikes: how many of the largest count as spikes.
        edges: name of a curve -> its edge λ. curves: name -> (num_points,) density at `curve_points`, integral 1.
        alpha, x_min, num_tail: the power law of the tail; NaN and 0 where there is none.
    """

    eigenvalues: np.ndarray
    num_spikes: int = 0
    edges: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)
    alpha: float = math.nan
    x_min: float = math.nan
    num_tail: int = 0

    @property
    def threshold(self) -> float:
        """A λ between the smallest spike and the next eigenvalue; ∞ without spikes."""
        if not self.num_spikes:
            return math.inf
        smallest, following = np.append(self.eigenvalues, 0.0)[self.num_spikes - 1 : self.num_spikes + 1]
        return float(np.sqrt(smallest * max(following, smallest / 4)))


def curve_points(eigenvalues: np.ndarray, is_log: bool) -> np.ndarray:
    """Where curves are drawn: (160,) λ, ascending, evenly over the axis that the density of these eigenvalues has."""
    low, high = _range(eigenvalues, is_log)
    return np.geomspace(low, high, NUM_POINTS) if is_log else np.linspace(low, high, NUM_POINTS + 1)[1:]


def eigenvalue_density(picture: SpectrumPicture, *, is_log: bool = True, height: int = 360) -> alt.LayerChart:
    """How many eigenvalues lie where, with the bulk that noise would give, its edges, the spikes and the fitted tail.

    Args: is_log: both axes logarithmic; a power law is then a straight line. height: in pixels.
    Returns: a chart that needs no network; curves are in eigenvalues per bar, as the bars.
    """
    edges = _bin_edges(picture.eigenvalues, is_log)
    low = edges[0]
    positive = picture.eigenvalues[picture.eigenvalues >= low]
    counts, _ = np.histogram(positive, edges)
    bars = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": counts})
    bars["kind"] = np.where(edges[:-1] >= picture.threshold, "spikes", "bulk")
    x_scale = alt.Scale(type="log" if is_log else "linear", domain=[edges[0], edges[-1]], nice=False)
    x = alt.X("low:Q", title="eigenvalue λ = σ²", scale=x_scale, axis=alt.Axis(format="~g", grid=False, tickCount=6))
    most = max(int(counts.max(initial=1)), 1)
    y_scale = alt.Scale(type="log", domain=[LOWEST_COUNT, most * 1.6]) if is_log else alt.Scale(domain=[0, most * 1.08])
    ticks = {"values": [0.1, *(10**k for k in range(len(str(most)) + 1))]} if is_log else {"tickCount": 5}
    y = alt.Y("count:Q", title="eigenvalues", scale=y_scale, axis=alt.Axis(labelExpr=_PLAIN_NUMBER, **ticks))
    drawn = (
        alt.Chart(bars[bars["count"] > 0])
        .mark_rect(stroke=None, opacity=0.85)
        .encode(
            x=x,
            x2="high:Q",
            y=y,
            y2=alt.datum(LOWEST_COUNT if is_log else 0),
            color=alt.Color(
                "kind:N", scale=alt.Scale(domain=["bulk", "spikes"], range=[DATA_COLOUR, SPIKE_COLOUR]), legend=None
            ),
            tooltip=[
                alt.Tooltip("low:Q", title="λ from", format=".4~g"),
                alt.Tooltip("high:Q", title="to", format=".4~g"),
                alt.Tooltip("count:Q", title="eigenvalues"),
            ],
        )
    )
    layers = [drawn, *_curves(picture, edges, is_log, y), *_edges(picture, edges)]
    if picture.num_spikes:
        layers.append(_spike_marks(picture.eigenvalues[: picture.num_spikes], x))
    return alt.layer(*layers).resolve_scale(color="independent").properties(height=height)


def singular_value_curve(picture: SpectrumPicture, *, is_log: bool = True, height: int = 360) -> alt.LayerChart:
    """The singular values in falling order, spikes in their colour, with the edges as lines across.

    Values of 0 are left out on logarithmic axes. At most some 500 points are drawn, all of the first 64 among them.
    """
    values = np.sqrt(picture.eigenvalues)
    spread = np.geomspace(1, len(values), 450) - 1
    ranks = np.unique(np.concatenate([np.arange(min(64, len(values))), spread]).astype(int))
    table = pd.DataFrame({"rank": ranks + 1, "value": values[ranks]})
    table["kind"] = np.where(table["value"] ** 2 > picture.threshold, "spikes", "bulk")
    if is_log:
        table = table[table["value"] > values[0] * 10 ** (-MOST_DECADES)] if values[0] > 0 else table[:0]
    kind = "log" if is_log else "linear"
    base = alt.Chart(table).encode(
        x=alt.X("rank:Q", scale=alt.Scale(type=kind, nice=False), axis=alt.Axis(format="~s", grid=False)),
        y=alt.Y(
            "value:Q",
            title="singular value σ",
            scale=alt.Scale(type=kind, nice=False),
            axis=alt.Axis(format="~g", tickCount=6),
        ),
    )
    points = base.mark_circle(size=22, opacity=0.9).encode(
        color=alt.Color(
            "kind:N", scale=alt.Scale(domain=["bulk", "spikes"], range=[DATA_COLOUR, SPIKE_COLOUR]), legend=None
        ),
        tooltip=[alt.Tooltip("rank:Q"), alt.Tooltip("value:Q", title="σ", format=".5~g")],
    )
    rules = [
        alt.Chart(pd.DataFrame({"value": [math.sqrt(edge)], "what": [f"edge of {name}"]}))
        .mark_rule(color=_colour(name), strokeDash=[5, 3], size=1.5)
        .encode(y="value:Q", tooltip=["what:N", alt.Tooltip("value:Q", title="σ", format=".4~g")])
        for name, edge in picture.edges.items()
        if edge > 0
    ]
    return alt.layer(base.mark_line(color=DATA_COLOUR, opacity=0.35, size=1), points, *rules).properties(height=height)


def measure_by_layer(
    table: pd.DataFrame, name: str, title: str, *, band: tuple[float, float] | None = None, height: int = 320
) -> alt.LayerChart:
    """One measure of every matrix over the layers, a line for each role; a point can be clicked (selection "matrix").

    Args:
        table: with the columns layer (nullable), role (as shown), tensor, and the measure; undefined rows are left out.
        name: the measure's column. title: of the axis. band: a range to shade, from and to.
    Returns: a chart; what lies outside the layers stands at the left.
    """
    shown = table[["tensor", "role", "layer", name]].copy()
    shown = shown[np.isfinite(shown[name].astype(float))]
    shown["place"] = [OUTSIDE if pd.isna(layer) else str(layer) for layer in shown["layer"]]
    layers = sorted({int(layer) for layer in shown["layer"].dropna()})
    order = [*([OUTSIDE] if (shown["place"] == OUTSIDE).any() else []), *map(str, layers)]
    shown = shown.drop(columns="layer").rename(columns={name: "value"})
    x = alt.X("place:O", title="layer", sort=order, axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(format="~g", tickCount=6))
    colour = alt.Color("role:N", title=None, legend=alt.Legend(orient="right", symbolLimit=24, labelLimit=160))
    picked = alt.selection_point(name="matrix", fields=["tensor"], on="click", empty=True)
    lines = (
        alt.Chart(shown[shown["place"] != OUTSIDE])
        .mark_line(size=1.5, opacity=0.6)
        .encode(x=x, y=y, color=colour, detail="role:N")
    )
    points = (
        alt.Chart(shown)
        .mark_circle(size=70)
        .encode(
            x=x,
            y=y,
            color=colour,
            opacity=alt.condition(picked, alt.value(1.0), alt.value(0.35)),
            tooltip=[
                alt.Tooltip("tensor:N"),
                alt.Tooltip("place:O", title="layer"),
                alt.Tooltip("value:Q", title=title, format=".5~g"),
            ],
        )
        .add_params(picked)
    )
    shade = [] if band is None or shown.empty else [_band(*band)]
    return alt.layer(*shade, lines, points).properties(height=height)


def _band(low: float, high: float) -> alt.Chart:
    table = pd.DataFrame({"low": [low], "high": [high]})
    return alt.Chart(table).mark_rect(color=TAIL_COLOUR, opacity=0.12).encode(y=alt.Y("low:Q"), y2="high:Q")


def _range(eigenvalues: np.ndarray, is_log: bool) -> tuple[float, float]:
    largest = float(np.max(eigenvalues, initial=0.0)) or 1.0
    if not is_log:
        return 0.0, largest * 1.04
    positive = eigenvalues[eigenvalues > largest * 10**-MOST_DECADES]
    low = float(np.quantile(positive, 0.01)) if len(positive) else largest * 10**-LEAST_DECADES
    return min(low / 1.3, largest * 10**-LEAST_DECADES), largest * 1.2


def _bin_edges(eigenvalues: np.ndarray, is_log: bool) -> np.ndarray:
    low, high = _range(eigenvalues, is_log)
    return np.geomspace(low, high, NUM_BINS + 1) if is_log else np.linspace(low, high, NUM_BINS + 1)


def _curves(picture: SpectrumPicture, edges: np.ndarray, is_log: bool, y: alt.Y) -> list[alt.Chart]:
    """The bulks and the tail in eigenvalues per bar."""
    points = curve_points(picture.eigenvalues, is_log)
    width = points * math.log(edges[1] / edges[0]) if is_log else np.full(NUM_POINTS, edges[1] - edges[0])
    curves = {name: density * width * len(picture.eigenvalues) for name, density in picture.curves.items()}
    if picture.num_tail:
        steepness = picture.alpha - 1
        density = np.where(
            points >= picture.x_min, steepness / picture.x_min * (points / picture.x_min) ** -picture.alpha, 0.0
        )
        curves[TAIL] = density * width * picture.num_tail
    least = LOWEST_COUNT if is_log else 1e-9
    rows = [
        {"low": place, "count": count, "curve": name}
        for name, counts in curves.items()
        for place, count in zip(points, counts, strict=True)
        if count >= least
    ]
    if not rows:
        return []
    names = [name for name in (IID, SCALED, TAIL) if name in curves]
    colour = alt.Color(
        "curve:N",
        scale=alt.Scale(domain=names, range=[_colour(name) for name in names]),
        legend=alt.Legend(orient="top", title=None, labelLimit=260, symbolType="stroke", symbolStrokeWidth=3),
    )
    chart = alt.Chart(pd.DataFrame(rows)).mark_line(size=2.5, clip=True).encode(x="low:Q", y=y, color=colour)
    return [chart]


def _edges(picture: SpectrumPicture, edges: np.ndarray) -> list[alt.Chart]:
    marks = [
        {"low": edge, "what": f"edge of {name}", "curve": name}
        for name, edge in picture.edges.items()
        if edges[0] <= edge <= edges[-1]
    ]
    return [
        alt.Chart(pd.DataFrame([mark]))
        .mark_rule(color=_colour(mark["curve"]), strokeDash=[5, 3], size=1.5)
        .encode(x="low:Q", tooltip=[alt.Tooltip("what:N", title=" "), alt.Tooltip("low:Q", title="λ", format=".4~g")])
        for mark in marks
    ]


def _spike_marks(spikes: np.ndarray, x: alt.X) -> alt.Chart:
    """A small triangle above every spike, at the top of the picture: a bar of one is easily overlooked."""
    return (
        alt.Chart(pd.DataFrame({"low": spikes[:MOST_MARKS]}))
        .mark_point(shape="triangle-down", color=SPIKE_COLOUR, filled=True, size=32, opacity=0.9)
        .encode(x=x, y=alt.value(5), tooltip=[alt.Tooltip("low:Q", title="spike λ", format=".5~g")])
    )


def _colour(name: str) -> str:
    return {IID: IID_COLOUR, SCALED: SCALED_COLOUR}.get(name, TAIL_COLOUR)
