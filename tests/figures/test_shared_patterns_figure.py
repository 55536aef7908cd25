"""A shared-pattern test drawn from hand-made rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from figures.charts_export import chart_svg
from figures.shared_patterns import (
    MOST_EFFECTS,
    dividend_matrix,
    effect_forest,
    power_curve,
    subspace_chart,
    variance_bars,
)

EFFECTS = pd.DataFrame(
    {
        "question": ["level", "level", "agreement"],
        "feature": ["alpha", "top_gap", "alpha"],
        "role": ["query", "ffn_in", None],
        "effect": [0.9, -0.1, 0.4],
        "low": [0.5, -0.4, np.nan],
        "high": [1.0, 0.3, np.nan],
        "p_value": [0.01, 0.6, 0.03],
        "q_value": [0.02, 0.7, np.nan],
        "num_lineages": [8, 8, 8],
    }
)
PAIRS = pd.DataFrame(
    {
        "model_a": ["one", 'two "<b>"'],
        "model_b": ['two "<b>"', "three"],
        "is_related": [True, False],
        "alignment": ["as stored", "units"],
        "gross": [1.87, 0.02],
        "null_bits": [0.02, 0.0201],
        "net": [1.85, -0.0001],
        "low": [1.84, np.nan],
        "high": [1.86, np.nan],
        "coded_gain": [1.86, np.nan],
    }
)
SUBSPACE = pd.DataFrame(
    {
        "num_directions": [1, 2],
        "left_out": [0.3, 0.4],
        "unrelated": [0.0001, 0.0],
        "mean_only": [0.0001, 0.0001],
        "null_share": [0.0001, np.nan],
        "in_sample": [0.5, 1.0],
    }
)


def rows(chart) -> pd.DataFrame:
    """The rows of the last layer."""
    return chart.layer[-1].data


def test_only_effects_beyond_the_null_have_a_colour():
    drawn = effect_forest(EFFECTS)
    states = rows(drawn).set_index("label")["state"].to_dict()
    assert states == {"alpha · query": "beyond the null", "top gap · ffn in": "not told from the null"}
    agreement = effect_forest(EFFECTS, question="agreement")
    assert rows(agreement)["label"].tolist() == ["alpha"]
    assert rows(agreement)["state"].tolist() == ["not told from the null"]
    assert "<svg" in chart_svg(drawn, is_dark=True).decode()


def test_a_forest_of_many_effects_stays_readable():
    many = pd.concat([EFFECTS[:1].assign(feature=f"f{i}") for i in range(3 * MOST_EFFECTS)])
    assert len(rows(effect_forest(many))) == MOST_EFFECTS


def test_every_pair_has_two_cells_and_a_missing_one_none():
    drawn = dividend_matrix(["one", 'two "<b>"', "three"], PAIRS)
    cells = drawn.data
    assert len(cells) == 4
    assert cells["shown"].max() == 1.0  # more than a bit is full
    assert cells["shown"].min() == 0.0  # below nothing is nothing
    assert set(cells["kind"]) == {"relatives", "no common origin"}
    assert drawn.layer[0].to_dict()["encoding"]["y"]["scale"]["domain"] == ["1 · one", '2 · two "<b>"', "3 · three"]
    assert "<b>" not in chart_svg(drawn, is_dark=False).decode()


def test_shares_of_zero_stay_on_the_logarithmic_axis_and_undefined_ones_are_not_drawn():
    table = rows(subspace_chart(SUBSPACE))
    assert table["share"].min() == 1e-7
    assert len(table) == 7
    alone = subspace_chart(SUBSPACE.assign(left_out=SUBSPACE["unrelated"]))
    assert not any("relatives" in kind for kind in rows(alone)["kind"])
    assert len(subspace_chart(SUBSPACE.assign(mean_only=np.nan)).layer) == 1


def test_the_power_curve_marks_where_one_stands():
    powers = pd.DataFrame({"models": [2, 8], "power": [0.0, 0.5], "smallest_p": [0.5, 0.01]})
    assert power_curve(powers, 5).layer[0].data["models"].tolist() == [5]


def test_variance_is_drawn_beyond_chance_and_never_below_zero():
    table = pd.DataFrame(
        {
            "feature": ["a", "b"],
            "factor": ["data", "data"],
            "eta_squared": [0.5, 0.1],
            "chance": [0.2, 0.3],
            "p_value": [0.01, np.nan],
        }
    )
    drawn = variance_bars(table)
    assert drawn.data["excess"].tolist() == [0.3, 0.0]
    assert "spread" not in table.columns
