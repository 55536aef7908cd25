"""Do the weights follow a law: their quantiles against those of the law, which then lie on the diagonal."""

from __future__ import annotations

import math

import altair as alt
import numpy as np
import pandas as pd

from engine.distribution_fits import DistributionFits, Law
from engine.measures.results import QUANTILE_PERCENTS, Distribution
from figures.distributions import BAR_COLOUR, LABEL_COLOUR, MARK_COLOUR

STORED, SAMPLED, WHOLE = "stored quantiles", "sampled weights", "single weights"


def quantile_points(distribution: Distribution, fits: DistributionFits, law: Law) -> pd.DataFrame:
    """The points of a Q-Q plot, at most some 280.

    Args:
        distribution: the stored one, with at least one finite value. fits: of the same tensor, with laws.
        law: what the weights are held against.
    Returns: columns share (of the weights below), expected (the law's quantile), value (the weights'), which: first
        `SAMPLED` or `WHOLE`, the order statistics of the fit's weights, then `STORED`, the exact quantiles of all
        weights and, where the fit did not see all, their extremes.
    """
    percents, values, count = np.asarray(QUANTILE_PERCENTS), distribution.quantiles, distribution.num_finite
    if not fits.is_whole:
        percents = np.concatenate([[0.0], percents, [100.0]])
        values = np.concatenate([[distribution.minimum], values, [distribution.maximum]])
    # A stored quantile lies between two order statistics, and so does its share: by Hazen's rule, as of the others.
    shares = (percents / 100 * (count - 1) + 0.5) / count
    points = pd.DataFrame(
        {
            "share": np.concatenate([fits.shares, shares]),
            "value": np.concatenate([fits.values, values]),
            "which": [WHOLE if fits.is_whole else SAMPLED] * len(fits.shares) + [STORED] * len(shares),
        }
    )
    points.insert(1, "expected", law.quantiles(points["share"].to_numpy()))
    return points


def quantile_plot(distribution: Distribution, fits: DistributionFits, law: Law, *, height: int = 320) -> alt.LayerChart:
    """A Q-Q plot with its diagonal; points above it at the right end, or below it at the left, are heavier tails.

    Args: as of `quantile_points`. height: in pixels.
    Returns: a chart that takes its text and grid colours from the page's theme and needs no network.
    """
    points = quantile_points(distribution, fits, law)
    ends = [float(points["expected"].min()), float(points["expected"].max())]
    diagonal = (
        alt.Chart(pd.DataFrame({"expected": ends, "value": ends}))
        .mark_line(color=LABEL_COLOUR, strokeDash=[5, 4], strokeWidth=1.5)
        .encode(x="expected:Q", y="value:Q")
    )
    names = [name for name in (WHOLE, SAMPLED, STORED) if (points["which"] == name).any()]
    colours = alt.Scale(domain=names, range=[MARK_COLOUR if name == STORED else BAR_COLOUR for name in names])
    dots = (
        alt.Chart(points)
        .mark_circle(size=32, opacity=0.85)
        .encode(
            x=alt.X("expected:Q", title=f"expected of {law_words(law)}", axis=alt.Axis(format="~g", tickCount=5)),
            y=alt.Y("value:Q", title="weights", axis=alt.Axis(format="~g", tickCount=5)),
            color=alt.Color("which:N", scale=colours, legend=alt.Legend(title=None, orient="top")),
            tooltip=[
                alt.Tooltip("share:Q", title="share below", format=".6~%"),
                alt.Tooltip("value:Q", title="weights are at most", format=".6~g"),
                alt.Tooltip("expected:Q", title="expected", format=".6~g"),
                alt.Tooltip("which:N", title="quantile"),
            ],
        )
    )
    return alt.layer(diagonal, dots).properties(height=height)


def law_words(law: Law) -> str:
    """The law with its article: "a normal", "a Student-t (df 10.3)"."""
    return "a normal" if math.isinf(law.df) else f"a Student-t (df {law.df:.3g})"
