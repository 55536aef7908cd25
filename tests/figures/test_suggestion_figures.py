"""Strips of rows, and charts of what was found: every row once, whatever its name."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from figures.pattern_library import batch_strip, kinds_by_model, nearest_models
from figures.suggestions import gain_map, gains_chart, never_updated_strips, strip_cells, token_groups_chart


@given(st.lists(st.booleans(), min_size=1, max_size=900))
def test_a_strip_holds_every_row_once_and_every_run_in_full(states):
    edges = np.flatnonzero(np.diff(np.r_[False, states, False].astype(int)))
    cells = strip_cells(len(states), edges[::2].tolist(), edges[1::2].tolist())
    rows = cells["last"] - cells["first"] + 1
    assert rows.sum() == len(states) and (rows > 0).all()
    assert cells["first"].tolist() == [0, *(cells["last"][:-1] + 1)]
    assert np.isclose((cells["never"] * rows).sum(), sum(states))
    assert cells["never"].between(0, 1).all()


def test_charts_hold_their_rows_and_names_of_any_kind():
    name = '<b>"x"</b>' * 30
    assert len(never_updated_strips([(name, 5, (1,), (3,)), ("b", 1, (0,), (1,))]).to_dict()["datasets"]) == 1
    assert token_groups_chart([(name, 3, 4, ("a", "`"))]).to_dict()
    gains = {
        "idea": [name],
        "share": [0.1],
        "bits": [2.0],
        "size": ["1 MB"],
        "kind": ["without loss"],
        "baseline": [""],
    }
    assert gains_chart(pd.DataFrame(gains)).to_dict()
    cells = {"layer": ["outside", "10", "9"], "role": ["q"] * 3, "bits": [1.0, 2.0, 3.0], "tensor": [name] * 3}
    assert gain_map(pd.DataFrame(cells)).to_dict()["encoding"]["x"]["sort"] == ["outside", "9", "10"]
    assert kinds_by_model(pd.DataFrame({"model": [name], "title": ["t"], "kind": ["health"]})).to_dict()
    near = {"model": [name], "origin": ["x.zip"], "similarity": [-0.2], "matched": [1.0], "num_matrices": [3]}
    assert nearest_models(pd.DataFrame(near)).to_dict()["encoding"]["x"]["scale"]["domain"] == [-0.2, 1]
    assert batch_strip(pd.DataFrame({"model": [name], "step": ["measure"], "state": ["done"]}), ["measure"]).to_dict()
