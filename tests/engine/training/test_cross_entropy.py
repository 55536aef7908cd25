"""The chunked cross-entropy is torch's own, value and gradients, in any company of ignored targets."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from engine.training import cross_entropy as module
from engine.training.cross_entropy import CHUNK, IGNORED, cross_entropy


def _case(tokens, width, vocabulary, ignored=0.0, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, width, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    head = torch.randn(vocabulary, width, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    targets[torch.rand(tokens, generator=generator) < ignored] = IGNORED
    return hidden, head, targets


@settings(max_examples=25, deadline=None)
@given(
    tokens=st.integers(1, 40),
    vocabulary=st.integers(2, 30),
    chunk=st.integers(1, 50),
    ignored=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 100),
)
def test_value_and_gradients_are_torchs_whatever_the_chunk(tokens, vocabulary, chunk, ignored, seed):
    hidden, head, targets = _case(tokens, 5, vocabulary, ignored, seed=seed)
    targets[0] = 0  # one at least counts
    expected = functional.cross_entropy(hidden @ head.t(), targets)
    before, module.CHUNK = module.CHUNK, chunk
    try:
        found = cross_entropy(hidden, head, targets)
    finally:
        module.CHUNK = before
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(found, (hidden, head)), torch.autograd.grad(expected, (hidden, head)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    hidden, head, targets = _case(7, 3, 5, ignored=0.3, seed=1)
    assert torch.autograd.gradcheck(lambda h, w: cross_entropy(h, w, targets), (hidden, head))


def test_even_logits_cost_the_logarithm_of_the_vocabulary():
    targets = torch.randint(64, (CHUNK + 3,))
    loss = cross_entropy(torch.zeros(CHUNK + 3, 8), torch.randn(64, 8), targets)
    assert loss.item() == pytest.approx(math.log(64), rel=1e-6)


def test_a_target_whose_chance_rounds_to_nothing_has_a_finite_price():
    hidden, head = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0], [500.0, 0.0]])
    assert cross_entropy(hidden, head, torch.tensor([0])).item() == pytest.approx(500.0)


def test_without_a_target_that_counts_the_loss_is_no_number_as_torchs_is():
    hidden, head, targets = _case(4, 3, 5)
    assert math.isnan(cross_entropy(hidden, head, torch.full_like(targets, IGNORED)).item())


def test_bf16_keeps_the_type_of_each_gradient_and_the_sum_in_fp32():
    hidden, head, targets = _case(600, 16, 40, ignored=0.2, dtype=torch.float32)
    rounded = hidden.detach().to(torch.bfloat16).requires_grad_()
    found = cross_entropy(rounded, head, targets)
    expected = functional.cross_entropy(rounded.float() @ head.t(), targets)
    assert found.dtype == torch.float32 and found.item() == pytest.approx(expected.item(), rel=1e-2)
    ours = torch.autograd.grad(found, (rounded, head))
    theirs = torch.autograd.grad(expected, (rounded, head))
    assert [each.dtype for each in ours] == [torch.bfloat16, torch.float32]
    for one, other in zip(ours, theirs, strict=True):
        assert functional.cosine_similarity(one.float().flatten(), other.float().flatten(), dim=0) > 0.999


def test_an_outer_factor_scales_the_gradients_and_a_frozen_head_gets_none():
    hidden, head, targets = _case(9, 4, 6)
    (once,) = torch.autograd.grad(cross_entropy(hidden, head.detach(), targets), hidden)
    (thrice,) = torch.autograd.grad(3 * cross_entropy(hidden, head.detach(), targets), hidden)
    torch.testing.assert_close(thrice, 3 * once)
