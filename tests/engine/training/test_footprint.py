"""Costs are known before anything is made, and without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from engine.training.footprint import completed, num_parameters, tokens_per_s, training_memory
from engine.training.model import Decoder
from engine.training.settings import ModelSettings, TrainingSettings

SHAPE = ModelSettings(vocabulary_size=300, width=64, layers=3, heads=4, context=64)


def test_zeros_stand_for_defaults():
    shape = completed(ModelSettings(width=256, heads=4))
    assert (shape.key_value_heads, shape.ffn_width) == (4, 704)
    assert completed(shape) == shape


def test_a_closed_form_counts_the_parameters():
    assert num_parameters(ModelSettings(100, 8, 1, 2, ffn_width=3)) == 100 * 8 + (4 * 64 + 3 * 24 + 16) + 8
    untied = ModelSettings(100, 8, 1, 2, key_value_heads=1, ffn_width=3, tied=False)
    assert num_parameters(untied) == 200 * 8 + (2 * 64 + 2 * 32 + 3 * 24 + 16) + 8


def test_nothing_here_loads_torch():
    code = "import sys; import engine.training.footprint, engine.training.presets, engine.training.advice"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize(("optimizer", "numbers"), [("adamw", 2), ("muon", 1)])
def test_weights_gradients_and_optimizer_are_exact(optimizer, numbers):
    model = Decoder(SHAPE)
    memory = training_memory(SHAPE, TrainingSettings(optimizer=optimizer))
    everything = sum(each.numel() for each in model.parameters())
    matrices = sum(each.numel() for each in model.hidden_matrices())
    assert memory.weights == memory.gradients == 4 * everything
    assert memory.optimizer == 4 * (2 * (everything - matrices) + numbers * matrices)
    assert memory.total == memory.weights + memory.gradients + memory.optimizer + memory.activations


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("shape", [SHAPE, replace(SHAPE, key_value_heads=1, layers=6, vocabulary_size=2000)])
def test_activations_cover_what_the_backward_pass_keeps_and_not_much_more(precision, shape):
    model, ids = Decoder(shape).train(), torch.randint(300, (8, 64))
    own = {each.untyped_storage().data_ptr() for each in model.parameters()}
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    is_bf16 = precision == "bf16"
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        model.loss(ids, ids)
    num_bytes = sum(each.untyped_storage().nbytes() for place, each in kept.items() if place not in own)
    estimate = training_memory(shape, TrainingSettings(batch_size=8, precision=precision)).activations
    assert num_bytes < estimate < 4 * num_bytes


def test_accumulation_divides_the_activations_and_nothing_else():
    whole = training_memory(SHAPE, TrainingSettings(batch_size=32))
    parts = training_memory(SHAPE, TrainingSettings(batch_size=32, accumulation=4))
    assert parts.activations < whole.activations / 2
    assert (parts.weights, parts.gradients, parts.optimizer) == (whole.weights, whole.gradients, whole.optimizer)


@pytest.mark.parametrize("context", [8, 200])
def test_a_probe_trains_and_leaves_the_random_numbers_alone(context):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    training = TrainingSettings(batch_size=2, precision="fp32", threads=1, device="cpu")
    speed = tokens_per_s(replace(SHAPE, context=context), training, probe_s=0.05)
    assert speed.tokens_per_s > 0 and (speed.precision, speed.device) == ("fp32", "cpu")
    assert torch.equal(torch.get_rng_state(), before)
