"""Every preset can be made, is as large as it says, and grows from one to the next."""

from __future__ import annotations

import itertools

import pytest

from engine.training.footprint import completed, num_parameters, training_memory
from engine.training.presets import PRESETS

RANGES = {"quick": (2e6, 5e6), "standard": (10e6, 30e6), "quality": (50e6, 200e6)}


@pytest.mark.parametrize("name", RANGES)
def test_a_preset_is_possible_and_in_its_range(name):
    preset = PRESETS[name]
    least, most = RANGES[name]
    assert preset.name == name and preset.summary
    assert least <= preset.least_parameters <= num_parameters(preset.model) <= preset.most_parameters <= most
    assert completed(preset.model).width == preset.model.width
    assert preset.training.batch_size % preset.training.accumulation == 0
    assert preset.training.warmup_steps < preset.training.steps


def test_presets_grow():
    assert list(PRESETS) == list(RANGES)
    for smaller, larger in itertools.pairwise(PRESETS.values()):
        assert num_parameters(smaller.model) < num_parameters(larger.model)
        assert (
            training_memory(smaller.model, smaller.training).total
            < training_memory(larger.model, larger.training).total
        )
