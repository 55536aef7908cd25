"""The decoder: its parameters, its fresh weights, its loss, and what its optimizers are given."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from engine.errors import TrainingError
from engine.training.footprint import num_matrix_parameters, num_parameters
from engine.training.model import Decoder
from engine.training.settings import ModelSettings

SMALL = ModelSettings(vocabulary_size=50, width=32, layers=2, heads=4, key_value_heads=2, context=16)


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Decoder(SMALL)


@settings(max_examples=30, deadline=None)
@given(
    head_width=st.sampled_from([2, 4, 6]),
    heads=st.sampled_from([1, 2, 4, 6]),
    shared=st.sampled_from([1, 2]),
    layers=st.integers(1, 3),
    ffn_width=st.sampled_from([0, 1, 20]),
    vocabulary_size=st.integers(2, 60),
    tied=st.booleans(),
)
def test_the_formula_counts_the_parameters_that_there_are(
    head_width, heads, shared, layers, ffn_width, vocabulary_size, tied
):
    shape = ModelSettings(
        vocabulary_size=vocabulary_size,
        width=head_width * heads,
        layers=layers,
        heads=heads,
        key_value_heads=0 if heads % shared else heads // shared,
        ffn_width=ffn_width,
        context=4,
        tied=tied,
    )
    model = Decoder(shape)
    assert num_parameters(shape) == sum(parameter.numel() for parameter in model.parameters())
    assert num_matrix_parameters(shape) == sum(parameter.numel() for parameter in model.hidden_matrices())


def test_muon_and_adamw_share_all_parameters_and_no_matrix_is_fused(small):
    matrices, others = small.hidden_matrices(), small.other_parameters()
    assert {id(each) for each in matrices} | {id(each) for each in others} == {id(each) for each in small.parameters()}
    assert len(matrices) == SMALL.layers * 7 and all(each.ndim == 2 for each in matrices)
    assert len(others) == 2 + 2 * SMALL.layers


def test_fresh_weights_repeat_with_torchs_generator():
    def fresh(seed):
        torch.manual_seed(seed)
        return torch.cat([each.flatten() for each in Decoder(SMALL).parameters()])

    assert torch.equal(fresh(3), fresh(3))
    assert not torch.equal(fresh(3), fresh(4))


def test_fresh_predictions_are_nearly_even_and_no_embedding_is_zero(small):
    ids = torch.randint(50, (4, 16))
    assert small.loss(ids, ids.roll(1)).item() == pytest.approx(math.log(50), abs=0.1)
    assert (small.embed_tokens.weight.abs().amax(dim=1) > 0).all()


@pytest.mark.parametrize("tied", [True, False])
def test_the_loss_and_its_gradients_are_those_of_the_logits(tied):
    torch.manual_seed(0)
    model = Decoder(ModelSettings(vocabulary_size=50, width=32, layers=2, heads=4, context=16, tied=tied))
    ids, targets = torch.randint(50, (2, 3, 16))
    targets[0, :5] = -100
    chunked = model.loss(ids, targets)
    whole = functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(chunked, whole)
    torch.testing.assert_close(model(ids, targets), whole)
    parameters = list(model.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(chunked, parameters), torch.autograd.grad(whole, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_no_token_sees_what_comes_after_it(small):
    ids = torch.randint(50, (1, 16))
    changed = ids.clone()
    changed[0, 9] = (ids[0, 9] + 1) % 50
    before, after = small(ids), small(changed)
    torch.testing.assert_close(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])


def test_dropout_acts_only_while_training():
    torch.manual_seed(0)
    model = Decoder(ModelSettings(vocabulary_size=50, width=32, layers=1, heads=4, context=16, dropout=0.5))
    ids = torch.randint(50, (1, 16))
    assert not torch.equal(model.train()(ids), model(ids))
    assert torch.equal(model.eval()(ids), model(ids))


def test_bf16_computes_close_to_fp32_and_leaves_the_weights_fp32(small):
    ids = torch.randint(50, (4, 16))
    exact = small(ids)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, loss = small(ids), small.loss(ids, ids.roll(1))
        assert small.hidden(ids).dtype == torch.bfloat16
    assert rounded.dtype == torch.float32 and (rounded - exact).abs().max() < 0.05
    loss.backward()
    assert {parameter.grad.dtype for parameter in small.parameters()} == {torch.float32}


def test_a_small_model_learns_a_pattern(small):
    optimizer = torch.optim.AdamW(small.parameters(), lr=1e-2)
    ids = (torch.arange(17) * 3 % 50)[None]
    for _ in range(60):
        loss = small.loss(ids[:, :-1], ids[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heads": 3}, "shared by 3 heads"),
        ({"width": 12, "heads": 4}, "even part"),
        ({"key_value_heads": 3}, "cannot share 3"),
        ({"layers": 0}, "layers"),
        ({"vocabulary_size": 1}, "vocabulary_size"),
        ({"dropout": 1.0}, "Dropout"),
        ({"rope_theta": 0.0}, "rope_theta"),
        ({"ffn_width": -1}, "feed-forward"),
    ],
)
def test_an_impossible_shape_is_refused_with_a_hint(changes, words):
    with pytest.raises(TrainingError, match=words) as caught:
        Decoder(ModelSettings(**({"width": 32, "layers": 1, "heads": 4} | changes)))
    assert caught.value.hint
