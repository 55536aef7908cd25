"""How busy something was lately, as a small curve."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

COLOUR = "#0b6bcb"


def recent_use(percents: Sequence[float], length: int, height: int = 56) -> alt.Chart:
    """An area from 0 to 100 %, the newest point at the right edge; the scale never moves, so that heights compare.

    Args: percents: oldest first, at most `length` of them. length: points across. height: pixels.
    """
    start = length - len(percents)
    table = pd.DataFrame({"step": range(start, start + len(percents)), "percent": list(percents)})
    line = {"color": COLOUR, "strokeWidth": 1.5}
    return (
        alt.Chart(table, height=height)
        .mark_area(color=COLOUR, opacity=0.25, line=line, interpolate="monotone", point=len(percents) == 1)
        .encode(
            x=alt.X("step:Q", scale=alt.Scale(domain=[0, length - 1]), axis=None),
            y=alt.Y("percent:Q", scale=alt.Scale(domain=[0, 100]), axis=None),
            tooltip=[alt.Tooltip("percent:Q", title="%", format=".0f")],
        )
        .configure_view(stroke=None)
    )
