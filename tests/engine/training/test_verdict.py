"""Verdicts on histories made by hand."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training.verdict import (
    TOLERANCE,
    Change,
    Look,
    judge,
    look_from,
    mean_change,
    relative_change,
)

PROMPTS = 16


def look(iteration=0, reward=0.5, held_out=1.0, parts=(), spread=0.02, seed=0, **changes):
    """A look: `reward` on average with this spread, held-out text at `held_out` times the price of the start."""
    noise = np.random.default_rng(seed).normal(size=(3, PROMPTS))
    noise -= noise.mean(axis=1, keepdims=True)
    named = {"coherence": 0.9, "diversity": 0.8, "length": 1.0} | dict(parts)
    values = {
        "iteration": iteration,
        "rewards": tuple(reward + spread * noise[0]),
        "parts": {name: tuple(value + spread * noise[1]) for name, value in named.items()},
        "held_out_nats": tuple(held_out * (1000 + 100 * np.arange(8)) + noise[2, :8]),
        "held_out_tokens": (300,) * 8,
        "held_out_bytes": (1000,) * 8,
        "continuation_nats": (100.0,) * PROMPTS,
        "continuation_bytes": (150,) * PROMPTS,
        "kl": 0.02,
        "entropy": 3.0,
        "mean_length": 48.0,
    }
    return Look(**values | changes)


START = look()


def test_a_reward_that_rose_while_nothing_was_lost_is_improved():
    judgement = judge([START, look(10, reward=0.6, seed=1)])
    assert judgement.verdict == "improved"
    assert not judgement.must_stop
    assert "0.500 → 0.600" in judgement.reason
    assert "KL 0.020" in judgement.reason


def test_a_reward_that_rose_while_held_out_text_costs_more_is_hacked():
    judgement = judge([START, look(10, reward=0.6, held_out=1.1, seed=1)])
    assert judgement.verdict == "hacked"
    assert not judgement.must_stop
    assert "held-out text costs 10.0% more" in judgement.reason


def test_a_part_that_pays_for_the_reward_is_named():
    judgement = judge([START, look(10, reward=0.6, parts={"coherence": 0.4, "diversity": 0.6}.items(), seed=1)])
    assert judgement.verdict == "hacked"
    assert "coherence fell by 0.50, diversity fell by 0.20" in judgement.reason


def test_a_small_price_within_the_tolerance_is_no_hack():
    assert judge([START, look(10, reward=0.6, held_out=1 + TOLERANCE / 2, seed=1)]).verdict == "improved"
    assert judge([START, look(10, reward=0.6, parts={"length": 0.95}.items(), seed=1)]).verdict == "improved"


def test_nothing_changed_is_unchanged():
    assert judge([START, look(10, seed=1)]).verdict == "unchanged"
    assert judge([START, START]).verdict == "unchanged"


def test_a_rise_that_may_be_chance_is_unchanged():
    judgement = judge([look(spread=0.3), look(10, reward=0.55, spread=0.3, seed=1)])
    assert judgement.verdict == "unchanged"
    assert "may be chance" in judgement.reason


def test_a_certain_but_tiny_rise_is_unchanged():
    assert judge([look(spread=0.0), look(10, reward=0.51, spread=0.0)]).verdict == "unchanged"


def test_a_lower_reward_is_told():
    judgement = judge([START, look(10, reward=0.4, seed=1)])
    assert judgement.verdict == "unchanged"
    assert "lower than at the start" in judgement.reason


def test_a_model_that_falls_apart_without_gain_is_unstable_and_must_stop():
    judgement = judge([START, look(10, held_out=1.5, seed=1)])
    assert (judgement.verdict, judgement.must_stop) == ("unstable", True)


@pytest.mark.parametrize("harm", [{"held_out": 1.1}, {"parts": {"coherence": 0.6}.items()}])
def test_harm_without_a_certain_gain_is_unstable_and_may_go_on(harm):
    judgement = judge([look(spread=0.1), look(10, reward=0.53, spread=0.1, seed=1, **harm)])
    assert (judgement.verdict, judgement.must_stop) == ("unstable", False)
    assert "the reward did not rise for certain" in judgement.reason


def test_a_model_that_falls_apart_for_its_reward_is_hacked_and_may_go_on():
    judgement = judge([START, look(10, reward=0.9, held_out=1.5, seed=1)])
    assert (judgement.verdict, judgement.must_stop) == ("hacked", False)


@pytest.mark.parametrize(
    "broken", [{"kl": math.nan}, {"rewards": (math.nan,) * PROMPTS}, {"held_out_nats": (math.inf,) * 8}]
)
def test_what_is_no_number_is_unstable_and_must_stop(broken):
    judgement = judge([START, look(10, **broken)])
    assert (judgement.verdict, judgement.must_stop) == ("unstable", True)


def test_a_reward_that_lost_most_of_its_gain_is_unstable():
    judgement = judge([START, look(10, reward=0.7, seed=1), look(20, reward=0.55, seed=2)])
    assert (judgement.verdict, judgement.must_stop) == ("unstable", False)
    assert "0.700 at 10" in judgement.reason


def test_coming_down_from_a_hacked_reward_is_not_unstable():
    hacked = look(10, reward=0.9, held_out=1.4, seed=1)
    assert judge([START, hacked, look(20, reward=0.6, seed=2)]).verdict == "improved"
    assert judge([START, hacked, look(20, reward=0.6, held_out=1.1, seed=2)]).verdict == "hacked"
    assert judge([START, hacked, look(20, seed=2)]).verdict == "unchanged"


def test_a_reward_that_keeps_most_of_its_gain_is_improved():
    assert judge([START, look(10, reward=0.7, seed=1), look(20, reward=0.65, seed=2)]).verdict == "improved"


@given(st.integers(0, 10**6))
def test_noise_alone_never_makes_a_verdict_of_large_effect(seed):
    """Two looks at one model with fresh samples: at most chance, never hacked or unstable."""
    verdict = judge([look(spread=0.05, seed=seed), look(10, spread=0.05, seed=seed + 1)]).verdict
    assert verdict == "unchanged"


def test_false_alarms_are_rare_where_nothing_changed():
    """Reward and parts of each prompt drawn anew from the same distribution, 1000 times."""
    rng = np.random.default_rng(0)

    def drawn():
        parts = {name: tuple(rng.normal(0.7, 0.1, PROMPTS)) for name in ("coherence", "diversity", "length")}
        nats = tuple(np.full(8, 1000.0) + rng.normal(0, 5, 8))
        return dataclasses.replace(START, rewards=tuple(rng.normal(0.5, 0.1, PROMPTS)), parts=parts, held_out_nats=nats)

    verdicts = [judge([drawn(), drawn()]).verdict for _ in range(1000)]
    assert verdicts.count("unchanged") >= 985


def test_one_prompt_alone_claims_nothing():
    before = dataclasses.replace(START, rewards=(0.5,), parts={"length": (1.0,)})
    after = dataclasses.replace(START, rewards=(0.9,), parts={"length": (0.1,)})
    assert judge([before, after]).verdict == "unchanged"


def test_a_verdict_needs_a_look_before_the_first_update():
    with pytest.raises(TrainingError, match="compares two looks"):
        judge([START])


def test_a_mean_change_has_the_error_of_paired_differences():
    change = mean_change([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert change == Change(2.0, pytest.approx(1 / math.sqrt(3)))
    assert mean_change([1.0], [2.0]) == Change(1.0, math.inf)


def test_a_relative_change_is_that_of_the_totals():
    assert relative_change([100.0, 300.0], [110.0, 330.0]).mean == pytest.approx(0.1)
    assert relative_change([100.0, 300.0], [110.0, 330.0]).error == pytest.approx(0, abs=1e-12)
    assert relative_change([100.0], [103.0]) == Change(pytest.approx(0.03), 0.0)


def test_the_error_of_a_relative_change_agrees_with_the_bootstrap():
    rng = np.random.default_rng(0)
    before = rng.uniform(500, 2000, 40)
    after = before * rng.normal(1.05, 0.03, 40)
    resampled = []
    for _ in range(3000):
        rows = rng.integers(0, 40, 40)
        resampled.append(after[rows].sum() / before[rows].sum() - 1)
    assert relative_change(before, after).error == pytest.approx(np.std(resampled), rel=0.1)


def test_a_change_must_be_large_and_certain():
    assert Change(0.1, 0.01).exceeds(0.05)
    assert not Change(0.1, 0.05).exceeds(0.05)
    assert not Change(0.04, 0.001).exceeds(0.05)
    assert Change(-0.1, 0.01).falls_below(0.05)
    assert not Change(0.1, 0.01).falls_below(0.05)


def test_a_look_is_the_same_after_json():
    assert look_from(json.loads(json.dumps(dataclasses.asdict(START)))) == START


def test_what_a_look_tells_a_chart():
    metrics = look(reward=0.6).metrics
    assert metrics["benchmark/reward"] == pytest.approx(0.6)
    assert metrics["benchmark/coherence"] == pytest.approx(0.9)
    assert metrics["benchmark/continuation_bits_per_byte"] == pytest.approx(100 / math.log(2) / 150)
    assert START.bits_per_byte == pytest.approx(sum(START.held_out_nats) / math.log(2) / 8000)
