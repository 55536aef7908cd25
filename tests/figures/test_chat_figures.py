"""Similarities and label bars show every number under its own name."""

from __future__ import annotations

import numpy as np

from figures.labels import MOST_LABELS, label_bars
from figures.similarity import MOST_NUMBERS, similarity_matrix


def test_each_cell_of_the_matrix_is_the_cosine_of_its_pair():
    names = ["same", "same", "other\nline"]
    cosines = np.array([[1, 0.5, -0.25], [0.5, 1, 0], [-0.25, 0, 1]])
    chart = similarity_matrix(names, cosines)
    table = chart.data
    assert len(table) == 9  # equal texts stay two
    for _, cell in table.iterrows():
        row, column = int(cell["row"].split(" · ")[0]) - 1, int(cell["column"]) - 1
        assert cell["cosine"] == cosines[row, column]
        assert (cell["first"], cell["second"]) == (names[row], names[column])
    assert chart.to_dict()


def test_a_large_matrix_leaves_the_numbers_to_the_tooltip():
    names = [str(place) for place in range(MOST_NUMBERS + 1)]
    assert len(similarity_matrix(names, np.eye(len(names))).layer) == 1
    assert len(similarity_matrix(names[:-1], np.eye(len(names) - 1)).layer) == 2


def test_bars_keep_the_given_order_and_labels_of_one_name_apart():
    chart = label_bars(["yes", "no", "yes"], [0.6, 0.3, 0.1])
    assert chart.data["probability"].tolist() == [0.6, 0.3, 0.1]
    spec = chart.to_dict()
    assert spec["layer"][0]["encoding"]["y"]["axis"]["labelExpr"] == '["yes", "no", "yes"][datum.value]'
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 1]


def test_more_labels_than_fit_are_cut():
    assert len(label_bars(["a"] * 50, [0.02] * 50).data) == MOST_LABELS
