"""How alike several texts are, as a matrix of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

ALIKE_COLOUR, OPPOSITE_COLOUR = "#3d85c6", "#d9822b"
LABEL_COLOUR = "#87919c"
"""Mid-tones, which read on a light and on a dark page."""

MOST_NUMBERS = 24
"""Up to so many texts the cells hold their number; more would not be legible."""

LABEL_LENGTH = 32


def similarity_matrix(names: Sequence[str], similarities: np.ndarray) -> alt.LayerChart:
    """Cosines as a square of cells: blue for alike, orange for opposite, empty for unrelated.

    Args: names: of rows and columns, also repeated ones. similarities: (names, names), in [−1, 1].
    Returns: a chart, the first text in the top row; its colours and opacities always mean the same numbers.
    """
    count = len(names)
    order = [f"{place + 1} · {_short(name)}" for place, name in enumerate(names)]
    rows, columns = np.divmod(np.arange(count * count), count)
    table = pd.DataFrame(
        {
            "row": [order[place] for place in rows],
            "column": [f"{place + 1}" for place in columns],
            "first": [names[place] for place in rows],
            "second": [names[place] for place in columns],
            "cosine": np.asarray(similarities, np.float64).reshape(-1),
        }
    )
    table["size"] = table["cosine"].abs()
    base = alt.Chart(table).encode(
        x=alt.X("column:N", sort=[f"{place + 1}" for place in range(count)], title=None, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=260)),
    )
    cells = base.mark_rect(cornerRadius=2).encode(
        color=alt.condition("datum.cosine < 0", alt.value(OPPOSITE_COLOUR), alt.value(ALIKE_COLOUR)),
        opacity=alt.Opacity("size:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 1]), legend=None),
        tooltip=[
            alt.Tooltip("first:N", title="text"),
            alt.Tooltip("second:N", title="and"),
            alt.Tooltip("cosine:Q", format=".6f"),
        ],
    )
    layers = [cells]
    if count <= MOST_NUMBERS:
        numbers = base.mark_text(fontSize=12).encode(
            text=alt.Text("cosine:Q", format=".2f"),
            color=alt.condition("datum.size > 0.5", alt.value("#ffffff"), alt.value(LABEL_COLOUR)),
        )
        layers.append(numbers)
    return alt.layer(*layers).properties(height=max(160, min(40 * count + 40, 900)))


def _short(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= LABEL_LENGTH else line[: LABEL_LENGTH - 1] + "…"
