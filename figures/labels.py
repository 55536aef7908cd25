"""Labels with their probabilities, as bars."""

from __future__ import annotations

import json
from collections.abc import Sequence

import altair as alt
import pandas as pd

BAR_COLOUR = "#3d85c6"
LABEL_COLOUR = "#87919c"
MOST_LABELS = 20


def label_bars(labels: Sequence[str], probabilities: Sequence[float], *, title: str = "probability") -> alt.LayerChart:
    """A bar for each label in the given order, at most MOST_LABELS; the axis always goes from 0 to 1.

    Args: labels: also repeated ones. probabilities: in [0, 1], as many.
    """
    shown = list(labels[:MOST_LABELS])
    table = pd.DataFrame(
        {
            "place": range(len(shown)),
            "label": shown,
            "probability": [float(each) for each in probabilities[: len(shown)]],
        }
    )
    # Bars are placed by number, so that two labels of one name are two bars; the axis shows the names.
    names = alt.Axis(labelExpr=f"{_spelt(shown)}[datum.value]", labelLimit=240, title=None, ticks=False, grid=False)
    base = alt.Chart(table).encode(y=alt.Y("place:O", axis=names))
    x = alt.X(
        "probability:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%", title=title, values=[0, 0.25, 0.5, 0.75, 1]),
    )
    bars = base.mark_bar(color=BAR_COLOUR, cornerRadiusEnd=3).encode(
        x=x, tooltip=[alt.Tooltip("label:N"), alt.Tooltip("probability:Q", format=".6f")]
    )
    numbers = base.mark_text(align="left", dx=5, color=LABEL_COLOUR).encode(
        x=x, text=alt.Text("probability:Q", format=".1%")
    )
    return alt.layer(bars, numbers).properties(height=max(80, 34 * len(shown) + 50))


def _spelt(labels: list[str]) -> str:
    """The labels as an array of Vega's expression language; JSON is that."""
    return json.dumps([label if len(label) <= 60 else label[:59] + "…" for label in labels])
