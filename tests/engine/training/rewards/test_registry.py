"""Every reward part keeps the promises that self-play relies on."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training import rewards
from engine.training.rewards import PARTS, Sample, check_weights, score, total
from engine.training.rewards.registry import reward_part
from engine.training.settings import SelfPlaySettings

SURPRISES = st.floats(0, 1e6) | st.just(np.inf)
SAMPLES = st.lists(st.tuples(st.integers(0, 9), SURPRISES), max_size=20).map(
    lambda drawn: Sample(
        tuple(token for token, _ in drawn), -np.array([surprise for _, surprise in drawn], dtype=float)
    )
)


@pytest.mark.parametrize("name", PARTS)
@given(group=st.lists(SAMPLES, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_part_gives_each_sample_one_number_in_its_range_and_never_minds_the_order(name, group, standards):
    part = PARTS[name]
    values = np.array(part.function(group, standards))
    assert values.shape == (len(group),)
    assert np.all((values >= part.lowest) & (values <= part.highest))
    np.testing.assert_allclose(part.function(group[::-1], standards), values[::-1], atol=1e-12)


@pytest.mark.parametrize("name", PARTS)
def test_an_empty_text_earns_nothing(name, standards, write):
    assert PARTS[name].function([write([]), write([1, 2, 3])], standards)[0] == 0


@pytest.mark.parametrize("name", PARTS)
def test_a_part_changes_neither_its_samples_nor_its_answer(name, standards, write):
    group = [write([1, 2, 3, 4, 5, 1, 2]), write([7, 7, 7, 7])]
    before = [sample.reference_log_probs.copy() for sample in group]
    assert list(PARTS[name].function(group, standards)) == list(PARTS[name].function(group, standards))
    for sample, log_probs in zip(group, before, strict=True):
        np.testing.assert_array_equal(sample.reference_log_probs, log_probs)


def test_the_parts_are_those_of_the_settings():
    assert sorted(PARTS) == sorted(name for name, _ in SelfPlaySettings().weights)


def test_every_part_has_a_title_and_says_its_range():
    for part in PARTS.values():
        assert part.title
        assert "…" in part.description
        assert -1 <= part.lowest < part.highest <= 1


def test_no_part_needs_torch():
    for file in Path(rewards.__file__).parent.glob("*.py"):
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        }
        assert "torch" not in imported, file


def test_the_total_is_the_weighted_mean_of_the_parts_that_count():
    scores = {"length": np.array([1.0, 0.0]), "repetition": np.array([-1.0, -0.5]), "coherence": np.array([9.0, 9.0])}
    weights = check_weights((("length", 3.0), ("repetition", 1.0), ("coherence", 0.0)))
    np.testing.assert_allclose(total(scores, weights), [0.5, -0.125])


def test_weights_count_in_proportion_only(standards, write):
    scores = score([write([1, 2, 3, 1]), write([5, 5, 5, 5, 5])], standards)
    one = total(scores, check_weights((("length", 1.0), ("diversity", 2.0))))
    np.testing.assert_allclose(total(scores, check_weights((("length", 10.0), ("diversity", 20.0)))), one)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ((("brilliance", 1.0),), "no reward part"),
        ((("length", 0.0), ("diversity", 0.0)), "All reward weights are 0"),
        ((), "All reward weights are 0"),
        ((("length", -1.0),), "0 or more"),
        ((("length", float("nan")),), "0 or more"),
        ((("length", float("inf")),), "0 or more"),
        ((("length", 1.0), ("length", 1.0)), "two weights"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, says):
    with pytest.raises(TrainingError, match=says):
        check_weights(weights)


def test_an_unknown_part_is_answered_with_the_known_ones():
    with pytest.raises(TrainingError) as caught:
        check_weights((("brilliance", 1.0),))
    assert "coherence, diversity, length" in caught.value.hint


@pytest.mark.parametrize("answer", [[0.5], [0.5, 2.0], [0.5, float("nan")]])
def test_a_part_that_breaks_its_promise_is_named(answer, standards, write, monkeypatch):
    part = PARTS["length"]
    monkeypatch.setitem(
        PARTS, "length", type(part)(part.name, part.title, part.description, 0, 1, lambda group, standards: answer)
    )
    with pytest.raises(TrainingError, match="reward part length must give 2 numbers"):
        score([write([1]), write([2])], standards)


def test_a_new_part_is_registered_by_its_name(monkeypatch):
    monkeypatch.setattr("engine.training.rewards.registry.PARTS", {})

    @reward_part(title="First")
    def first(group, standards):
        """0 … 1."""
        return [0.0] * len(group)

    with pytest.raises(TrainingError, match="registered twice"):
        reward_part(title="Again")(first)

    def silent(group, standards):
        return [0.0] * len(group)

    with pytest.raises(TrainingError, match="no docstring"):
        reward_part(title="Silent")(silent)
