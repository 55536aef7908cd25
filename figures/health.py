"""Findings on a model's health as a picture: which rule spoke where."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from engine.health.findings import SEVERITIES, Finding
from engine.naming import place

SEVERITY_COLOURS = {"error": "#d62f3d", "warning": "#e08a1e", "note": "#4c8fd1"}
"""Told apart with any colour vision deficiency, on a light and on a dark page."""

OUTSIDE = "outside"


def findings_map(findings: Sequence[Finding], titles: dict[str, str], num_layers: int) -> alt.Chart:
    """A mark for every rule and layer that has a finding; its size tells how many, its colour the worst.

    Args:
        findings: at least one. titles: rule -> its title. num_layers: of the model; those without a finding stay empty.
    """
    rows = pd.DataFrame(
        {
            "rule": [titles.get(finding.rule, finding.rule) for finding in findings],
            "severity": [finding.severity for finding in findings],
            "layer": [_layer(finding) for finding in findings],
        }
    )
    rows["rank"] = [SEVERITIES.index(severity) for severity in rows["severity"]]
    marks = rows.groupby(["rule", "layer"], as_index=False).agg(findings=("rank", "size"), rank=("rank", "min"))
    marks["severity"] = [SEVERITIES[rank] for rank in marks["rank"]]
    order = [title for title in titles.values() if title in set(rows["rule"])]
    layers = [OUTSIDE, *map(str, range(num_layers))]
    return (
        alt.Chart(marks)
        .mark_circle(opacity=0.9)
        .encode(
            x=alt.X(
                "layer:N",
                title="layer",
                scale=alt.Scale(domain=layers),
                axis=alt.Axis(labelAngle=0, labelOverlap=True, grid=True),
            ),
            y=alt.Y("rule:N", title=None, scale=alt.Scale(domain=order), axis=alt.Axis(labelLimit=260, grid=True)),
            size=alt.Size("findings:Q", scale=alt.Scale(range=[90, 420]), legend=None),
            color=alt.Color(
                "severity:N",
                scale=alt.Scale(domain=list(SEVERITY_COLOURS), range=list(SEVERITY_COLOURS.values())),
                legend=alt.Legend(title=None, orient="top"),
            ),
            tooltip=["rule:N", "layer:N", "severity:N", "findings:Q"],
        )
        .properties(height=130 + 32 * len(order))
    )


def _layer(finding: Finding) -> str:
    layer = place(finding.tensor).layer if finding.tensor else None
    return OUTSIDE if layer is None else str(layer)
