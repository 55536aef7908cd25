"""A training that was killed and taken up again ends with the bits of one that never stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.training.checkpoints import STATE_FACTS, STATE_TENSORS, Checkpoints
from tests.engine.training import small_training

ROOT = Path(__file__).resolve().parents[3]
CHANGES = {"steps": 200, "dropout": 0.1, "optimizer": "muon", "save_every": 100, "evaluate_every": 50}


def test_200_updates_are_100_and_a_kill_and_the_rest_to_the_bit(tmp_path):
    small_training.run(tmp_path / "straight", **CHANGES)
    command = [sys.executable, small_training.__file__, str(tmp_path / "killed"), json.dumps(CHANGES)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("StepDone 117 "):
            process.kill()  # without warning, between two checkpoints
            break
    process.stdout.close()
    assert process.wait() == -9
    assert Checkpoints(tmp_path / "killed").steps()[-1] == 100

    events = []
    result = small_training.run(tmp_path / "killed", events.append, **CHANGES)
    assert events[0].text == "Going on after update 100."
    assert result.step == 200
    for file in ("model.safetensors", STATE_TENSORS):
        one, other = (load_file(tmp_path / name / "checkpoint-200" / file) for name in ("straight", "killed"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one), file
    one, other = (
        json.loads((tmp_path / name / "checkpoint-200" / STATE_FACTS).read_text()) for name in ("straight", "killed")
    )
    assert one == other
    assert Checkpoints(tmp_path / "straight").best().name == Checkpoints(tmp_path / "killed").best().name


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stopping_at_every_other_update_changes_no_bit(tmp_path, precision):
    changes = {"precision": precision, "steps": 9, "dropout": 0.2, "evaluate_every": 4, "save_every": 100}
    small_training.run(tmp_path / "straight", **changes)
    for _ in range(10):
        asked = iter([False, False, True])
        if small_training.run(tmp_path / "halting", should_stop=lambda: next(asked), **changes).is_finished:  # noqa: B023
            break
    for file in ("model.safetensors", STATE_TENSORS):
        one, other = (load_file(tmp_path / name / "checkpoint-9" / file) for name in ("straight", "halting"))
        assert all(torch.equal(one[name], other[name]) for name in one), file
