"""Sampling against the processors of transformers, and its seeded draws."""

import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.errors import RunnerError
from engine.runners import PRESETS, GenerationSettings
from engine.runners.generation_settings import model_settings
from engine.runners.sampling import Sampler, next_token_distribution


def transformers_distribution(logits: torch.Tensor, chosen: GenerationSettings, seen: list[int]) -> np.ndarray:
    """The same by transformers' own processors, in the order of `generate`."""
    ids, scores = torch.tensor([seen]), logits[None].clone()
    if chosen.repetition_penalty != 1:
        scores = RepetitionPenaltyLogitsProcessor(chosen.repetition_penalty)(ids, scores)
    scores = TemperatureLogitsWarper(chosen.temperature)(ids, scores)
    if chosen.top_k:
        scores = TopKLogitsWarper(chosen.top_k)(ids, scores)
    if chosen.top_p < 1:
        scores = TopPLogitsWarper(chosen.top_p)(ids, scores)
    return torch.softmax(scores, -1)[0].numpy()


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(2, 300),
    st.floats(0.1, 5),
    st.integers(0, 40),
    st.floats(0.01, 1),
    st.floats(0.5, 2),
)
def test_the_distribution_is_that_of_transformers(seed, vocabulary, temperature, top_k, top_p, penalty):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.standard_normal(vocabulary).astype(np.float32) * 4)
    seen = sorted(set(rng.integers(0, vocabulary, 5).tolist()))
    chosen = GenerationSettings(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty)
    expected = transformers_distribution(logits, chosen, seen)
    probabilities, ids = next_token_distribution(logits, chosen, torch.tensor(seen))
    found = np.zeros(vocabulary)
    found[ids.numpy()] = probabilities.numpy()
    differs = (found > 0) != (expected > 0)
    if differs.any():  # transformers adds up in float32: tokens at the edge of top_p may fall on either side of it
        whole = transformers_distribution(logits.double(), replace(chosen, top_p=1.0), seen)
        order = np.argsort(-whole, kind="stable")
        before = np.empty_like(whole)
        before[order] = np.cumsum(whole[order]) - whole[order]
        assert (np.abs(before[differs] - top_p) < 1e-5).all()
        return
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7)


def test_top_k_keeps_exactly_the_k_largest():
    logits = torch.tensor([0.0, 3.0, 1.0, 2.0])
    probabilities, ids = next_token_distribution(logits, GenerationSettings(temperature=1, top_k=2), torch.tensor([]))
    assert ids.tolist() == [1, 3]
    np.testing.assert_allclose(probabilities, [math.e / (1 + math.e), 1 / (1 + math.e)], rtol=1e-6)


def test_top_p_keeps_the_fewest_that_reach_p():
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    for p, kept in ((0.49, 1), (0.5001, 2), (0.79, 2), (0.81, 3), (0.96, 4), (0.0, 1)):
        chosen = GenerationSettings(temperature=1, top_k=0, top_p=p)
        assert len(next_token_distribution(logits, chosen, torch.tensor([]))[1]) == kept, p


def test_draws_follow_the_distribution():
    logits = torch.log(torch.tensor([0.6, 0.3, 0.1]))
    sampler = Sampler(GenerationSettings(temperature=1, top_k=0, seed=3), [], 3)
    counts = np.bincount([sampler.draw(logits) for _ in range(20_000)], minlength=3) / 20_000
    np.testing.assert_allclose(counts, [0.6, 0.3, 0.1], atol=0.015)


def test_a_seed_gives_the_same_tokens_whatever_other_threads_draw():
    logits = torch.randn(500, generator=torch.Generator().manual_seed(0))
    chosen = GenerationSettings(temperature=1, top_k=0, seed=7)

    def draws() -> list[int]:
        sampler = Sampler(chosen, [], 500)
        return [sampler.draw(logits) for _ in range(200)]

    alone, together = draws(), []
    threads = [threading.Thread(target=lambda: (torch.rand(1000), together.append(draws()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [alone] * 4
    state = torch.random.get_rng_state()
    draws()
    assert torch.equal(state, torch.random.get_rng_state()), "torch's own generator was used"


def test_another_seed_gives_other_tokens_and_no_seed_a_new_one_each_time():
    logits = torch.zeros(1000)

    def draws(seed) -> list[int]:
        sampler = Sampler(GenerationSettings(temperature=1, top_k=0, seed=seed), [], 1000)
        return [sampler.draw(logits) for _ in range(10)]

    assert draws(0) == draws(0) != draws(1)
    assert draws(None) != draws(None)


def test_temperature_zero_takes_the_likeliest_after_the_penalty():
    logits = torch.tensor([2.0, 1.9, -1.0])
    greedy = GenerationSettings(temperature=0, top_k=0)
    assert Sampler(greedy, [0], 3).draw(logits) == 0
    assert Sampler(replace(greedy, repetition_penalty=1.2), [0], 3).draw(logits) == 1


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_an_error_with_a_hint(broken):
    for chosen in (GenerationSettings(), GenerationSettings(temperature=0)):
        with pytest.raises(RunnerError, match=r"not finite.*NaN"):
            Sampler(chosen, [], 3).draw(torch.tensor([0.0, broken, 1.0]))


def test_scores_of_minus_infinity_are_tokens_that_never_come():
    logits = torch.tensor([-math.inf, 0.0, -math.inf])
    assert Sampler(GenerationSettings(seed=None), [], 3).draw(logits) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"top_p": 1.5},
        {"top_k": -1},
        {"max_new_tokens": 0},
        {"repetition_penalty": 0},
        {"alternatives": 1000},
        {"seed": -1},
    ],
)
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(RunnerError, match=next(iter(wrong))):
        GenerationSettings(**wrong)


def test_presets_differ_and_one_is_greedy():
    assert len(set(PRESETS.values())) == len(PRESETS)
    assert PRESETS["Exact"].temperature == 0


def test_the_authors_settings_are_taken_where_they_make_sense():
    stated = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 7, "repetition_penalty": "much"}
    found = model_settings(stated)
    assert (found.temperature, found.top_k) == (0.6, 20)
    assert (found.top_p, found.repetition_penalty) == (GenerationSettings().top_p, 1.0)
    assert model_settings({"do_sample": False, "temperature": 0.6}).temperature == 0
    assert model_settings({}) == GenerationSettings()
