"""A shared-pattern test as charts: effects with intervals, net dividends as a matrix, the subspace test, its power."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

FOUND_COLOUR, OPEN_COLOUR = "#3d85c6", "#87919c"
SHARED_COLOUR, NULL_COLOUR, SIBLING_COLOUR, PROOFLESS_COLOUR = "#2a9d6f", "#87919c", "#d9822b", "#b8bec6"
"""Mid-tones, which read on a light and on a dark page; everything else follows the page's theme."""

MOST_EFFECTS = 40
MOST_NUMBERS = 14
"""Up to so many models the cells of the matrix hold their number; more would not be legible."""

LABEL_LENGTH = 28
_ROW = 20


def effect_forest(effects: pd.DataFrame, *, question: str = "level", alpha: float = 0.05) -> alt.LayerChart:
    """Effects with their 95 % intervals, the most certain on top; those within the null's reach are grey.

    Args:
        effects: as `store.pattern_effects` gives them. question: "level" (Cliff's δ) or "agreement" (excess of ρ).
        alpha: q up to which an effect counts as found.
    """
    shown = effects[effects["question"] == question].head(MOST_EFFECTS).copy()
    joined = shown["feature"].str.replace("_", " ")
    shown["label"] = (
        joined if question == "agreement" else joined + " · " + shown["role"].fillna("").str.replace("_", " ")
    )
    shown["state"] = np.where(shown["q_value"] <= alpha, "beyond the null", "not told from the null")
    title = "Cliff's δ against the null" if question == "level" else "agreement on positions, ρ beyond the null's"
    y = alt.Y(
        "label:N",
        sort=None,
        title=None,
        axis=alt.Axis(labelLimit=320, labelOverlap=False, grid=True, ticks=False, domain=False),
    )
    ends = shown[["low", "high", "effect"]]
    span = (
        [-1.0, 1.0]
        if question == "level"
        else [min(float(ends.min().min()), -0.02), max(float(ends.max().max()), 0.02)]
    )
    x_scale = alt.Scale(domain=span)
    colour = alt.Color(
        "state:N",
        scale=alt.Scale(domain=["beyond the null", "not told from the null"], range=[FOUND_COLOUR, OPEN_COLOUR]),
        legend=alt.Legend(title=None, orient="top"),
    )
    tooltip = [
        alt.Tooltip("feature:N"),
        *([alt.Tooltip("role:N")] if question == "level" else []),
        alt.Tooltip("effect:Q", format="+.3f"),
        alt.Tooltip("low:Q", format="+.3f", title="from"),
        alt.Tooltip("high:Q", format="+.3f", title="to"),
        alt.Tooltip("p_value:Q", format=".3g", title="p"),
        alt.Tooltip("q_value:Q", format=".3g", title="q"),
        alt.Tooltip("num_lineages:Q", title="independent models"),
    ]
    base = alt.Chart(shown).encode(y=y, color=colour, tooltip=tooltip)
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title, scale=x_scale), x2="high:Q")
    points = base.mark_circle(size=70, opacity=1).encode(x=alt.X("effect:Q", scale=x_scale))
    zero = alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(color=OPEN_COLOUR, strokeDash=[4, 4]).encode(x="x:Q")
    return alt.layer(zero, bars, points).properties(height=max(120, _ROW * len(shown) + 60))


