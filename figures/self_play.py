"""Self-play as charts: rewards beside what a reward cannot fake, and the parts of a reward as a radar."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from figures.training import (
    BAD_COLOUR,
    BITS,
    FAINT_COLOUR,
    GOOD_COLOUR,
    HELD_OUT_COLOUR,
    TRAIN_COLOUR,
    series,
    smoothed,
    steps_axis,
)

REWARD, KL, PART = "reward", "kl", "reward/"
"""Names of numbers in a history; a part of the reward is `reward/<part>`."""

VERDICT_COLOURS = {
    "improved": GOOD_COLOUR,
    "unchanged": FAINT_COLOUR,
    "unstable": HELD_OUT_COLOUR,
    "hacked": BAD_COLOUR,
}
RINGS = (0.25, 0.5, 0.75, 1.0)


def honesty_chart(
    history: pd.DataFrame, verdicts: Sequence[tuple[int, str, str]], *, height: int = 420
) -> alt.LayerChart:
    """What is rewarded over what cannot be faked, on one axis of steps: reward, verdicts, KL, bits per byte.

    Args:
        history: columns step, name, value, with REWARD, KL and BITS.
        verdicts: (step, verdict, why), in order. height: in pixels.
    Returns: a chart of three bands, each with a scale of its own, and a row of verdicts under the reward.
    """
    bands = [_Band(series(history, name), *words) for name, words in _BANDS.items()]
    told = pd.DataFrame(list(verdicts), columns=["step", "verdict", "why"])
    steps = [*told["step"], *(step for band in bands for step in band.rows["step"])] or [0]
    ticks = {place: text for band in bands for place, text in band.ticks().items()}
    axis = alt.Axis(
        values=list(ticks),
        labelExpr=f"{json.dumps(_spelt(ticks))}[format(datum.value, '.3f')]",
        title=None,
        tickCount=9,
    )
    y = alt.Y("place:Q", scale=alt.Scale(domain=[0, 3], nice=False), axis=axis)
    domain = [float(min(steps)), float(max(max(steps), min(steps) + 1))]
    x = alt.X("step:Q", title="step", scale=alt.Scale(domain=domain, nice=False), axis=alt.Axis(grid=False))
    layers = [layer for band in bands for layer in band.layers(x, y)]
    colour = alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=list(VERDICT_COLOURS), range=list(VERDICT_COLOURS.values())),
        legend=alt.Legend(orient="top", title=None, symbolType="square", symbolSize=90),
    )
    marks = alt.Chart(told.assign(place=VERDICT_PLACE)).mark_square(size=110, opacity=1)
    tip = [alt.Tooltip("step:Q", title="step"), "verdict:N", "why:N"]
    return alt.layer(*layers, marks.encode(x=x, y=y, color=colour, tooltip=tip)).properties(height=height)


BAND_HEIGHT, VERDICT_PLACE = 0.68, 2.06
"""Of a band of height 1: what its line takes; the rest is for its title. Verdicts stand just under the first band."""

_BANDS = {
    REWARD: ("reward", GOOD_COLOUR, 2.16),
    KL: ("KL from the start, nats a token", TRAIN_COLOUR, 1.12),
    BITS: ("held-out text, bits a byte (lower is better)", HELD_OUT_COLOUR, 0.06),
}


@dataclass(frozen=True, eq=False)
class _Band:
    """One number in its part of a chart. Attributes: rows: columns step, value. floor: where its least value lies."""

    rows: pd.DataFrame
    title: str
    colour: str
    floor: float

    @property
    def _range(self) -> tuple[float, float]:
        values = self.rows["value"]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        return (low, high) if high > low else (low - 0.5, high + 0.5)

    def ticks(self) -> dict[float, str]:
        """Place -> number, at the band's foot, middle and top."""
        low, high = self._range
        shares = (0.0, 0.5, 1.0) if len(self.rows) else ()
        digits = max(0, 1 - math.floor(math.log10(high - low)))  # so many that the three differ
        return {self.floor + share * BAND_HEIGHT: f"{low + share * (high - low):.{digits}f}" for share in shares}

    def layers(self, x: alt.X, y: alt.Y) -> list[alt.Chart]:
        """The line (faint, and smooth over it; with points where there are few), and the title."""
        low, high = self._range
        is_sparse = len(self.rows) <= 40
        lines = self.rows if is_sparse else self.rows.assign(value=smoothed(self.rows["value"]))
        tip = [alt.Tooltip("step:Q", title="step"), alt.Tooltip("value:Q", title=self.title, format=".4f")]

        def drawn(rows: pd.DataFrame) -> alt.Chart:
            placed = rows.assign(place=self.floor + (rows["value"] - low) / (high - low) * BAND_HEIGHT)
            return alt.Chart(placed).encode(x=x, y=y, tooltip=tip)

        faint = drawn(self.rows).mark_line(color=self.colour, size=1, opacity=0.35)
        strong = drawn(lines).mark_line(color=self.colour, size=2.5, point=False)
        points = [drawn(lines).mark_circle(color=self.colour, size=46, opacity=1)] if is_sparse else []
        at = pd.DataFrame({"place": [self.floor + BAND_HEIGHT + 0.1], "text": [self.title]})
        title = alt.Chart(at).mark_text(align="left", baseline="middle", color=self.colour, fontWeight="bold", dx=4)
        return [faint, strong, *points, title.encode(x=alt.value(0), y=y, text="text:N")]


