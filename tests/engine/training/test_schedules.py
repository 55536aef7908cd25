"""Rates rise, stay and fall as their formulas say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_wsd_schedule

from engine.errors import TrainingError
from engine.training.schedules import SCHEDULES, cosine, rate_share, trapezoid
from engine.training.settings import TrainingSettings

COSINE = TrainingSettings(steps=110, warmup_steps=10, schedule="cosine", final_share=0.1)
TRAPEZOID = TrainingSettings(steps=100, warmup_steps=10, schedule="trapezoid", final_share=0.1, decay_share=0.4)


def test_a_cosine_rises_in_a_line_and_falls_along_half_a_wave():
    assert [cosine(step, COSINE) for step in (1, 5, 10)] == pytest.approx([0.1, 0.5, 1.0])
    assert cosine(60, COSINE) == pytest.approx(0.55)  # half-way down
    assert cosine(35, COSINE) == pytest.approx(0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2)
    assert cosine(110, COSINE) == pytest.approx(0.1)


def test_a_trapezoid_rises_stays_and_falls_in_lines():
    assert [trapezoid(step, TRAPEZOID) for step in (1, 5, 10, 35, 60)] == pytest.approx([0.1, 0.5, 1, 1, 1])
    assert [trapezoid(step, TRAPEZOID) for step in (70, 80, 100)] == pytest.approx([0.775, 0.55, 0.1])


def test_after_its_rise_a_trapezoid_is_what_transformers_calls_wsd():
    settings = replace(TRAPEZOID, final_share=0.25)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = get_wsd_schedule(
        optimizer, num_decay_steps=40, num_warmup_steps=10, num_stable_steps=50, min_lr_ratio=0.25, decay_type="linear"
    )
    for step in range(1, 101):
        optimizer.step()
        peer.step()
        if step >= 10:  # theirs rises from min_lr_ratio
            assert trapezoid(step, settings) == pytest.approx(peer.get_last_lr()[0]), step


@given(
    schedule=st.sampled_from(sorted(SCHEDULES)),
    steps=st.integers(1, 300),
    warmup=st.integers(0, 400),
    final=st.floats(0, 1),
    decay=st.floats(0, 1),
)
def test_any_schedule_stays_between_nothing_and_the_highest_rate_and_falls_only_once(
    schedule, steps, warmup, final, decay
):
    settings = TrainingSettings(
        steps=steps, warmup_steps=warmup, schedule=schedule, final_share=final, decay_share=decay
    )
    shares = [rate_share(step, settings) for step in range(1, steps + 1)]
    assert all(0 <= share <= 1 for share in shares)
    top = shares.index(max(shares))
    assert shares[: top + 1] == sorted(shares[: top + 1])
    assert shares[top:] == sorted(shares[top:], reverse=True)


def test_without_warm_up_the_first_update_has_the_whole_rate():
    for schedule in SCHEDULES:
        settings = TrainingSettings(steps=100, warmup_steps=0, schedule=schedule)
        assert rate_share(1, settings) == pytest.approx(1, abs=1e-3)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(TrainingError, match="no schedule 'step'"):
        rate_share(1, TrainingSettings(schedule="step"))
