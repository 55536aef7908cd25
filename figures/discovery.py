"""Signatures as pictures: maps beside the null's map, groups, a dendrogram, similarities, and what is odd."""

from __future__ import annotations

import json

import altair as alt
import numpy as np
import pandas as pd

MAP_HEIGHT = 420
MOST_COLOURS = 10
OTHERS = "others"
NULL_COLOUR = "#8b949e"


def signature_map(
    points: np.ndarray, labels: pd.DataFrame, colour: str, *, title: str, explained: tuple[float, ...] = ()
) -> alt.LayerChart | alt.Chart:
    """A map of signatures; a click selects a point (parameter "picked", field "id").

    Args:
        points: (n, 2). labels: n rows with the columns "id", "model", "tensor", and `colour`; others are shown under
            the pointer. colour: the column that colours; a number gives a scale, text at most `MOST_COLOURS` colours
            and `OTHERS`. title: over the picture. explained: shares of variance of both axes, for PCA.
    """
    table = labels.reset_index(drop=True).assign(x=points[:, 0], y=points[:, 1])
    names = [f"component {axis + 1} ({share:.0%})" for axis, share in enumerate(explained)] or [None, None]
    picked = alt.selection_point(name="picked", fields=["id"], on="click", clear="dblclick")
    tooltips = [
        alt.Tooltip(f"{name}:{'Q' if is_number(table[name]) else 'N'}")
        for name in table.columns
        if name not in ("id", "x", "y")
    ]
    return (
        alt.Chart(_few_names(table, colour), title=title)
        .mark_circle(opacity=0.8, size=_size(len(table)))
        .encode(
            x=alt.X("x:Q", title=names[0], axis=_axis(bool(explained)), scale=alt.Scale(zero=False, padding=12)),
            y=alt.Y("y:Q", title=names[1], axis=_axis(bool(explained)), scale=alt.Scale(zero=False, padding=12)),
            color=_colour(table, colour),
            stroke=alt.condition(picked, alt.value("#e5484d"), alt.value("transparent"), empty=False),
            strokeWidth=alt.value(2.5),
            tooltip=tooltips,
        )
        .add_params(picked)
        .properties(height=MAP_HEIGHT + _legend_height(table[colour]))
    )


def null_map(points: np.ndarray, *, title: str, explained: tuple[float, ...] = ()) -> alt.Chart:
    """The same map of a null: what it shows as well is no finding. Grey, so that nobody takes it for weights."""
    names = [f"component {axis + 1} ({share:.0%})" for axis, share in enumerate(explained)] or [None, None]
    return (
        alt.Chart(pd.DataFrame({"x": points[:, 0], "y": points[:, 1]}), title=title)
        .mark_circle(opacity=0.6, size=_size(len(points)), color=NULL_COLOUR)
        .encode(
            x=alt.X("x:Q", title=names[0], axis=_axis(bool(explained)), scale=alt.Scale(zero=False, padding=12)),
            y=alt.Y("y:Q", title=names[1], axis=_axis(bool(explained)), scale=alt.Scale(zero=False, padding=12)),
        )
        .properties(height=MAP_HEIGHT)
    )


def similarity_map(cosines: np.ndarray, names: list[str], order: list[int] | None = None) -> alt.Chart:
    """A cell for every pair of models: the cosine of their signatures; names in the order of the dendrogram."""
    placed = [names[place] for place in (order if order is not None else range(len(names)))]
    rows, columns = np.indices(cosines.shape)
    table = pd.DataFrame(
        {
            "a": np.array(names, object)[rows.ravel()],
            "b": np.array(names, object)[columns.ravel()],
            "cosine": cosines.ravel(),
        }
    )
    return (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("b:N", sort=placed, title=None, axis=alt.Axis(labelAngle=-45, labelLimit=140, labelOverlap=False)),
            y=alt.Y("a:N", sort=placed, title=None, axis=alt.Axis(labelLimit=180, labelOverlap=False)),
            color=alt.Color(
                "cosine:Q",
                scale=alt.Scale(scheme="blueorange", domain=[-1, 1]),
                legend=alt.Legend(orient="top", gradientLength=120),
            ),
            tooltip=["a:N", "b:N", alt.Tooltip("cosine:Q", format=".3f")],
        )
        .properties(height=_model_height(len(names)))
    )


