"""bf16 is taken where it was measured to be faster, and only there."""

from __future__ import annotations

import pytest
import torch

from engine.errors import TrainingError
from engine.training import precision as module
from engine.training.checkpoints import read_state
from engine.training.precision import chosen_precision, computing
from tests.engine.training.small_training import CONTEXT, decoder, run

IDS = torch.zeros(2, CONTEXT, dtype=torch.long)


@pytest.mark.parametrize(("fp32", "bf16", "expected"), [(2.0, 1.0, "bf16"), (1.0, 1.0, "fp32"), (1.0, 2.0, "fp32")])
def test_the_faster_one_is_taken_and_fp32_where_they_are_level(monkeypatch, fp32, bf16, expected):
    monkeypatch.setattr(module, "_probe", lambda *_: {"fp32": fp32, "bf16": bf16})
    assert chosen_precision("auto", decoder(), IDS, IDS) == expected


def test_what_a_person_asks_for_is_not_measured(monkeypatch):
    monkeypatch.setattr(module, "_probe", lambda *_: pytest.fail("measured"))
    assert chosen_precision("fp32", decoder(), IDS, IDS) == "fp32"
    assert chosen_precision("bf16", decoder(), IDS, IDS) == "bf16"
    with pytest.raises(TrainingError, match="no precision 'fp8'"):
        chosen_precision("fp8", decoder(), IDS, IDS)


def test_a_probe_measures_both_and_leaves_weights_and_gradients_alone():
    model = decoder(dropout=0.1)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    elapsed_s = module._probe(model, IDS, IDS)
    assert elapsed_s.keys() == {"fp32", "bf16"}
    assert all(value > 0 for value in elapsed_s.values())
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())


def test_products_are_bf16_only_inside_their_context():
    left = right = torch.ones(2, 2)
    with computing("bf16", "cpu"):
        assert (left @ right).dtype == torch.bfloat16
    with computing("fp32", "cpu"):
        assert (left @ right).dtype == torch.float32


def test_the_decision_is_kept_with_the_run_and_not_taken_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_probe", lambda *_: {"fp32": 2.0, "bf16": 1.0})
    asked = iter([False, True])
    assert run(tmp_path, should_stop=lambda: next(asked), steps=4, precision="auto").precision == "bf16"
    assert read_state(tmp_path / "checkpoint-1").facts["precision"] == "bf16"
    monkeypatch.setattr(module, "_probe", lambda *_: {"fp32": 1.0, "bf16": 2.0})
    assert run(tmp_path, steps=4, precision="auto").precision == "bf16"
