"""Advantages in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import TrainingError
from engine.training.advantage import ADVANTAGES, grpo, rloo
from engine.training.settings import SelfPlaySettings

REWARDS = st.lists(st.lists(st.floats(-1, 1, width=16), min_size=4, max_size=4), min_size=1, max_size=3)


def test_two_samples_are_plus_and_minus_one():
    np.testing.assert_allclose(grpo(np.array([[0.2, 0.8], [5.0, -5.0]])), [[-1, 1], [1, -1]])


def test_group_deviations_are_taken_out():
    np.testing.assert_allclose(grpo(np.array([[1.0, 2.0, 3.0]])), [[-np.sqrt(1.5), 0, np.sqrt(1.5)]])


def test_leaving_one_out_is_the_mean_of_the_others():
    rewards = np.array([[1.0, 2.0, 6.0]])
    np.testing.assert_allclose(rloo(rewards), [[1 - 4, 2 - 3.5, 6 - 1.5]])


@pytest.mark.parametrize("advantage", ADVANTAGES.values())
def test_equal_rewards_teach_nothing(advantage):
    third = np.full((2, 3), 1 / 3)
    third[0, 1] += 1e-16  # a rounding error is no difference
    np.testing.assert_allclose(advantage(third), 0, atol=1e-12)


@pytest.mark.parametrize("advantage", ADVANTAGES.values())
@given(rewards=REWARDS, offset=st.floats(-5, 5))
def test_groups_stand_alone_and_only_differences_count(advantage, rewards, offset):
    rewards = np.array(rewards)
    together = advantage(rewards)
    np.testing.assert_allclose(together.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(together, np.vstack([advantage(row[None]) for row in rewards]))
    np.testing.assert_allclose(advantage(rewards + offset), together, atol=1e-6)
    assert np.all((np.diff(rewards[:, :2]) * np.diff(together[:, :2])) >= 0)


@given(REWARDS, st.floats(0.5, 9))
def test_grpo_forgets_the_scale_and_rloo_keeps_it(rewards, scale):
    rewards = np.array(rewards)
    np.testing.assert_allclose(grpo(scale * rewards), grpo(rewards), atol=1e-6)
    np.testing.assert_allclose(rloo(scale * rewards), scale * rloo(rewards), atol=1e-9)


def test_the_names_are_those_of_the_settings():
    assert SelfPlaySettings().advantage in ADVANTAGES
    assert set(ADVANTAGES) == {"grpo", "rloo"}


@pytest.mark.parametrize("advantage", ADVANTAGES.values())
@pytest.mark.parametrize(
    ("rewards", "says"), [([[1.0]], "2 or more"), ([1.0, 2.0], "2 or more"), ([[1, np.nan]], "1 of 2")]
)
def test_what_cannot_be_compared_is_refused(advantage, rewards, says):
    with pytest.raises(TrainingError, match=says):
        advantage(np.array(rewards))
