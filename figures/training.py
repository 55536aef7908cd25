"""A training as charts: loss beside held-out text, speed, the weights over steps."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

LOSS, HELD_OUT, BITS = "loss", "held_out/loss", "held_out/bits_per_byte"
"""Numbers of a history by name: nats per token of training and of held-out text, and bits per byte of the latter."""

TRAIN_COLOUR, HELD_OUT_COLOUR, GOOD_COLOUR, BAD_COLOUR = "#3d85c6", "#d9822b", "#2a9d6f", "#d9483b"
FAINT_COLOUR = "#87919c"
"""Mid-tones, which read on a light and on a dark page; everything else follows the page's theme."""

MOST_POINTS = 400
"""Of one line: more than a screen has room for, and a message of a few kB."""

SMOOTHING_POINTS = 15
"""A smooth line is the mean over so many neighbouring points, as many before as after: it does not lag behind."""

TRAINING, ON_HELD_OUT = "training text", "held-out text"


_STEP_NUMBER = "datum.value < 10000 ? format(datum.value, ',') : format(datum.value, '~s')"


def steps_axis(title: str | None = "step", count: int = 8, kind: str = "linear") -> alt.X:
    """The horizontal axis of every chart over steps."""
    axis = alt.Axis(grid=False, labelExpr=_STEP_NUMBER, tickCount=count, tickMinStep=1)
    return alt.X("step:Q", title=title, scale=alt.Scale(type=kind, nice=False), axis=axis)


def series(history: pd.DataFrame, name: str, most: int = MOST_POINTS) -> pd.DataFrame:
    """One number of a run by its steps: columns step and value, finite values only, one row a step (the last told).

    Args: history: columns step, name, value. most: rows; more are drawn together, neighbours to their mean, and the
        last one stays as it is.
    """
    rows = history.loc[history["name"] == name, ["step", "value"]]
    rows = rows[np.isfinite(rows["value"].astype(float))].drop_duplicates("step", keep="last").sort_values("step")
    rows = rows.reset_index(drop=True)
    if len(rows) <= most:
        return rows
    last, groups = rows.iloc[[-1]], np.arange(len(rows) - 1) * (most - 1) // (len(rows) - 1)
    return pd.concat([rows.iloc[:-1].groupby(groups).mean(), last], ignore_index=True)


def smoothed(values: pd.Series) -> pd.Series:
    """The running mean over SMOOTHING_POINTS, over fewer at both ends."""
    return values.rolling(SMOOTHING_POINTS, center=True, min_periods=1).mean()


def loss_chart(history: pd.DataFrame, *, is_log: bool = False, height: int = 320) -> alt.LayerChart:
    """Loss on training text, each step faint and their running mean strong, with held-out text beside it.

    Args: history: columns step, name, value, with LOSS and HELD_OUT. is_log: logarithmic steps, which show the start.
    Returns: a chart whose best held-out point is ringed.
    """
    train, held_out = series(history, LOSS), series(history, HELD_OUT)
    if is_log:
        train, held_out = train[train["step"] > 0], held_out[held_out["step"] > 0]
    train = train.assign(smooth=smoothed(train["value"]), what=TRAINING)
    held_out = held_out.assign(what=ON_HELD_OUT)
    kind = "log" if is_log else "linear"
    x = steps_axis(kind=kind)
    colour = alt.Color(
        "what:N",
        scale=alt.Scale(domain=[TRAINING, ON_HELD_OUT], range=[TRAIN_COLOUR, HELD_OUT_COLOUR]),
        legend=alt.Legend(orient="top", title=None, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1),
    )
    tip = [alt.Tooltip("what:N", title="on"), alt.Tooltip("step:Q", format=",.0f")]

    def y(field: str) -> alt.Y:
        axis = alt.Axis(format="~g", tickCount=6)
        return alt.Y(f"{field}:Q", title="loss, nats a token", scale=alt.Scale(zero=False), axis=axis)

    base = alt.Chart(train).encode(x=x, color=colour)
    seen = alt.Chart(held_out).encode(x=x, y=y("value"), color=colour)
    mean_tip = [*tip, alt.Tooltip("smooth:Q", title="running mean", format=".4f")]
    value_tip = [*tip, alt.Tooltip("value:Q", title="loss", format=".4f")]
    return alt.layer(
        base.mark_line(size=1, opacity=0.3).encode(y=y("value")),
        base.mark_line(size=2.5).encode(y=y("smooth"), tooltip=mean_tip),
        seen.mark_line(size=2),
        seen.mark_circle(size=46, opacity=1).encode(tooltip=value_tip),
        _ring(held_out, x, y("value")),
    ).properties(height=height)


