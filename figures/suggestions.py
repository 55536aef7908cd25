"""What was never trained, and what could be saved, as charts."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

NEVER_COLOUR, TRAINED_COLOUR = "#d9822b", "#87919c"
PRICE_COLOURS = {"without loss": "#2a9d6f", "at the same error": "#3d85c6", "by giving rows up": "#d9822b"}
"""Mid-tones, which read on a light and on a dark page."""

CELLS = 256
"""Cells of a strip at most; a cell of several rows is as strong as their share."""

MOST_STRIPS = 16
LABEL_LENGTH = 44


def never_updated_strips(tensors: Sequence[tuple[str, int, Sequence[int], Sequence[int]]]) -> alt.Chart:
    """A strip for each tensor from its first row to its last: strong where rows were never updated.

    Args: tensors: (name, rows, first row of each run, row after the last of each run); the first MOST_STRIPS are drawn.
    """
    shown = tensors[:MOST_STRIPS]
    labels = [f"{short(name)} · {rows:,} row{'' if rows == 1 else 's'}" for name, rows, _, _ in shown]
    parts = [
        strip_cells(rows, starts, stops).assign(tensor=label)
        for label, (_, rows, starts, stops) in zip(labels, shown, strict=True)
    ]
    return (
        alt.Chart(pd.concat(parts, ignore_index=True))
        .mark_rect(strokeWidth=0, color=NEVER_COLOUR)
        .encode(
            x=alt.X("left:Q", title="first row … last row", axis=alt.Axis(labels=False, ticks=False, grid=False)),
            x2="right:Q",
            y=alt.Y("tensor:N", sort=labels, title=None, axis=alt.Axis(labelLimit=420, ticks=False, domain=False)),
            opacity=alt.Opacity(
                "never:Q",
                title="share of rows never updated",
                scale=alt.Scale(domain=[0, 1], range=[0.08, 1]),
                legend=alt.Legend(format="%", orient="top", values=[0, 0.5, 1], symbolType="square"),
            ),
            tooltip=[
                alt.Tooltip("tensor:N"),
                alt.Tooltip("first:Q", title="from row", format=","),
                alt.Tooltip("last:Q", title="to row", format=","),
                alt.Tooltip("never:Q", title="never updated", format=".0%"),
            ],
        )
        .properties(height=alt.Step(30))
    )


def strip_cells(num_rows: int, starts: Sequence[int], stops: Sequence[int]) -> pd.DataFrame:
    """Rows gathered into at most CELLS cells: first, last, left, right (0 … 1), never (share of rows in the runs).

    Neighbours of the same share are one cell, so that no edge shows between them.
    """
    edges = np.unique(np.linspace(0, num_rows, min(CELLS, num_rows) + 1).round().astype(np.int64))
    firsts, lasts = edges[:-1], edges[1:]
    covered = np.zeros(len(firsts))
    for start, stop in zip(starts, stops, strict=True):
        covered += np.clip(np.minimum(stop, lasts) - np.maximum(start, firsts), 0, None)
    never = covered / (lasts - firsts)
    begins = np.flatnonzero(np.r_[True, np.diff(never) != 0])
    firsts, lasts = firsts[begins], np.r_[firsts[begins[1:]], num_rows]
    return pd.DataFrame(
        {
            "first": firsts,
            "last": lasts - 1,
            "left": firsts / num_rows,
            "right": lasts / num_rows,
            "never": never[begins],
        }
    )


def token_groups_chart(groups: Sequence[tuple[str, int, int, Sequence[str]]]) -> alt.LayerChart:
    """Kinds of tokens, and which share of each was never updated.

    Args: groups: (kind, never updated, all, examples).
    """
    rows = pd.DataFrame(
        {
            "kind": [short(kind) for kind, _, _, _ in groups],
            "never": [never for _, never, _, _ in groups],
            "total": [total for _, _, total, _ in groups],
            "share": [never / total for _, never, total, _ in groups],
            "words": [f"{never:,} of {total:,}" for _, never, total, _ in groups],
            "examples": ["  ".join(examples) for _, _, _, examples in groups],
        }
    )
    y = alt.Y("kind:N", sort=None, title=None, axis=alt.Axis(labelLimit=240, ticks=False, domain=False))
    x = alt.X(
        "share:Q",
        title="share never updated",
        scale=alt.Scale(domain=[0, 1.5]),
        axis=alt.Axis(format="%", values=[0, 0.5, 1]),
    )
    tooltip = ["kind:N", alt.Tooltip("words:N", title="never updated"), "examples:N"]
    base = alt.Chart(rows).encode(y=y, tooltip=tooltip)
    bars = base.mark_bar(color=NEVER_COLOUR, cornerRadiusEnd=2).encode(x=x)
    words = base.mark_text(align="left", dx=5, color=TRAINED_COLOUR).encode(x="share:Q", text="words:N")
    return alt.layer(bars, words).properties(height=alt.Step(24))


def gains_chart(rows: pd.DataFrame) -> alt.LayerChart:
    """What each idea would save of the whole file.

    Args: rows: columns idea (its title), share (of the file's bytes), bits (each weight concerned), size (bytes in
        words), kind (a key of PRICE_COLOURS), baseline; in order.
    """
    widest = float(rows["share"].max())
    y = alt.Y("idea:N", sort=None, title=None, axis=alt.Axis(labelLimit=280, ticks=False, domain=False))
    scale = alt.Scale(domain=[0, widest * 1.35])
    base = alt.Chart(rows.assign(words=[f"{row.size} · {row.bits:.2f} bits" for row in rows.itertuples(name="Row")]))
    base = base.encode(
        y=y,
        tooltip=[
            alt.Tooltip("idea:N"),
            alt.Tooltip("share:Q", title="of the file", format=".1%"),
            alt.Tooltip("bits:Q", title="bits for each weight concerned", format=".3f"),
            alt.Tooltip("baseline:N", title="against"),
        ],
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X("share:Q", title="of the file's bytes", scale=scale, axis=alt.Axis(format="%", tickCount=6)),
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=list(PRICE_COLOURS), range=list(PRICE_COLOURS.values())),
            legend=alt.Legend(title=None, orient="top"),
        ),
    )
    words = base.mark_text(align="left", dx=6, color=TRAINED_COLOUR).encode(
        x=alt.X("share:Q", scale=scale), text="words:N"
    )
    return alt.layer(bars, words).properties(height=alt.Step(34))


def gain_map(rows: pd.DataFrame) -> alt.Chart:
    """Where an idea pays: a cell for each layer and role, as strong as the bits saved for each weight.

    Args: rows: columns layer ("outside" or its number), role (in words), bits, tensor.
    """
    numbers = sorted({layer for layer in rows["layer"] if layer != "outside"}, key=int)
    order = (["outside"] if "outside" in set(rows["layer"]) else []) + numbers
    return (
        alt.Chart(rows)
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("layer:N", sort=order, title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("role:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)),
            color=alt.Color(
                "bits:Q",
                title="bits a weight",
                scale=alt.Scale(scheme="tealblues", domainMin=0),
                legend=alt.Legend(orient="top", gradientLength=140),
            ),
            tooltip=["tensor:N", alt.Tooltip("bits:Q", format=".3f", title="bits a weight")],
        )
        .properties(height=alt.Step(24))
    )


def short(name: str) -> str:
    """A name of any length as a label: its end says more than its beginning."""
    return name if len(name) <= LABEL_LENGTH else f"…{name[-LABEL_LENGTH + 1 :]}"
