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
        wide = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        counted = targets != IGNORED
        shares = (counted.to(wide) / counted.sum())[:, None]  # NaN without any, and so is the loss, as torch's
        wanted = torch.where(counted, targets, 0)[:, None]  # (tokens, 1)
        matrix, weighted = head.to(hidden.dtype), hidden * shares.to(hidden.dtype)
        hidden_gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        head_gradient = torch.zeros_like(head, dtype=wide) if ctx.needs_input_grad[1] else None
        nats = torch.empty_like(shares)
        for start in range(0, len(hidden), CHUNK):
            rows = slice(start, start + CHUNK)
            logits = hidden[rows] @ matrix.t()  # (chunk, vocabulary)
            chances = logits.softmax(dim=1, dtype=wide)
            # −ln p = ln Σ exp − logit; ln Σ exp from the likeliest token, whose chance cannot round to 0
            log_sums = logits.amax(dim=1, keepdim=True) - chances.amax(dim=1, keepdim=True).log()
            nats[rows] = log_sums - logits.gather(1, wanted[rows])
            if hidden_gradient is None and head_gradient is None:
                continue
            gradient = chances.scatter_add_(1, wanted[rows], -torch.ones_like(log_sums)).to(hidden.dtype)
            if hidden_gradient is not None:
                torch.mm(gradient, matrix, out=hidden_gradient[rows])
            if head_gradient is not None:
                head_gradient += gradient.t() @ weighted[rows]
        if hidden_gradient is not None:
            hidden_gradient *= shares.to(hidden.dtype)
        ctx.save_for_backward(hidden_gradient, head_gradient)
        ctx.head_dtype = head.dtype
        return (nats * shares).sum()

    @staticmethod
    def backward(ctx, outer):
        hidden_gradient, head_gradient = ctx.saved_tensors
        if hidden_gradient is not None:
            hidden_gradient = hidden_gradient * outer.to(hidden_gradient.dtype)
        if head_gradient is not None:
            head_gradient = (head_gradient * outer).to(ctx.head_dtype)
        return hidden_gradient, head_gradient, None


def cross_entropy(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean of −ln p(target) over the targets that are not IGNORED, in nats; differentiable.

    Args:
        hidden: (…, width), what goes into the output head. head: (vocabulary, width). targets: (…,) int64.
    Returns: a scalar in fp32 (fp64 for fp64); NaN if no target counts.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        return _MeanCrossEntropy.apply(hidden.reshape(-1, hidden.shape[-1]), head, targets.reshape(-1))
