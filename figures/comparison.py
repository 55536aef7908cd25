"""What changed between two checkpoints as pictures: by layer and role, and over versions."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from engine.naming import ROLES, role_title

OUTSIDE = "outside"
ROW_HEIGHT = 26


def change_map(stats: pd.DataFrame, measure: str, title: str, *, is_dark: bool = False) -> alt.Chart:
    """One cell for every layer and role: the largest value of its tensors; what is outside the layers stands left.

    Args:
        stats: rows of the view `comparison_stats`, pairs only. measure: a column of it, all ≥ 0. title: its name.
    """
    rows = stats.dropna(subset=[measure])
    cells = pd.DataFrame(
        {
            "layer": [OUTSIDE if pd.isna(layer) else str(layer) for layer in rows["layer"]],
            "role": [_role(*each) for each in zip(rows["stack"], rows["role"], rows["part"], strict=True)],
            "rank": [ROLES.index(role) if role in ROLES else len(ROLES) for role in rows["role"]],
            "tensor": rows["tensor_a"],
            "value": rows[measure].astype(float),
        }
    )
    cells = cells.sort_values("value", ascending=False).drop_duplicates(["layer", "role"])
    order = list(dict.fromkeys(cells.sort_values(["rank", "role"])["role"]))
    numbers = sorted({int(layer) for layer in cells["layer"] if layer != OUTSIDE})
    layers = [*([OUTSIDE] if (cells["layer"] == OUTSIDE).any() else []), *map(str, numbers)]
    return (
        alt.Chart(cells)
        .mark_rect(stroke="#0f141a" if is_dark else "#ffffff", strokeWidth=1)
        .encode(
            x=alt.X(
                "layer:N",
                title="layer",
                scale=alt.Scale(domain=layers),
                axis=alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, domain=False),
            ),
            y=alt.Y(
                "role:N",
                title=None,
                scale=alt.Scale(domain=order),
                axis=alt.Axis(labelLimit=240, ticks=False, domain=False),
            ),
            color=alt.Color(
                "value:Q",
                title=title,
                scale=alt.Scale(scheme="viridis", zero=True, reverse=False),
                legend=alt.Legend(format=".3~g", orient="top", gradientLength=220),
            ),
            tooltip=[
                alt.Tooltip("tensor:N"),
                alt.Tooltip("layer:N"),
                alt.Tooltip("value:Q", title=title, format=".4~g"),
            ],
        )
        .properties(height=110 + ROW_HEIGHT * len(order))
    )


def change_lines(versions: list[tuple[str, pd.DataFrame]], measure: str, title: str) -> alt.Chart:
    """How far each role has moved, version by version: the mean over its tensors, weighted by entries.

    Args:
        versions: (label, its rows of `comparison_stats` against the first one), in order of time. measure: a column.
    """
    points = []
    for order, (label, stats) in enumerate(versions):
        rows = stats.dropna(subset=[measure, "num_compared"])
        for role, group in rows[rows["part"] == "weight"].groupby("role"):
            value = np.average(group[measure].astype(float), weights=np.maximum(group["num_compared"].astype(float), 1))
            points.append({"version": label, "order": order, "role": role_title(str(role)), "value": value})
    labels = [label for label, _ in versions]
    frame = pd.DataFrame(points, columns=["version", "order", "role", "value"])
    return (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            x=alt.X("version:N", title=None, scale=alt.Scale(domain=labels), axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title=title, axis=alt.Axis(format="~g")),
            color=alt.Color("role:N", title=None, legend=alt.Legend(columns=1)),
            tooltip=["role:N", "version:N", alt.Tooltip("value:Q", title=title, format=".4~g")],
        )
        .properties(height=320)
    )


def _role(stack: str, role: str, part: str) -> str:
    words = [stack] if stack else []
    return " · ".join([*words, role_title(role) + ("" if part == "weight" else f", {part}")])
