"""The charts of a spectrum: what they draw, and that they can be drawn of anything."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from figures.spectrum import (
    IID,
    SpectrumPicture,
    curve_points,
    eigenvalue_density,
    measure_by_layer,
    singular_value_curve,
)


def picture(eigenvalues: np.ndarray, **changes) -> SpectrumPicture:
    return SpectrumPicture(np.sort(eigenvalues)[::-1], **changes)


def rows_of(chart) -> list[dict]:
    """The rows of every data set in a chart's specification."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


@pytest.mark.parametrize("is_log", [True, False])
def test_every_eigenvalue_is_in_one_bar_and_the_spikes_in_their_own(is_log):
    values = np.concatenate([np.random.default_rng(0).uniform(1, 4, 200), [40.0, 60.0]])
    rows = rows_of(eigenvalue_density(picture(values, num_spikes=2), is_log=is_log))
    bars = [row for row in rows if "high" in row]
    assert sum(bar["count"] for bar in bars) == 202
    assert sum(bar["count"] for bar in bars if bar["kind"] == "spikes") == 2
    assert sorted(row["low"] for row in rows if set(row) == {"low"}) == [40.0, 60.0]


@pytest.mark.parametrize("is_log", [True, False])
def test_a_curve_is_drawn_in_eigenvalues_per_bar(is_log):
    values = np.random.default_rng(0).uniform(1, 2, 3000)
    points = curve_points(values, is_log)
    density = ((points >= 1) & (points <= 2)).astype(float)  # of the uniform law itself
    rows = rows_of(eigenvalue_density(picture(values, curves={IID: density}), is_log=is_log))
    bars = [
        (row["low"], row["high"], row["count"]) for row in rows if "high" in row and row["low"] > 1 and row["high"] < 2
    ]
    curve = sorted((row["low"], row["count"]) for row in rows if row.get("curve") == IID)
    places, heights = np.array(curve).T
    middles = np.array([math.sqrt(low * high) for low, high, _ in bars])
    ratio = np.array([count for _, _, count in bars]) / np.interp(middles, places, heights)
    assert ratio.mean() == pytest.approx(1, abs=0.1)


def test_the_tail_line_begins_at_x_min_and_holds_its_eigenvalues():
    values = (1 - np.random.default_rng(0).random(500)) ** -0.5  # α = 3
    rows = rows_of(eigenvalue_density(picture(values, alpha=3.0, x_min=1.0, num_tail=500)))
    tail = [row for row in rows if row.get("curve")]
    assert tail and min(row["low"] for row in tail) >= 1.0


@pytest.mark.parametrize("is_log", [True, False])
@pytest.mark.parametrize(
    "values", [np.ones(1), np.zeros(5), np.full(30, 2.0), np.array([1.0, 0.0, 0.0]), np.logspace(0, -30, 40)]
)
def test_anything_can_be_drawn(values, is_log):
    for chart in (eigenvalue_density, singular_value_curve):
        assert chart(picture(values, edges={IID: 0.5}), is_log=is_log).to_dict()


def test_the_singular_values_are_the_roots_and_large_spectra_are_thinned():
    rows = rows_of(singular_value_curve(picture(np.linspace(1, 9, 4000)), is_log=False))
    points = [row for row in rows if "rank" in row]
    assert len(points) < 600
    assert points[0] == {"rank": 1, "value": 3.0, "kind": "bulk"} and points[-1]["rank"] == 4000


def test_layers_are_in_order_and_undefined_numbers_are_left_out():
    table = pd.DataFrame(
        {
            "tensor": list("abcd"),
            "role": ["Query"] * 4,
            "layer": pd.array([10, 2, None, 3], "Int64"),
            "alpha": [3.0, 4.0, 5.0, np.nan],
        }
    )
    chart = measure_by_layer(table, "alpha", "α", band=(2, 6))
    assert {row["tensor"] for row in rows_of(chart) if "tensor" in row} == {"a", "b", "c"}
    assert '"sort": ["outside", "2", "10"]' in chart.to_json(indent=None)
    assert measure_by_layer(table[:0], "alpha", "α", band=(2, 6)).to_dict()
