"""The pattern library as charts: what is kept of which model, which models are near, how a batch went."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

KIND_COLOURS = {
    "health": "#d62f3d",
    "forensics": "#e08a1e",
    "suggestion": "#4c8fd1",
    "shared": "#2a9d6f",
    "anomaly": "#8e6bbf",
}
STATE_COLOURS = {"done": "#2a9d6f", "failed": "#d62f3d", "waiting": "#87919c"}
HERE_COLOUR, IMPORTED_COLOUR = "#3d85c6", "#d9822b"
MOST_TITLES, MOST_MODELS = 24, 60


def kinds_by_model(marks: pd.DataFrame) -> alt.Chart:
    """A mark for every pattern that is kept of a model: patterns down, models across.

    Args: marks: columns model, title, kind; one row for each pattern and model.
    """
    counted = marks.groupby(["model", "title", "kind"], as_index=False).size()
    titles = counted.groupby("title")["model"].nunique().sort_values(ascending=False).index[:MOST_TITLES]
    shown = counted[counted["title"].isin(titles)]
    return (
        alt.Chart(shown)
        .mark_circle(opacity=0.9)
        .encode(
            x=alt.X("model:N", title=None, axis=alt.Axis(labelAngle=-30, labelLimit=160, grid=True)),
            y=alt.Y("title:N", sort=list(titles), title=None, axis=alt.Axis(labelLimit=300, grid=True)),
            size=alt.Size("size:Q", scale=alt.Scale(range=[110, 480]), legend=None),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=list(KIND_COLOURS), range=list(KIND_COLOURS.values())),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=["title:N", "model:N", "kind:N", alt.Tooltip("size:Q", title="times")],
        )
        .properties(height=alt.Step(30))
    )


def nearest_models(table: pd.DataFrame) -> alt.Chart:
    """Models by their likeness, those here and those that were imported told apart.

    Args: table: as `workflows.pattern_library.nearest` gives it.
    """
    shown = table.assign(where=["here" if origin == "here" else "imported" for origin in table["origin"]])
    return (
        alt.Chart(shown)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X(
                "similarity:Q", title="mean cosine", scale=alt.Scale(domain=[min(0, shown["similarity"].min()), 1])
            ),
            y=alt.Y("model:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)),
            color=alt.Color(
                "where:N",
                scale=alt.Scale(domain=["here", "imported"], range=[HERE_COLOUR, IMPORTED_COLOUR]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=[
                "model:N",
                alt.Tooltip("similarity:Q", format=".3f"),
                alt.Tooltip("matched:Q", format=".0%", title="matrices with a partner"),
                alt.Tooltip("origin:N", title="from"),
            ],
        )
        .properties(height=alt.Step(26))
    )


def batch_strip(rows: pd.DataFrame, steps: Sequence[str]) -> alt.Chart:
    """A batch at a glance: models across, steps down, each done, failed or waiting.

    Args: rows: columns model, step, state. steps: in order.
    """
    return (
        alt.Chart(rows)
        .mark_rect(cornerRadius=3, stroke="transparent", strokeWidth=3)
        .encode(
            x=alt.X(
                "model:N",
                sort=None,
                title=None,
                scale=alt.Scale(paddingInner=0.08),
                axis=alt.Axis(labelLimit=120, labelAngle=-30, labelOverlap=True),
            ),
            y=alt.Y(
                "step:N",
                sort=list(steps),
                title=None,
                scale=alt.Scale(paddingInner=0.12),
                axis=alt.Axis(labelLimit=140),
            ),
            color=alt.Color(
                "state:N",
                scale=alt.Scale(domain=list(STATE_COLOURS), range=list(STATE_COLOURS.values())),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=["model:N", "step:N", "state:N"],
        )
        .properties(height=alt.Step(20))
    )
