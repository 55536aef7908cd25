"""The map of changes and the lines over versions, from hand-made rows."""

import numpy as np
import pandas as pd

from figures.comparison import OUTSIDE, change_lines, change_map

ROWS = pd.DataFrame(
    {
        "tensor_a": ["e", "q0", "q0 again", "q1", "b1", "undefined"],
        "layer": pd.array([None, 0, 0, 1, 1, 1], dtype="Int64"),
        "role": ["token_embedding", "query", "query", "query", "query", "key"],
        "part": ["weight", "weight", "weight", "weight", "bias", "weight"],
        "stack": [""] * 6,
        "relative_change": [0.1, 0.2, 0.5, 0.3, 0.4, np.nan],
        "num_compared": [100, 10, 30, 10, 1, 10],
    }
)


def test_a_cell_shows_the_most_changed_tensor_of_its_layer_and_role():
    drawn = change_map(ROWS, "relative_change", "change").data
    cells = {(row["layer"], row["role"]): (row["tensor"], row["value"]) for _, row in drawn.iterrows()}
    assert cells == {
        (OUTSIDE, "Token embedding"): ("e", 0.1),
        ("0", "Query"): ("q0 again", 0.5),
        ("1", "Query"): ("q1", 0.3),
        ("1", "Query, bias"): ("b1", 0.4),
    }


def test_roles_stand_in_reading_order_and_layers_by_number():
    spec = change_map(ROWS, "relative_change", "change").to_dict()["encoding"]
    assert spec["x"]["scale"]["domain"] == [OUTSIDE, "0", "1"]
    assert spec["y"]["scale"]["domain"] == ["Token embedding", "Query", "Query, bias"]


def test_lines_are_means_over_weights_by_entries():
    drawn = change_lines([("step 1", ROWS)], "relative_change", "change").data
    values = drawn.set_index("role")["value"].to_dict()
    assert values["Query"] == np.float64((0.2 * 10 + 0.5 * 30 + 0.3 * 10) / 50)
    assert values["Token embedding"] == 0.1
    assert set(values) == {"Query", "Token embedding"}
