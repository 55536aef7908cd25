"""Muon and AdamW do what their papers say, to the parameters they are meant for, and can be taken up again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import TrainingError
from engine.training.optimizers import (
    default_rate,
    groups,
    optimizer_tensors,
    optimizers_for,
    orthogonal_factor,
    restore_optimizers,
    set_rates,
)
from engine.training.settings import TrainingSettings
from tests.engine.training.small_training import decoder

SETTINGS = TrainingSettings(muon_rate=0.02, learning_rate=1e-2, weight_decay=0.1)


@pytest.fixture
def model():
    return decoder()


def with_gradients(model, seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=draw)
    return model


def newton_schulz(matrix: np.ndarray) -> np.ndarray:
    """Five quintic steps from the matrix over its Frobenius norm, in float64 (Jordan et al. 2024)."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def test_muon_takes_the_block_matrices_each_alone_and_adamw_all_else(model):
    adamw, muon = optimizers_for(model, SETTINGS)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    muons = {names[id(each)] for each in groups([muon])[0]["params"]}
    parts = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert {name.split(".")[-2] for name in muons} == set(parts)
    assert len(muons) == 2 * len(parts)
    others = {names[id(each)] for group in groups([adamw]) for each in group["params"]}
    assert muons | others == set(names.values())
    assert not muons & others


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.02)])
def test_muon_moves_each_matrix_by_the_orthogonal_factor_of_its_own_gradient(model, precision, tolerance):
    before = {name: each.detach().double().numpy().copy() for name, each in model.named_parameters()}
    with_gradients(model)
    gradients = {name: each.grad.double().numpy().copy() for name, each in model.named_parameters()}
    for optimizer in optimizers_for(model, SETTINGS, precision):
        optimizer.step()
    for name, parameter in model.layers.named_parameters(prefix="layers"):
        if parameter.ndim == 2:
            momentum = 0.05 * gradients[name]
            direction = newton_schulz(0.05 * gradients[name] + 0.95 * momentum)  # Nesterov's
            rate = 0.02 * max(1, parameter.shape[0] / parameter.shape[1]) ** 0.5
            expected = before[name] * (1 - 0.02 * 0.1) - rate * direction
            moved = np.linalg.norm(parameter.detach().double().numpy() - expected) / np.linalg.norm(rate * direction)
            assert moved < tolerance, name


def test_both_muons_keep_the_same_momentum(model):
    other = decoder()
    kept = []
    for each, precision in ((model, "fp32"), (other, "bf16")):
        optimizers = optimizers_for(each, SETTINGS, precision)
        for step in range(3):
            with_gradients(each, step)
            optimizers[1].step()
        kept.append(optimizer_tensors(each, optimizers))
    assert kept[0].keys() == kept[1].keys()
    assert all(torch.allclose(kept[0][name], kept[1][name], atol=1e-7) for name in kept[0])


@pytest.mark.parametrize("shape", [(5, 5), (3, 20), (20, 3), (1, 7), (7, 1)])
def test_the_orthogonal_factor_has_the_directions_of_the_matrix_and_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, _, v = np.linalg.svd(matrix.numpy(), full_matrices=False)
    found = u.T @ orthogonal_factor(matrix).numpy() @ v.T
    assert np.allclose(found, np.diag(np.diag(found)), atol=1e-9)
    assert (np.diag(found) > 0.6).all()
    assert (np.diag(found) < 1.25).all()
    assert np.allclose(orthogonal_factor(1e3 * matrix), orthogonal_factor(matrix))


def test_the_orthogonal_factor_of_nothing_is_nothing():
    assert (orthogonal_factor(torch.zeros(3, 4)) == 0).all()


def test_adamw_moves_the_rest_as_its_formula_says_and_decays_only_matrices(model):
    before = {name: each.detach().double().numpy().copy() for name, each in model.named_parameters()}
    optimizers = optimizers_for(model, SETTINGS)
    first = {name: np.zeros_like(each) for name, each in before.items()}
    second = {name: np.zeros_like(each) for name, each in before.items()}
    for step in (1, 2, 3):
        with_gradients(model, step)
        for optimizer in optimizers:
            optimizer.step()
        for name, parameter in model.named_parameters():
            gradient = parameter.grad.double().numpy()
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.95 * second[name] + 0.05 * gradient**2
            before[name] *= 1 - 1e-2 * (0.1 if gradient.ndim == 2 else 0.0)
            scale = np.sqrt(second[name] / (1 - 0.95**step)) + 1e-8
            before[name] -= 1e-2 * first[name] / (1 - 0.9**step) / scale
    for name in ("embed_tokens.weight", "norm.weight", "layers.0.input_layernorm.weight"):
        assert model.get_parameter(name).detach().numpy() == pytest.approx(before[name], abs=1e-6), name


def test_an_optimizer_taken_up_again_goes_on_to_the_bit(model):
    other = decoder()
    optimizers, others = optimizers_for(model, SETTINGS), optimizers_for(other, SETTINGS)
    for step in range(3):
        with_gradients(model, step)
        for optimizer in optimizers:
            optimizer.step()
    other.load_state_dict(model.state_dict())
    restore_optimizers(other, others, optimizer_tensors(model, optimizers))
    for step in range(3, 6):
        for each, its in ((model, optimizers), (other, others)):
            with_gradients(each, step)
            for optimizer in its:
                optimizer.step()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, other.get_parameter(name)), name
    tensors, same = optimizer_tensors(model, optimizers), optimizer_tensors(other, others)
    assert tensors.keys() == same.keys()
    assert all(torch.equal(tensors[name], same[name]) for name in tensors)


def test_a_state_that_lacks_a_tensor_or_has_another_shape_is_refused(model):
    optimizers = optimizers_for(model, SETTINGS)
    with_gradients(model)
    for optimizer in optimizers:
        optimizer.step()
    tensors = optimizer_tensors(model, optimizers)
    name = "muon/layers.0.mlp.up_proj.weight/momentum_buffer"
    for broken in (
        {other: tensor for other, tensor in tensors.items() if other != name},
        tensors | {name: tensors[name].T.contiguous()},
    ):
        with pytest.raises(TrainingError, match=r"optimizer state muon/layers\.0\.mlp.up_proj"):
            restore_optimizers(model, optimizers_for(model, SETTINGS), broken)


def test_every_group_gets_its_own_share_of_its_own_rate(model):
    optimizers = optimizers_for(model, SETTINGS)
    assert set_rates(optimizers, 0.5) == pytest.approx(5e-3)
    assert [group["lr"] for group in groups(optimizers)] == pytest.approx([5e-3, 5e-3, 1e-2])


def test_a_rate_of_nothing_takes_one_that_fits_the_width(model):
    optimizer = optimizers_for(model, TrainingSettings(optimizer="adamw"))[0]
    assert optimizer.param_groups[0]["lr"] == default_rate(16) == 2 * default_rate(32)


@pytest.mark.parametrize("change", [{"optimizer": "sgd"}, {"learning_rate": -1.0}, {"muon_rate": -0.1}])
def test_impossible_settings_are_refused(model, change):
    with pytest.raises(TrainingError):
        optimizers_for(model, TrainingSettings(**change))
