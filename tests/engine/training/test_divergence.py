"""A training that has failed is told from one that had a bad batch."""

from __future__ import annotations

import math

import pytest

from engine.training.divergence import UPDATES, LossWatch


def reasons(losses: list[float], norm: float = 1.0) -> list[str]:
    watch = LossWatch()
    return [watch.seen(step, loss, norm) for step, loss in enumerate(losses, 1)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_or_gradient_that_is_no_number_ends_it_at_once(value):
    assert "The loss of update 1 is" in reasons([value])[0]
    assert "The length of the gradient of update 1 is" in reasons([3.0], norm=value)[0]


def test_one_bad_batch_is_not_the_end():
    assert not any(reasons([3.0] * 10 + [30.0] * (UPDATES - 1) + [3.0] * 10))


def test_a_loss_that_rose_and_stays_ends_it_at_the_fifth_update():
    found = reasons([3.0] * 10 + [6.1] * UPDATES)
    assert not any(found[:-1])
    assert "rose from 3.00 to over 6.10 nats" in found[-1]


def test_a_small_loss_may_double_but_not_grow_by_two_nats():
    assert not any(reasons([0.1] * 10 + [0.5] * 20))
    assert any(reasons([0.1] * 10 + [2.2] * 20))


def test_a_training_that_begins_badly_and_falls_is_fine():
    assert not any(reasons([math.exp(3 - step / 20) for step in range(200)]))


def test_weights_are_not_worth_keeping_while_the_loss_is_up():
    watch = LossWatch()
    for step in range(10):
        watch.seen(step, 3.0, 1.0)
    assert watch.is_calm
    watch.seen(11, 7.0, 1.0)
    assert not watch.is_calm


def test_a_watch_goes_on_from_what_was_written_down():
    one, other = LossWatch(), LossWatch()
    for step in range(7):
        one.seen(step, 3.0 - step / 10, 1.0)
        other.seen(step, 3.0 - step / 10, 1.0)
        other = LossWatch(list(other.last), other.lowest)
    assert one == other
