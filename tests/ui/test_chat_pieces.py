"""What the Chat page sends to the browser, and what it makes of a typed line."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.errors import RunnerError
from engine.runners import TASKS, GeneratedToken
from ui.chat.arrays_panel import made_array
from ui.chat.panels import PANELS
from ui.chat.text_tasks import marked
from ui.chat.token_text import MOST_LIVE, message


def token(text="a", probability=0.5, number=1, finish=""):
    return GeneratedToken(text, number, probability, ((text, probability), ("b", 0.25)), False, 0.1, finish)


def test_every_task_has_a_panel():
    assert set(PANELS) == set(TASKS)


def test_tokens_travel_with_probability_and_alternatives():
    sent = message([token("<b>", 0.123456789), token("", math.nan, None)], is_live=False)
    assert sent == {"live": False, "tokens": [["<b>", 0.12346, [["<b>", 0.12346], ["b", 0.25]], ""]]}


def test_a_long_text_travels_without_alternatives_until_it_is_whole():
    tokens = [token()] * (MOST_LIVE + 1)
    assert all(each[2] == [] for each in message(tokens, is_live=True)["tokens"])
    assert all(each[2] for each in message(tokens, is_live=False)["tokens"])
    assert all(each[2] for each in message(tokens[:MOST_LIVE], is_live=True)["tokens"])


def test_a_marked_answer_is_the_text_itself_and_never_markup():
    text = "<script>x</script> a & b"
    shown = marked(text, 19, 20)
    assert "<script>" not in shown
    assert ">a</mark> &amp; b</div>" in shown
    assert shown.count("<mark") == 1


@pytest.mark.parametrize(
    ("takes", "shape", "fill", "expected"),
    [
        ("(?, 2) float", "1, 2", "zeros", np.zeros((1, 2), np.float32)),
        ("() int64", "", "16000", np.array(16000, np.int64)),
        ("(?) bool", "3", "1", np.ones(3, bool)),
    ],
)
def test_a_typed_line_becomes_an_array(takes, shape, fill, expected):
    array = made_array("x", takes, shape, fill)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


def test_random_filling_is_the_same_each_time_and_of_the_asked_shape():
    first, second = (made_array("x", "(?, ?) float", "2 × 3", "random") for _ in range(2))
    assert first.shape == (2, 3)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("takes", "shape", "fill"),
    [
        ("(?) float", "-1", "zeros"),
        ("(?) float", "many", "zeros"),
        ("(?) float", "1000000000, 1000000000", "zeros"),
        ("(?) float", "2", "nonsense"),
        ("(?) string", "2", "zeros"),
    ],
)
def test_a_senseless_line_is_refused_with_a_way_out(takes, shape, fill):
    with pytest.raises(RunnerError) as caught:
        made_array("x", takes, shape, fill)
    assert "x" in caught.value.message
    assert caught.value.hint
