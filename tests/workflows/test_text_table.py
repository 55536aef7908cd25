"""Tables of plain text."""

from __future__ import annotations

import math

from workflows.text_table import text_table


def test_words_go_left_numbers_go_right_and_nothing_is_empty():
    table = text_table(["name", "mean", "n"], [["a", 0.5, 10], ["long name", None, 2], ["c", math.nan, 300]])
    assert table.splitlines() == [
        "name       mean    n",
        "─────────  ────  ───",
        "a           0.5   10",
        "long name          2",
        "c                300",
    ]


def test_no_rows_show_the_headings():
    assert text_table(["a", "bb"], []).splitlines() == ["a  bb", "─  ──"]


def test_columns_that_do_not_fit_are_named_not_drawn():
    lines = text_table(["first", "second", "third"], [["x" * 10, "y" * 10, "z"]], width=24).splitlines()
    assert lines[2] == "xxxxxxxxxx  yyyyyyyyyy" and lines[-1] == "… and 1 more columns: third"
    assert text_table(["first"], [["x" * 10]], width=3).splitlines()[2] == "x" * 10


def test_line_breaks_and_long_texts_stay_in_their_row():
    lines = text_table(["text"], [["a\nb\tc"], ["x" * 100]], width=80).splitlines()
    assert lines[2] == "a b c" and lines[3] == "x" * 59 + "…"
