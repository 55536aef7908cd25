"""Charts of heads, and tokens as labels."""

from __future__ import annotations

import numpy as np
import pytest

from figures.attention import MOST_MARKS, SELECTED_COLOUR, norm_bars, singular_value_curves, visible


@pytest.mark.parametrize(
    ("token", "label"),
    [
        (" the", "·the"),
        ("\n\n", "↵↵"),
        ("a\tb", "a⇥b"),
        ("", "∅"),
        ("café", "café"),
        ("\u202eevil", "⟨202e⟩evil"),
        ("\x00", "⟨0⟩"),
        ("<b>&", "<b>&"),
        ("猫", "猫"),
    ],
)
def test_what_cannot_be_seen_in_a_token_becomes_visible(token, label):
    assert visible(token) == label


def test_norm_bars_hold_every_finite_norm_and_mark_the_selected_head():
    chart = norm_bars({"Query": np.array([1.0, 2.0]), "Output": np.array([3.0, np.nan])}, selected=1)
    table = chart.data
    assert table[["head", "part", "norm"]].to_numpy().tolist() == [
        [0, "Query", 1.0],
        [1, "Query", 2.0],
        [0, "Output", 3.0],
    ]
    assert table["is_selected"].tolist() == [False, True, False]
    assert chart.to_dict()["encoding"]["y"]["field"] == "norm"


def test_without_a_selected_head_all_bars_are_full():
    assert norm_bars({"Key": np.ones(3)}).data["is_selected"].all()


def test_curves_hold_every_singular_value_and_bring_the_selected_one_to_the_front():
    chart = singular_value_curves([np.array([3.0, 1.0]), np.array([2.0, 0.5])], selected=1).to_dict()
    table = next(iter(chart["datasets"].values()))
    assert [(row["head"], row["rank"], row["value"]) for row in table] == [(0, 1, 3), (0, 2, 1), (1, 1, 2), (1, 2, 0.5)]
    front = chart["layer"][1]
    assert front["mark"]["color"] == SELECTED_COLOUR and "1" in str(front["transform"])


def test_many_curves_stay_bounded_and_keep_their_ends():
    curves = [np.linspace(9, 1, 500) for _ in range(128)]
    table = next(iter(singular_value_curves(curves, 0).to_dict()["datasets"].values()))
    assert len(table) <= MOST_MARKS
    ranks = [row["rank"] for row in table if row["head"] == 5]
    assert ranks[0] == 1 and ranks[-1] == 500


def test_broken_heads_draw_nothing():
    chart = singular_value_curves([np.full(3, np.nan), np.ones(3)], 0).to_dict()
    assert {row["head"] for row in next(iter(chart["datasets"].values()))} == {1}
