"""Measures along the depth of a model."""

from __future__ import annotations

import altair as alt
import pandas as pd

from engine.naming import ROLES, role_title

MOST_TICKS = 40


def measure_by_layer(
    table: pd.DataFrame, measure: str, *, title: str | None = None, height: int = 300
) -> alt.LayerChart:
    """One measure by layer, a line for each role; layers of several stacks follow each other.

    Args:
        table: a row for each (stack, layer, role), with columns "layer", "role" and the measure's name; "stack" where
            there are several. Rows outside the layers, and undefined values, are left out.
        measure: the column to draw. title: of the axis; the column's name if None. height: in pixels.
    Returns: a chart; its legend is clickable, to leave one role standing out.
    Raises: KeyError if the table has no such column.
    """
    columns = ["layer", "role", measure, *(["stack"] if "stack" in table else [])]
    drawn = table[columns].dropna(subset=["layer", measure]).copy()
    drawn["layer"] = drawn["layer"].astype(int)
    drawn["stack"] = drawn["stack"].fillna("") if "stack" in drawn else ""
    drawn["role"] = drawn["role"].map(str)
    roles = [role for role in ROLES if role in set(drawn["role"])]
    roles += sorted(set(drawn["role"]) - set(roles))
    drawn["what"] = drawn["role"].map(role_title)
    drawn = drawn.rename(columns={measure: "value"})
    picked = alt.selection_point(fields=["what"], bind="legend")
    most = int(drawn["layer"].max()) if len(drawn) else 0
    ticks = alt.Axis(tickMinStep=1, format="d", tickCount=min(most + 1, MOST_TICKS))
    base = alt.Chart(drawn).encode(
        x=alt.X("layer:Q", title="layer", axis=ticks),
        y=alt.Y("value:Q", title=title or measure, scale=alt.Scale(zero=False), axis=alt.Axis(format="~g")),
        color=alt.Color("what:N", title=None, sort=[role_title(role) for role in roles]),
        detail="stack:N",
        opacity=alt.condition(picked, alt.value(1.0), alt.value(0.15)),
        tooltip=[
            alt.Tooltip("what:N", title="role"),
            alt.Tooltip("layer:Q", title="layer", format="d"),
            *([alt.Tooltip("stack:N", title="stack")] if drawn["stack"].any() else []),
            alt.Tooltip("value:Q", title=title or measure, format=".6~g"),
        ],
    )
    points = base.mark_point(filled=True, size=45).add_params(picked)
    return alt.layer(base.mark_line(), points).properties(height=height)
