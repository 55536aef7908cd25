"""Pictures of signatures carry the numbers they are given, and only as many colours as can be told apart."""

import json

import altair as alt
import numpy as np
import pandas as pd
import pytest

from engine.discovery.clusters import dendrogram_linkage, similarity_matrix
from figures.discovery import (
    MOST_COLOURS,
    OTHERS,
    dendrogram,
    feature_spread,
    null_map,
    oddness,
    signature_map,
    similarity_map,
)


def values_of(chart: alt.TopLevelMixin) -> list[pd.DataFrame]:
    return [pd.DataFrame(rows) for rows in chart.to_dict(format="vega-lite")["datasets"].values()]


@pytest.fixture
def labels():
    return pd.DataFrame(
        {
            "id": range(30),
            "model": [f"<b>m{place}</b>" for place in range(30)],
            "tensor": [f"t{place}" for place in range(30)],
            "depth": np.linspace(0, 1, 30),
        }
    )


def test_a_map_shows_every_point_where_it_is_and_can_be_clicked(labels):
    points = np.random.default_rng(0).standard_normal((30, 2))
    chart = signature_map(points, labels, "depth", title="PCA", explained=(0.5, 0.25))
    (table,) = values_of(chart)
    np.testing.assert_allclose(table[["x", "y"]].to_numpy(), points)
    said = chart.to_dict()
    assert said["params"][0]["name"] == "picked" and said["params"][0]["select"]["fields"] == ["id"]
    assert said["encoding"]["x"]["title"] == "component 1 (50%)"


def test_rare_names_share_a_colour(labels):
    (table,) = values_of(signature_map(np.zeros((30, 2)), labels, "model", title=""))
    assert table["model"].nunique() == MOST_COLOURS and OTHERS in set(table["model"])


def test_meaningless_axes_are_not_drawn_and_the_null_is_grey(labels):
    chart = null_map(np.ones((5, 2)), title="null").to_dict()
    assert chart["encoding"]["x"]["axis"]["labels"] is False
    assert "color" not in chart["encoding"]


def test_the_dendrogram_has_every_leaf_once_and_joins_at_the_distances_of_the_linkage():
    table = np.random.default_rng(1).standard_normal((6, 4))
    linkage = dendrogram_linkage(table)
    drawn = dendrogram(linkage, ["</script>", *"bcdef"])
    (lines,) = values_of(drawn)
    said = drawn.to_dict()["encoding"]["y"]["axis"]["labelExpr"]
    assert sorted(json.loads(said.removesuffix("[datum.value]"))) == sorted(["</script>", *"bcdef"])
    np.testing.assert_allclose(sorted(lines.groupby("branch")["distance"].max()), sorted(linkage[:, 2]))


def test_the_matrix_has_a_cell_for_every_pair():
    cosines = similarity_matrix(np.random.default_rng(2).standard_normal((4, 3)))
    (table,) = values_of(similarity_map(cosines, list("abcd"), [3, 1, 0, 2]))
    assert len(table) == 16
    row = table[(table["a"] == "b") & (table["b"] == "d")].iloc[0]
    assert row["cosine"] == pytest.approx(cosines[1, 3])


def test_odd_ones_and_spreads_are_drawn_beside_the_null():
    table = pd.DataFrame(
        {"model": "m", "tensor": list("abcd"), "distance": [1.0, 2, 3, 50], "isolation": 0.5, "is_odd": [0, 0, 0, 1]}
    )
    assert len(values_of(oddness(table))[0]) == 4
    both = pd.DataFrame({"model": "m", "tensor": "t", "role": ["a", "a"], "value": [1, 2], "kind": ["weights", "null"]})
    assert set(values_of(feature_spread(both, "alpha", "α", "role"))[0]["kind"]) == {"weights", "null"}
