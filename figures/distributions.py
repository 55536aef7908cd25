"""The distribution of a tensor's entries as a chart, and the laws fitted to them."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from engine.distribution_fits import Law
from engine.measures.results import NUM_BINS, QUANTILE_PERCENTS, Distribution

BAR_COLOUR = "#3d85c6"
MARK_COLOUR = "#d9822b"
LABEL_COLOUR = "#87919c"
"""Mid-tones, which read on a light and on a dark page; everything else follows the page's theme."""

LAW_COLOURS = {"normal": "#8e6bbf", "Student-t": "#2f9e77"}

MARKED_PERCENTS = (0.1, 5.0, 50.0, 95.0, 99.9)
ROOM_FOR_MEDIAN = 0.25
"""Of the width: the median is named where its name does not run into the next one."""

_SHORT_NUMBER = "format(datum.value, '~s')"
"""0, 10, 1k: Vega's own axis format would give every label the largest one's prefix ("0k")."""

_LABELS = {0.1: "0.1 %", 50.0: "median", 99.9: "99.9 %"}


def histogram(
    distribution: Distribution, *, laws: Sequence[Law] = (), log_counts: bool = False, height: int = 280
) -> alt.LayerChart:
    """The stored 256-bin histogram with its quantiles marked, and how many weights each law expects in every bin.

    Args:
        distribution: of a tensor with at least one finite value. laws: of `engine.distribution_fits`, drawn as lines.
        log_counts: a logarithmic axis (0 stays visible as nothing), which shows single outliers. height: in pixels.
    Returns: a chart that takes its text and grid colours from the page's theme and needs no network.
    """
    bars = pd.DataFrame(_bins(distribution))
    expected = pd.concat([_expected(distribution, law) for law in laws]) if laws else None
    most = max(int(bars["count"].max()), 0 if expected is None else int(expected["expected"].max()))
    counts = _count_axis(most, log_counts)
    x = alt.X("low:Q", title="value", scale=alt.Scale(nice=False), axis=alt.Axis(format="~g", grid=False))
    drawn = bars[bars["count"] > 0]
    histogram_bars = (
        alt.Chart(drawn)
        .mark_rect(color=BAR_COLOUR)
        .encode(
            x=x,
            x2="high:Q",
            y=counts,
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("low:Q", title="from", format=".6~g"),
                alt.Tooltip("high:Q", title="to", format=".6~g"),
                alt.Tooltip("count:Q", title="weights", format=","),
                alt.Tooltip("share:Q", title="share", format=".3~%"),
            ],
        )
    )
    curves = [] if expected is None else [_curves(expected)]
    return alt.layer(histogram_bars, *curves, *_quantile_marks(distribution)).properties(height=height)


def _expected(distribution: Distribution, law: Law) -> pd.DataFrame:
    """How many of the finite weights a law puts into each bin, from the exact difference of its probabilities."""
    edges = np.linspace(distribution.bin_low, distribution.bin_high, NUM_BINS + 1)
    expected = distribution.num_finite * law.shares_between(edges)
    return pd.DataFrame({"middle": (edges[:-1] + edges[1:]) / 2, "expected": expected, "law": law.name})


def _curves(expected: pd.DataFrame) -> alt.Chart:
    names = list(expected["law"].unique())
    colours = alt.Scale(domain=names, range=[LAW_COLOURS[name] for name in names])
    return (
        alt.Chart(expected)
        .mark_line(strokeWidth=2, clip=True)
        .encode(
            x="middle:Q",
            y="expected:Q",
            color=alt.Color("law:N", scale=colours, legend=alt.Legend(title=None, orient="top")),
            tooltip=[
                alt.Tooltip("law:N"),
                alt.Tooltip("middle:Q", title="about", format=".6~g"),
                alt.Tooltip("expected:Q", title="weights expected", format=",.3~r"),
            ],
        )
    )


def _bins(distribution: Distribution) -> dict[str, np.ndarray]:
    edges = np.linspace(distribution.bin_low, distribution.bin_high, NUM_BINS + 1)
    counts = np.asarray(distribution.bin_counts, np.int64)
    return {"low": edges[:-1], "high": edges[1:], "count": counts, "share": counts / max(1, distribution.num_finite)}


def _count_axis(most: int, is_log: bool) -> alt.Y:
    if not is_log:
        return alt.Y("count:Q", title="weights", axis=alt.Axis(labelExpr=_SHORT_NUMBER, tickCount=5))
    axis = alt.Axis(values=[0, *(10**k for k in range(len(str(most))))], labelExpr=_SHORT_NUMBER)
    return alt.Y("count:Q", title="weights (log)", scale=alt.Scale(type="symlog"), axis=axis)


def _quantile_marks(distribution: Distribution) -> list[alt.Chart]:
    """A rule at each marked quantile; the outermost and the median are named."""
    marks = pd.DataFrame(
        [
            {
                "percent": percent,
                "value": float(distribution.quantiles[QUANTILE_PERCENTS.index(percent)]),
                "label": _LABELS.get(percent, ""),
            }
            for percent in MARKED_PERCENTS
        ]
    )
    rules = (
        alt.Chart(marks)
        .mark_rule(color=MARK_COLOUR, strokeDash=[3, 3])
        .encode(
            x="value:Q",
            size=alt.value(1.5),
            tooltip=[
                alt.Tooltip("percent:Q", title="percent of the weights"),
                alt.Tooltip("value:Q", title="are at most", format=".6~g"),
            ],
        )
    )
    texts, named = [], [(0.1, "right", -4), (50.0, "left", 4), (99.9, "left", 4)]
    upper = marks["value"].iloc[-1] - marks["value"].iloc[MARKED_PERCENTS.index(50.0)]
    if upper < ROOM_FOR_MEDIAN * (distribution.bin_high - distribution.bin_low):
        del named[1]
    for percent, align, offset in named:
        label = alt.Chart(marks[marks["percent"] == percent]).mark_text(
            color=LABEL_COLOUR, align=align, dx=offset, baseline="bottom", dy=-2
        )
        texts.append(label.encode(x="value:Q", y=alt.value(0), text="label:N"))
    return [rules, *texts]