def _ring(held_out: pd.DataFrame, x: alt.X, y: alt.Y) -> alt.Chart:
    """Around the best point."""
    best = held_out.loc[[held_out["value"].idxmin()]] if len(held_out) else held_out
    tip = [alt.Tooltip("step:Q", format=",.0f"), alt.Tooltip("value:Q", title="best held-out loss", format=".4f")]
    mark = alt.Chart(best).mark_point(size=190, color=GOOD_COLOUR, strokeWidth=2.5, filled=False)
    return mark.encode(x=x, y=y, tooltip=tip)


def sparkline(history: pd.DataFrame, names: Sequence[str] = (LOSS,), *, height: int = 56) -> alt.Chart:
    """The shape of a run for a card: the first of those numbers that it has, without axes."""
    rows = next((found for name in names if len(found := series(history, name, 120)) > 1), series(history, names[0], 1))
    smooth = rows.assign(value=smoothed(rows["value"]))
    base = alt.Chart(smooth).encode(
        x=alt.X("step:Q", axis=None, scale=alt.Scale(nice=False)),
        y=alt.Y("value:Q", axis=None, scale=alt.Scale(zero=False)),
    )
    fill = base.mark_area(color=TRAIN_COLOUR, opacity=0.14, line=False).encode(y2=alt.value(height))
    line = base.mark_line(color=TRAIN_COLOUR, size=2)
    return alt.layer(fill, line).properties(height=height).configure_view(strokeWidth=0)


def number_line(history: pd.DataFrame, name: str, title: str, *, number_format: str = "~s", height: int = 150):
    """One number over the steps: tokens a second, memory, learning rate.

    Args: name: of the number. title: of the axis, with its unit. number_format: d3's, for axis and pointer.
    """
    rows = series(history, name)
    return (
        alt.Chart(rows)
        .mark_line(color=TRAIN_COLOUR, size=2)
        .encode(
            x=steps_axis(None, 4),
            y=alt.Y(
                "value:Q",
                title=title,
                scale=alt.Scale(zero=False),
                axis=alt.Axis(format=number_format, tickCount=4, titleFontWeight="normal"),
            ),
            tooltip=[
                alt.Tooltip("step:Q", format=",.0f"),
                alt.Tooltip("value:Q", title=title, format=number_format.replace("~", ".4~")),
            ],
        )
        .properties(height=height)
    )


def layer_lines(table: pd.DataFrame, title: str, *, is_relative: bool = False, height: int = 300) -> alt.LayerChart:
    """One statistic of one role over the steps, a line for each layer, from the first (dark) to the last (light).

    Args:
        table: columns step, layer (null outside the layers), value. title: of the statistic.
        is_relative: each line divided by its first value, so that layers of different size can be told apart.
    """
    rows = table.dropna(subset=["value"]).sort_values("step").copy()
    rows["line"] = ["outside" if pd.isna(layer) else str(int(layer)) for layer in rows["layer"]]
    if is_relative:
        rows["value"] /= rows.groupby("line")["value"].transform("first").replace(0, np.nan)
        rows = rows.dropna(subset=["value"])
    lines = sorted(rows["line"].unique(), key=lambda line: (line == "outside", int(line) if line.isdigit() else 0))
    base = alt.Chart(rows).encode(
        x=steps_axis(),
        y=alt.Y(
            "value:Q",
            title=f"{title}, ÷ its first value" if is_relative else title,
            scale=alt.Scale(zero=False),
            axis=alt.Axis(format="~g", tickCount=6),
        ),
        color=alt.Color(
            "line:O",
            sort=lines,
            scale=alt.Scale(domain=lines, scheme="viridis"),
            legend=alt.Legend(title="layer", symbolLimit=40, orient="right"),
        ),
        tooltip=[
            alt.Tooltip("line:N", title="layer"),
            alt.Tooltip("step:Q", format=",.0f"),
            alt.Tooltip("value:Q", title=title, format=".5~g"),
        ],
    )
    return alt.layer(base.mark_line(size=2), base.mark_circle(size=36, opacity=1)).properties(height=height)