def _spelt(ticks: Mapping[float, str]) -> dict[str, str]:
    return {f"{place:.3f}": text for place, text in ticks.items()}


def part_lines(history: pd.DataFrame, titles: Mapping[str, str], *, height: int = 280) -> alt.Chart:
    """Every part of the reward over the steps, as running means.

    Args: titles: name of a part -> as it is shown, in the order of the legend; parts without a number are left out.
    """
    parts = {title: series(history, PART + name, 200) for name, title in titles.items()}
    parts = {title: rows.assign(part=title, smooth=smoothed(rows["value"])) for title, rows in parts.items()}
    shown = [title for title, rows in parts.items() if len(rows)]
    table = pd.concat(parts.values(), ignore_index=True) if parts else pd.DataFrame(columns=["step", "smooth", "part"])
    return (
        alt.Chart(table)
        .mark_line(size=2)
        .encode(
            x=steps_axis(),
            y=alt.Y("smooth:Q", title="mean of the samples", scale=alt.Scale(zero=False), axis=alt.Axis(format="~g")),
            color=alt.Color(
                "part:N", scale=alt.Scale(domain=shown), legend=alt.Legend(orient="top", title=None, columns=3)
            ),
            tooltip=["part:N", alt.Tooltip("step:Q", title="step"), alt.Tooltip("smooth:Q", format=".4f")],
        )
        .properties(height=height)
    )


def radar(sides: Mapping[str, Mapping[str, float]], *, height: int = 360) -> alt.LayerChart:
    """The parts of a reward as a polygon for each side (before and after, or two models).

    Args: sides: name -> {part: value in 0 … 1}; every side has the same parts, at least three. NaN counts as 0.
    Returns: a square chart; the outermost ring is 1.
    """
    parts = list(next(iter(sides.values())))
    angles = {part: math.pi / 2 - 2 * math.pi * place / len(parts) for place, part in enumerate(parts)}
    rows = [
        {"side": side, "part": part, "value": value, "order": order, **_at(angles[part], value)}
        for side, values in sides.items()
        for order, part in enumerate([*parts, parts[0]])
        for value in [0.0 if math.isnan(values[part]) else float(values[part])]
    ]
    ring_rows = [
        {"ring": ring, "order": order, **_at(angles[part], ring)}
        for ring in RINGS
        for order, part in enumerate([*parts, parts[0]])
    ]
    scale = alt.Scale(domain=[-1.5, 1.5], nice=False)
    x, y = alt.X("x:Q", scale=scale, axis=None), alt.Y("y:Q", scale=alt.Scale(domain=[-1.25, 1.25]), axis=None)
    rings = alt.Chart(pd.DataFrame(ring_rows)).mark_line(color=FAINT_COLOUR, opacity=0.35, size=1)
    labels = pd.DataFrame([{"part": part, "side": _align(angle), **_at(angle, 1.1)} for part, angle in angles.items()])
    colour = alt.Color(
        "side:N",
        scale=alt.Scale(domain=list(sides), range=[FAINT_COLOUR, TRAIN_COLOUR, HELD_OUT_COLOUR][: len(sides)]),
        legend=alt.Legend(orient="bottom", title=None, symbolType="stroke", symbolStrokeWidth=3),
    )
    shapes = alt.Chart(pd.DataFrame(rows)).encode(x=x, y=y, order="order:Q", color=colour, detail="side:N")
    tip = ["side:N", "part:N", alt.Tooltip("value:Q", format=".3f")]
    return (
        alt.layer(
            rings.encode(x=x, y=y, order="order:Q", detail="ring:N"),
            shapes.mark_line(size=2.5),
            shapes.mark_circle(size=52, opacity=1).encode(tooltip=tip),
            *(
                alt.Chart(labels[labels["side"] == align])
                .mark_text(color=FAINT_COLOUR, fontSize=12, align=align)
                .encode(x=x, y=y, text="part:N")
                for align in ("left", "center", "right")
            ),
        )
        .properties(height=height)
        .configure_view(strokeWidth=0)
    )


def _at(angle: float, radius: float) -> dict[str, float]:
    return {"x": radius * math.cos(angle), "y": radius * math.sin(angle)}


def _align(angle: float) -> str:
    """Of a label: away from the middle."""
    return "center" if abs(math.cos(angle)) < 0.1 else "left" if math.cos(angle) > 0 else "right"
