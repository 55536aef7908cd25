"""Every way to attend is the same sum, and chooses nothing but speed."""

from __future__ import annotations

import pytest
import torch

from engine.training import attention
from engine.training.attention import attend


def _slow(queries, keys, values, mask=None):
    """The definition, one query at a time, in fp64."""
    group = queries.shape[1] // keys.shape[1]
    result = torch.zeros(queries.shape, dtype=torch.float64)
    for row, head, token in torch.cartesian_prod(*(torch.arange(size) for size in queries.shape[:3])).tolist():
        places = keys.shape[2]
        seen = torch.arange(places) <= token + places - queries.shape[2]
        if mask is not None:
            seen = mask.expand(*queries.shape[:3], places)[row, head, token]
        scores = keys[row, head // group].double() @ queries[row, head, token].double() / queries.shape[3] ** 0.5
        result[row, head, token] = scores[seen].softmax(dim=0) @ values[row, head // group].double()[seen]
    return result


def _heads(tokens, places, heads=4, key_value_heads=2, rows=2, dtype=torch.float32):
    torch.manual_seed(0)
    made = (
        torch.randn(rows, heads, tokens, 8),
        torch.randn(rows, key_value_heads, places, 8),
        torch.randn(rows, key_value_heads, places, 8),
    )
    return tuple(each.to(dtype) for each in made)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("key_value_heads", [1, 2, 4])
def test_causal_attention_is_its_definition(dtype, key_value_heads, monkeypatch):
    monkeypatch.setattr(attention, "_BLOCK", 3)  # 10 tokens: three blocks and a rest
    queries, keys, values = _heads(10, 10, key_value_heads=key_value_heads, dtype=dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(
        attend(queries, keys, values).double(), _slow(queries, keys, values), rtol=0, atol=tolerance
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [2, attention.MANY_ROWS])
@pytest.mark.parametrize("is_masked", [True, False])
def test_one_token_after_others_is_its_definition(dtype, rows, is_masked):
    queries, keys, values = _heads(1, 6, rows=rows, dtype=dtype)
    is_seen = (torch.arange(6) >= torch.arange(rows)[:, None] % 5)[:, None, None] if is_masked else None
    mask = torch.zeros(is_seen.shape, dtype=dtype).masked_fill(~is_seen, float("-inf")) if is_masked else None
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    found = attend(queries, keys, values, mask).double()
    torch.testing.assert_close(found, _slow(queries, keys, values, is_seen), rtol=0, atol=tolerance)


def test_blocks_have_the_gradients_of_the_whole(monkeypatch):
    monkeypatch.setattr(attention, "_BLOCK", 4)
    one, other = ([each.double().requires_grad_() for each in _heads(10, 10)] for _ in range(2))
    blocks, whole = attention._in_blocks(*one), attend(*other)
    torch.testing.assert_close(blocks, whole)
    for ours, theirs in zip(
        torch.autograd.grad(blocks.square().sum(), one), torch.autograd.grad(whole.square().sum(), other), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
