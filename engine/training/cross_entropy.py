"""The price of the right token, without ever holding the logits of all tokens."""

from __future__ import annotations

import torch

IGNORED = -100
"""Stands in the targets where there is nothing to learn (torch's own default)."""

CHUNK = 512
"""Tokens whose logits exist at once: 512 × 4096 fp32 logits are 8 MB, which stay in a processor's cache."""


class _MeanCrossEntropy(torch.autograd.Function):
    """Loss and both gradients in one pass over chunks of tokens; the backward pass only scales them."""

    @staticmethod
    def forward(ctx, hidden, head, targets):
        counted = targets != IGNORED
        num_counted = counted.sum()
        share = 1.0 / num_counted  # inf without any: the loss is then 0 · inf = NaN, as torch's is
        matrix = head.to(hidden.dtype)
        hidden_gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        head_gradient = torch.zeros_like(head, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        total = torch.zeros((), device=hidden.device, dtype=_wide(hidden))
        for start in range(0, len(hidden), CHUNK):
            rows = slice(start, start + CHUNK)
            wanted = torch.where(counted[rows], targets[rows], 0)[:, None]  # (chunk, 1)
            weights = (counted[rows] * share)[:, None].to(total.dtype)
            logits = (hidden[rows] @ matrix.t()).to(total.dtype)  # (chunk, vocabulary)
            logits -= logits.amax(dim=1, keepdim=True)
            right = logits.gather(1, wanted)
            sums = logits.exp_().sum(dim=1, keepdim=True)
            total = total + ((sums.log() - right) * weights).sum()
            if hidden_gradient is None and head_gradient is None:
                continue
            logits *= weights / sums  # now the gradient of the logits
            logits.scatter_add_(1, wanted, -weights)
            gradient = logits.to(hidden.dtype)
            if hidden_gradient is not None:
                torch.mm(gradient, matrix, out=hidden_gradient[rows])
            if head_gradient is not None:
                head_gradient += gradient.t() @ hidden[rows]
        ctx.save_for_backward(hidden_gradient, head_gradient)
        ctx.head_dtype = head.dtype
        return total

    @staticmethod
    def backward(ctx, outer):
        hidden_gradient, head_gradient = ctx.saved_tensors
        if hidden_gradient is not None:
            hidden_gradient = hidden_gradient * outer.to(hidden_gradient.dtype)
        if head_gradient is not None:
            head_gradient = (head_gradient * outer).to(ctx.head_dtype)
        return hidden_gradient, head_gradient, None


def _wide(hidden: torch.Tensor) -> torch.dtype:
    return torch.float64 if hidden.dtype == torch.float64 else torch.float32


def cross_entropy(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean of −ln p(target) over the targets that are not IGNORED, in nats; differentiable.

    Args:
        hidden: (…, width), what goes into the output head. head: (vocabulary, width). targets: (…,) int64.
    Returns: a scalar in fp32 (fp64 for fp64); NaN if no target counts.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        return _MeanCrossEntropy.apply(hidden.reshape(-1, hidden.shape[-1]), head, targets.reshape(-1))