def dendrogram(linkage: np.ndarray, names: list[str]) -> alt.Chart:
    """Who joins whom at which distance: leaves at the left edge, 1 − cosine to the right.

    Args: linkage: scipy's, (n − 1, 4). names: of the n leaves.
    """
    from scipy.cluster.hierarchy import dendrogram as scipy_dendrogram

    tree = scipy_dendrogram(linkage, no_plot=True)
    lines = [
        {"branch": branch, "point": point, "distance": distance, "place": (place - 5) / 10}
        for branch, (places, distances) in enumerate(zip(tree["icoord"], tree["dcoord"], strict=True))
        for point, (place, distance) in enumerate(zip(places, distances, strict=True))
    ]
    leaves = json.dumps([names[leaf] for leaf in tree["leaves"]])
    axis = alt.Axis(
        values=list(range(len(names))),
        labelExpr=f"{leaves}[datum.value]",
        labelLimit=200,
        grid=False,
        ticks=False,
        domain=False,
    )
    scale = alt.Scale(domain=[-0.5, len(names) - 0.5], reverse=True, nice=False)
    return (
        alt.Chart(pd.DataFrame(lines))
        .mark_line(strokeWidth=1.6, color="#4c8bf5")
        .encode(
            x=alt.X("distance:Q", title="1 − cosine", scale=alt.Scale(zero=True)),
            y=alt.Y("place:Q", title=None, axis=axis, scale=scale),
            detail="branch:N",
            order="point:O",
        )
        .properties(height=_model_height(len(names)))
    )


def oddness(table: pd.DataFrame) -> alt.Chart:
    """Every signature by how far out it is: distance along, isolation up, those that hardly any normal one reaches red.

    Args: table: columns "model", "tensor", "distance", "isolation", "is_odd".
    """
    return (
        alt.Chart(table)
        .mark_circle(opacity=0.75, size=_size(len(table)))
        .encode(
            x=alt.X("distance:Q", title="robust Mahalanobis distance", scale=alt.Scale(type="symlog")),
            y=alt.Y("isolation:Q", title="isolation score", scale=alt.Scale(zero=False)),
            color=alt.Color(
                "is_odd:N",
                title=None,
                scale=alt.Scale(domain=[False, True], range=[NULL_COLOUR, "#e5484d"]),
                legend=None,
            ),
            tooltip=[
                "model:N",
                "tensor:N",
                alt.Tooltip("distance:Q", format=".1f"),
                alt.Tooltip("isolation:Q", format=".2f"),
            ],
        )
        .properties(height=280)
    )


def feature_spread(table: pd.DataFrame, feature: str, title: str, by: str) -> alt.LayerChart:
    """One feature by group: every matrix a tick, the group's median a line; the null of the same matrices beside it.

    Args: table: columns `by`, "value", "kind" ("weights" or "null"), "tensor", "model".
    """
    shown = alt.Chart(table.assign(feature=feature))
    y = alt.Y(f"{by}:N", title=None, axis=alt.Axis(labelLimit=200))
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=["weights", "null"], range=["#4c8bf5", NULL_COLOUR]),
        legend=alt.Legend(orient="top"),
    )
    ticks = shown.mark_tick(opacity=0.55, thickness=1.5).encode(
        x=alt.X("value:Q", title=title, scale=alt.Scale(zero=False)),
        y=y,
        yOffset="kind:N",
        color=colour,
        tooltip=["model:N", "tensor:N", alt.Tooltip("value:Q", format=".4~g")],
    )
    medians = shown.mark_tick(thickness=3.5).encode(x="median(value):Q", y=y, yOffset="kind:N", color=colour)
    return (ticks + medians).properties(height=max(140, 34 * table[by].nunique()))


def _legend_height(column: pd.Series) -> int:
    """What the legend takes from a picture, so that map and null keep the same size."""
    return 62 if is_number(column) else 42 + 22 * -(-min(column.nunique(), MOST_COLOURS) // 3)


def _model_height(count: int) -> int:
    """Of a picture with a line for each model, its labels and legend included."""
    return 200 + min(28 * count, 700)


def is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _few_names(table: pd.DataFrame, colour: str) -> pd.DataFrame:
    """The commonest names keep theirs, all others share one."""
    if is_number(table[colour]) or table[colour].nunique() <= MOST_COLOURS:
        return table
    kept = table[colour].value_counts().index[: MOST_COLOURS - 1]
    return table.assign(**{colour: table[colour].where(table[colour].isin(kept), OTHERS)})


def _colour(table: pd.DataFrame, colour: str) -> alt.Color:
    if is_number(table[colour]):
        return alt.Color(
            f"{colour}:Q", scale=alt.Scale(scheme="viridis"), legend=alt.Legend(orient="bottom", gradientLength=160)
        )
    return alt.Color(
        f"{colour}:N",
        scale=alt.Scale(scheme="tableau10"),
        legend=alt.Legend(orient="bottom", columns=3, labelLimit=120),
    )


def _axis(is_shown: bool) -> alt.Axis:
    """UMAP's and t-SNE's numbers mean nothing, so that they are not drawn."""
    return alt.Axis(grid=True) if is_shown else alt.Axis(labels=False, ticks=False, grid=False, domain=False)


def _size(count: int) -> int:
    return 70 if count <= 200 else 36 if count <= 2000 else 14
