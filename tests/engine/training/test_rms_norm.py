"""Our RMSNorm is torch's, value and gradients."""

from __future__ import annotations

import torch
from torch.nn import functional

from engine.training.rms_norm import rms_norm


def test_values_and_gradients_are_torchs():
    torch.manual_seed(0)
    x, gain, outer = torch.randn(3, 5, 12), torch.rand(12) + 0.5, torch.randn(3, 5, 12)
    one, other = ((x.clone().requires_grad_(), gain.clone().requires_grad_()) for _ in range(2))
    ours, theirs = rms_norm(*one, 1e-3), functional.rms_norm(other[0], (12,), other[1], 1e-3)
    torch.testing.assert_close(ours, theirs)
    for found, expected in zip(
        torch.autograd.grad(ours, one, outer), torch.autograd.grad(theirs, other, outer), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    x, gain = (torch.randn(size, dtype=torch.float64, requires_grad=True) for size in ((2, 4), (4,)))
    assert torch.autograd.gradcheck(lambda x, gain: rms_norm(x, gain, 1e-6), (x, gain))


def test_a_row_of_zeros_stays_zero():
    x = torch.zeros(1, 4, requires_grad=True)
    rms_norm(x, torch.ones(4), 1e-6).sum().backward()
    assert torch.isfinite(x.grad).all()
