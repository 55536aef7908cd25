"""Charts of attention heads: the norms of their parts, the singular values of their circuits; tokens as labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

SELECTED_COLOUR = "#d9822b"
QUIET_COLOUR = "#87919c"
PART_COLOURS = {"Query": "#3d85c6", "Key": "#4fa3a5", "Value": "#8e6fc1", "Output": "#c2699b"}
"""Mid-tones, which read on a light and on a dark page."""

MOST_MARKS = 5_000
"""Of one chart: what Altair takes at most."""

_SIGNS = {" ": "·", "\n": "↵", "\r": "␍", "\t": "⇥", "\u00a0": "⍽", "": "∅"}


def visible(token: str) -> str:
    """A token as a label: its spaces, line ends and what else has no picture are made visible; "∅" for nothing.

    Marks of writing direction and other unprintable characters become their code, so that no token can turn around or
    hide the text beside it.
    """
    if token == "":
        return _SIGNS[""]
    return "".join(_SIGNS.get(c) or (c if c.isprintable() else f"⟨{ord(c):x}⟩") for c in token)


def norm_bars(norms: Mapping[str, np.ndarray], selected: int | None = None) -> alt.Chart:
    """Norms of every head's parts beside each other; the selected head in full colour.

    Args: norms: part's title -> (heads,). NaN draws nothing. selected: a head.
    """
    table = pd.DataFrame(
        [
            {"head": head, "part": part, "norm": float(value), "is_selected": selected in (None, head)}
            for part, values in norms.items()
            for head, value in enumerate(values)
            if np.isfinite(value)
        ],
        columns=["head", "part", "norm", "is_selected"],
    )
    order = list(norms)
    return (
        alt.Chart(table)
        .mark_bar(cornerRadiusEnd=1)
        .encode(
            x=alt.X("head:O", title="head", axis=alt.Axis(labelAngle=0, labelOverlap=True, grid=False)),
            xOffset=alt.XOffset("part:N", sort=order),
            y=alt.Y("norm:Q", title="Frobenius norm", axis=alt.Axis(tickCount=5)),
            color=alt.Color(
                "part:N",
                sort=order,
                scale=alt.Scale(domain=order, range=[PART_COLOURS.get(part, QUIET_COLOUR) for part in order]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            opacity=alt.condition("datum.is_selected", alt.value(1.0), alt.value(0.4)),
            tooltip=[alt.Tooltip("head:O"), alt.Tooltip("part:N"), alt.Tooltip("norm:Q", format=".6~g")],
        )
        .properties(height=260)
    )


def singular_value_curves(curves: Sequence[np.ndarray], selected: int | None = None) -> alt.LayerChart:
    """Singular values of one circuit of every head, falling; the selected head's in front.

    Args: curves: one for each head, (width,); NaN draws nothing. Beyond 5,000 points together, evenly spaced ranks are
        drawn, the first and the last among them.
    """
    table = pd.DataFrame(
        [point for head, values in enumerate(curves) for point in _points(head, values, MOST_MARKS // len(curves))],
        columns=["head", "rank", "value"],
    )
    base = alt.Chart(table).encode(
        x=alt.X("rank:Q", title="number, from the largest", scale=alt.Scale(nice=False), axis=alt.Axis(grid=False)),
        y=alt.Y("value:Q", title="singular value", axis=alt.Axis(tickCount=5)),
        detail="head:N",
        tooltip=[
            alt.Tooltip("head:N"),
            alt.Tooltip("rank:Q", title="number"),
            alt.Tooltip("value:Q", title="singular value", format=".6~g"),
        ],
    )
    quiet = base.mark_line(color=QUIET_COLOUR, strokeWidth=1, opacity=0.45, clip=True)
    points = alt.OverlayMarkDef(size=14, color=SELECTED_COLOUR)
    front = base.mark_line(color=SELECTED_COLOUR, strokeWidth=2.5, point=points)
    front = front.transform_filter(alt.datum.head == (-1 if selected is None else selected))
    return alt.layer(quiet, front).properties(height=220)


def _points(head: int, values: np.ndarray, most: int) -> list[tuple[int, int, float]]:
    count = len(values)
    ranks = range(count) if count <= most else sorted({round(x) for x in np.linspace(0, count - 1, max(2, most))})
    return [(head, rank + 1, float(values[rank])) for rank in ranks if np.isfinite(values[rank])]
