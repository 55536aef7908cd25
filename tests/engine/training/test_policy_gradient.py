"""The policy gradient has the right sign and size, and the leash pulls towards the reference."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.training import policy_gradient
from engine.training.advantage import grpo
from engine.training.generation import generate
from engine.training.model import Decoder
from engine.training.policy_gradient import (
    kl_estimate,
    log_probs_in_parts,
    next_kl_coefficient,
    policy_loss,
    rollout,
    written_log_probs,
)
from engine.training.settings import ModelSettings

VOCABULARY = 7


def decoder(seed=0, vocabulary=VOCABULARY, dropout=0.0):
    torch.manual_seed(seed)
    made = Decoder(ModelSettings(vocabulary, width=8, layers=1, heads=2, ffn_width=16, context=12, dropout=dropout))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3)  # far from even predictions
    return made


@pytest.fixture
def model():
    return decoder()


@pytest.fixture
def samples():
    """Prompts and texts of different lengths."""
    return rollout([[1, 2], [3], [4, 5, 6]], [[1, 0], [6, 5, 4, 3, 2], [2]])


def slow_log_probs(model, temperature):
    """Each drawn token from a forward pass over what stood before it, in fp64; also the entropy there."""
    rows = [([1, 2], [1, 0]), ([3], [6, 5, 4, 3, 2]), ([4, 5, 6], [2])]
    log_probs, entropies = [], []
    for prompt, written in rows:
        for count, token in enumerate(written):
            logits = model(torch.tensor([prompt + written[:count]]))[0, -1].double() / temperature
            distribution = logits.log_softmax(-1)
            log_probs.append(distribution[token])
            entropies.append(-(distribution.exp() * distribution).sum())
    return torch.stack(log_probs), torch.stack(entropies)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("chunk", [1, 3, 512])
def test_drawn_tokens_are_scored_under_the_distribution_they_were_drawn_from(
    model, samples, temperature, chunk, monkeypatch
):
    monkeypatch.setattr(policy_gradient, "CHUNK", chunk)
    log_probs, entropies = written_log_probs(model, samples, temperature)
    expected, expected_entropies = slow_log_probs(model, temperature)
    torch.testing.assert_close(log_probs.double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropies.double(), expected_entropies, atol=1e-5, rtol=1e-5)
    weights = torch.arange(1.0, 9.0)
    found = torch.autograd.grad((weights * log_probs).sum(), list(model.parameters()))
    wanted = torch.autograd.grad((weights * expected).sum(), list(model.parameters()))
    for each, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(each, other, atol=1e-4, rtol=1e-4)


def test_prompts_and_padding_are_not_scored(model, samples):
    assert samples.is_written.tolist() == [
        [False, False, True, True, False, False],
        [False, True, True, True, True, True],
        [False, False, False, True, False, False],
    ]
    log_probs, _ = written_log_probs(model, samples, 1.0)
    assert len(log_probs) == samples.num_written == 8
    padded = samples.ids.clone()
    padded[0, 4:] = 6
    padded[2, 4:] = 1
    other, _ = written_log_probs(model, policy_gradient.Rollout(padded, samples.is_written), 1.0)
    torch.testing.assert_close(other, log_probs, atol=0, rtol=0)


def test_a_bounded_number_of_tokens_at_a_time_gives_the_same(model, samples, monkeypatch):
    whole, _ = written_log_probs(model, samples, 1.3)
    monkeypatch.setattr(policy_gradient, "TOKENS_AT_ONCE", 6)
    assert [len(part.ids) for part, _ in samples.parts()] == [1, 1, 1]
    assert [(place.start, place.stop) for _, place in samples.parts()] == [(0, 2), (2, 7), (7, 8)]
    torch.testing.assert_close(log_probs_in_parts(model, samples, 1.3)[0], whole)


def test_samples_have_the_log_probabilities_that_generation_reported():
    """At temperature 1, also for the END_OF_TEXT that ends a text: cache and scoring agree token by token."""
    model = decoder(3).eval()
    prompts = [[1, 2, 3], [4]]
    written = generate(model, prompts, 8, samples=6, seed=5, stop=0)
    assert {each.ended for each in written} == {"stop", "length"}
    rows = [prompt for prompt in prompts for _ in range(6)]
    scored, _ = log_probs_in_parts(model, rollout(rows, [each.tokens for each in written]), 1.0)
    reported = torch.tensor([log_prob for each in written for log_prob in each.log_probs])
    torch.testing.assert_close(scored, reported, atol=1e-5, rtol=1e-5)


def every_arm(model, temperature=1.0, reference=None):
    """ln π of each possible first token after a prompt, and the same under the reference."""
    arms = rollout([[1]] * VOCABULARY, [[arm] for arm in range(VOCABULARY)])
    log_probs, _ = written_log_probs(model, arms, temperature)
    other = log_probs.detach() if reference is None else log_probs_in_parts(reference, arms, temperature)[0]
    return log_probs, other


def expected_loss(log_probs, advantages, reference_log_probs, coefficient):
    """The mean of `policy_loss` over the drawn token, exactly."""
    return sum(
        log_probs.detach()[arm].exp()
        * policy_loss(
            log_probs[arm : arm + 1], advantages[arm : arm + 1], reference_log_probs[arm : arm + 1], coefficient
        )
        for arm in range(VOCABULARY)
    )


@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_the_gradient_is_that_of_the_expected_advantage(model, temperature):
    advantages = torch.tensor([0.5, -1.0, 2.0, 0.0, -0.3, 0.7, -1.2])
    log_probs, same = every_arm(model, temperature)
    parameters = list(model.parameters())
    found = torch.autograd.grad(expected_loss(log_probs, advantages, same, 0.0), parameters, retain_graph=True)
    wanted = torch.autograd.grad(-(log_probs.exp() * advantages).sum(), parameters)
    for each, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(each, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_the_leash_has_the_gradient_of_the_exact_kl(model, temperature):
    log_probs, reference_log_probs = every_arm(model, temperature, decoder(9))
    parameters = list(model.parameters())
    loss = expected_loss(log_probs, torch.zeros(VOCABULARY), reference_log_probs, 0.3)
    found = torch.autograd.grad(loss, parameters, retain_graph=True)
    exact = (log_probs.exp() * (log_probs - reference_log_probs)).sum()
    wanted = torch.autograd.grad(0.3 * exact, parameters)
    for each, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(each, other, atol=1e-5, rtol=1e-4)


def test_differentiating_the_estimator_would_pull_by_another_divergence(model):
    """Why `policy_loss` does not: in the mean it is the gradient of KL(reference ‖ π)."""
    log_probs, reference_log_probs = every_arm(model, 1.0, decoder(9))
    weight = model.embed_tokens.weight
    tempting = (log_probs.detach().exp() * kl_estimate(log_probs, reference_log_probs)).sum()
    found = torch.autograd.grad(tempting, weight, retain_graph=True)[0]
    other_way = (reference_log_probs.exp() * (reference_log_probs - log_probs)).sum()
    torch.testing.assert_close(
        found, torch.autograd.grad(other_way, weight, retain_graph=True)[0], atol=1e-5, rtol=1e-4
    )
    exact = (log_probs.exp() * (log_probs - reference_log_probs)).sum()
    assert not torch.allclose(found, torch.autograd.grad(exact, weight)[0], atol=1e-2)


def test_the_mean_of_the_estimate_is_the_exact_kl(model):
    log_probs, reference_log_probs = (each.detach().double() for each in every_arm(model, 1.0, decoder(9)))
    estimate = (log_probs.exp() * kl_estimate(log_probs, reference_log_probs)).sum()
    exact = (log_probs.exp() * (log_probs - reference_log_probs)).sum()
    assert float(exact) > 0.1
    assert float(estimate) == pytest.approx(float(exact), rel=1e-5)


@given(st.floats(-20, 0), st.floats(-20, 0))
def test_the_estimate_is_never_negative_and_zero_only_for_equals(log_prob, reference_log_prob):
    estimate = float(kl_estimate(torch.tensor(log_prob).double(), torch.tensor(reference_log_prob).double()))
    assert estimate >= 0
    assert (estimate == 0) == (log_prob == reference_log_prob) or abs(log_prob - reference_log_prob) < 1e-6


def play_three_arms(sign):
    """Forty updates on arms that pay 0.1, 0.5 and 0.9. Returns: the probability of each."""
    model = decoder(1, vocabulary=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for step in range(40):
        drawn = generate(model, [[0]], 1, samples=16, seed=step)
        arms = [each.tokens for each in drawn]
        advantages = sign * torch.from_numpy(grpo(torch.tensor([[(0.1, 0.5, 0.9)[arm] for (arm,) in arms]]).numpy()))
        log_probs, _ = written_log_probs(model, rollout([[0]] * 16, arms), 1.0)
        policy_loss(log_probs, advantages[0].float(), log_probs.detach(), 0.0).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model(torch.tensor([[0]]))[0, 0].softmax(-1).tolist()


def test_of_three_arms_the_best_wins():
    assert play_three_arms(+1)[2] > 0.9


def test_with_the_wrong_sign_the_best_arm_would_lose():
    assert play_three_arms(-1)[2] < 0.1


@pytest.mark.parametrize(
    ("kl", "expected"),
    [(0.0, 0.9), (0.04, 0.9), (0.045, 0.95), (0.05, 1.0), (0.055, 1.05), (0.06, 1.1), (9.0, 1.1)],
)
def test_the_coefficient_follows_the_kl_by_at_most_a_tenth(kl, expected):
    assert next_kl_coefficient(0.1, kl, 0.05, 0.1) == pytest.approx(0.1 * expected)


def test_without_a_target_the_coefficient_stays():
    assert next_kl_coefficient(0.1, 9.0, 0.0, 0.1) == 0.1


@pytest.mark.parametrize(("kl", "bound"), [(0.0, 0.001), (1e9, 10.0), (math.inf, 10.0)])
def test_the_coefficient_stays_within_its_bounds(kl, bound):
    coefficient = 0.1
    for _ in range(1000):
        coefficient = next_kl_coefficient(coefficient, kl, 0.05, 0.1)
    assert coefficient == pytest.approx(bound)


def test_no_leash_stays_no_leash():
    assert next_kl_coefficient(0.0, 9.0, 0.05, 0.0) == 0.0