def dividend_matrix(names: Sequence[str], pairs: pd.DataFrame) -> alt.LayerChart:
    """Net sharing dividends of all pairs as a square: empty for none, green for much, on a scale of square roots.

    Args: names: of all models, in order. pairs: as `store.pattern_pairs` gives them; a missing pair has no cell.
    """
    numbers = {name: place for place, name in enumerate(names)}
    order = [f"{place + 1} · {_short(name)}" for place, name in enumerate(names)]
    rows = []
    for pair in pairs.to_dict("records"):
        for first, second in ((pair["model_a"], pair["model_b"]), (pair["model_b"], pair["model_a"])):
            rows.append(pair | {"first": first, "second": second})
    table = pd.DataFrame(rows, columns=[*pairs.columns, "first", "second"])
    table["row"] = [order[numbers[name]] for name in table["first"]]
    table["column"] = [str(numbers[name] + 1) for name in table["second"]]
    table["kind"] = np.where(table["is_related"].astype(bool), "relatives", "no common origin")
    table["shown"] = np.sqrt(np.clip(table["net"].astype(float), 0, 1))
    base = alt.Chart(table).encode(
        x=alt.X(
            "column:N",
            sort=[str(place + 1) for place in range(len(names))],
            scale=alt.Scale(domain=[str(place + 1) for place in range(len(names))]),
            title=None,
            axis=alt.Axis(labelAngle=0, orient="top"),
        ),
        y=alt.Y("row:N", sort=order, scale=alt.Scale(domain=order), title=None, axis=alt.Axis(labelLimit=260)),
    )
    cells = base.mark_rect(cornerRadius=2, color=SHARED_COLOUR).encode(
        opacity=alt.Opacity("shown:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 1]), legend=None),
        tooltip=[
            alt.Tooltip("first:N", title="model"),
            alt.Tooltip("second:N", title="and"),
            alt.Tooltip("kind:N", title="origin"),
            alt.Tooltip("net:Q", format=".4f", title="net bits per weight"),
            alt.Tooltip("low:Q", format=".4f", title="from"),
            alt.Tooltip("high:Q", format=".4f", title="to"),
            alt.Tooltip("gross:Q", format=".4f", title="before the null"),
            alt.Tooltip("null_bits:Q", format=".4f", title="the null's"),
            alt.Tooltip("coded_gain:Q", format=".4f", title="saved by coding"),
            alt.Tooltip("alignment:N", title="laid over"),
        ],
    )
    layers = [cells]
    if len(names) <= MOST_NUMBERS:
        numbers_drawn = base.mark_text(fontSize=11).encode(
            text=alt.Text("net:Q", format=".3f"),
            color=alt.condition("datum.shown > 0.35", alt.value("#ffffff"), alt.value(OPEN_COLOUR)),
        )
        layers.append(numbers_drawn)
    return alt.layer(*layers).properties(height=max(140, min(34 * len(names) + 60, 900)))


def subspace_chart(table: pd.DataFrame, *, height: int = 300) -> alt.LayerChart:
    """How much of a left-out model the directions of others explain, against their number, beside its controls.

    Args: table: as `store.pattern_subspace` gives it. The axis is logarithmic: honest shares are near zero.
    """
    kinds = {
        "unrelated": ("left out, unrelated models", SHARED_COLOUR),
        "null_share": ("the same of nulls", NULL_COLOUR),
        "left_out": ("left out, relatives among the others", SIBLING_COLOUR),
        "in_sample": ("in sample (proves nothing)", PROOFLESS_COLOUR),
    }
    if np.allclose(table["left_out"], table["unrelated"], equal_nan=True):
        del kinds["left_out"]  # there are no relatives
    long = table.melt(["num_directions"], list(kinds), "kind", "share").dropna(subset="share")
    long["kind"] = long["kind"].map({name: title for name, (title, _) in kinds.items()})
    long["share"] = long["share"].clip(lower=1e-7)
    titles = [title for title, _ in kinds.values()]
    lines = (
        alt.Chart(long)
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X("num_directions:Q", title="directions", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y(
                "share:Q",
                title="share of a model explained",
                scale=alt.Scale(type="log", domainMax=1),
                axis=alt.Axis(format=".3~%", values=[10.0**k for k in range(-7, 1)]),
            ),
            color=alt.Color(
                "kind:N",
                sort=titles,
                scale=alt.Scale(domain=titles, range=[colour for _, colour in kinds.values()]),
                legend=alt.Legend(title=None, orient="top", columns=2, labelLimit=280),
            ),
            strokeDash=alt.condition(
                "datum.kind == 'in sample (proves nothing)'", alt.value([4, 4]), alt.value([1, 0])
            ),
            tooltip=[
                alt.Tooltip("kind:N", title="what"),
                alt.Tooltip("num_directions:Q", title="directions"),
                alt.Tooltip("share:Q", format=".4%"),
            ],
        )
    )
    mean = float(table["mean_only"].iloc[0]) if len(table) else float("nan")
    if not mean > 0:
        return alt.layer(lines).properties(height=height)
    rule = (
        alt.Chart(pd.DataFrame({"share": [mean], "kind": ["mean of the unrelated others alone"]}))
        .mark_rule(color=SHARED_COLOUR, strokeDash=[2, 4])
        .encode(y="share:Q", tooltip=[alt.Tooltip("kind:N", title="what"), alt.Tooltip("share:Q", format=".4%")])
    )
    return alt.layer(rule, lines).properties(height=height)


def power_curve(powers: pd.DataFrame, num_models: int, *, height: int = 220) -> alt.LayerChart:
    """How likely an effect is found, against the number of independent models; a line marks those there are.

    Args: powers: columns "models", "power" (0 … 1) and "smallest_p".
    """
    curve = (
        alt.Chart(powers)
        .mark_line(point=True, color=FOUND_COLOUR)
        .encode(
            x=alt.X("models:Q", title="independent models", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("power:Q", title="chance of finding it", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            tooltip=[
                alt.Tooltip("models:Q"),
                alt.Tooltip("power:Q", format=".0%"),
                alt.Tooltip("smallest_p:Q", format=".2g", title="smallest possible p"),
            ],
        )
    )
    here = (
        alt.Chart(pd.DataFrame({"models": [num_models]}))
        .mark_rule(color=SIBLING_COLOUR, strokeDash=[4, 4], strokeWidth=2)
        .encode(x="models:Q", tooltip=[alt.Tooltip("models:Q", title="here")])
    )
    return alt.layer(here, curve).properties(height=height)


def variance_bars(variances: pd.DataFrame, *, height: int = 180) -> alt.LayerChart:
    """What features vary with: η² beyond chance of each factor, every feature a point, their median a line.

    Args: variances: as `store.pattern_variances` gives them.
    """
    table = variances.copy()
    table["excess"] = (table["eta_squared"] - table["chance"]).clip(lower=0)
    y = alt.Y("factor:N", sort=None, title=None)
    x = alt.X("excess:Q", title="share of the variance beyond chance (η²)", axis=alt.Axis(format="%"))
    table["spread"] = table.groupby("factor").cumcount() % 7 - 3.0  # so that equal points do not hide each other
    points = (
        alt.Chart(table)
        .mark_circle(color=FOUND_COLOUR, size=45, opacity=0.6)
        .encode(
            x=x,
            y=y,
            yOffset=alt.YOffset("spread:Q", scale=alt.Scale(domain=[-6, 6])),
            tooltip=[
                alt.Tooltip("feature:N"),
                alt.Tooltip("factor:N"),
                alt.Tooltip("eta_squared:Q", format=".3f", title="η²"),
                alt.Tooltip("chance:Q", format=".3f", title="by chance"),
                alt.Tooltip("p_value:Q", format=".2g", title="p"),
            ],
        )
    )
    medians = alt.Chart(table).mark_tick(color=SIBLING_COLOUR, thickness=3, size=34)
    medians = medians.encode(x=alt.X("median(excess):Q"), y=y, tooltip=[alt.Tooltip("median(excess):Q", format=".1%")])
    return alt.layer(points, medians).properties(height=max(height, 48 * table["factor"].nunique() + 60))


def _short(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= LABEL_LENGTH else line[: LABEL_LENGTH - 1] + "…"
