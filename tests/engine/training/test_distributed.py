"""Two real processes with the same global batch learn what one learns; a failing one ends all. Loopback only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import TrainingError
from engine.training.distributed import World, joined
from engine.training.events import Evaluated, StepDone
from engine.training.update import check_shares
from tests.engine.training import small_training
from tests.engine.training.small_training import SETTINGS

ROOT = Path(__file__).resolve().parents[3]
CHANGES = {"steps": 20, "batch_size": 6, "accumulation": 2, "optimizer": "muon"}


def torchrun(folder: Path, changes: dict) -> subprocess.CompletedProcess:
    program = [small_training.__file__, str(folder), json.dumps(changes)]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    rendezvous = ["--rdzv_backend", "c10d", "--rdzv_endpoint", "127.0.0.1:0", "--local_addr", "127.0.0.1"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
    }
    return subprocess.run(
        [*command, *rendezvous, *program], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def losses(events, kind=StepDone) -> dict[int, float]:
    return {event.step: event.loss for event in events if isinstance(event, kind)}


def told(output: str, kind: str = "StepDone") -> dict[int, float]:
    lines = [line.split() for line in output.splitlines() if line.startswith(f"{kind} ")]
    assert len({line[1] for line in lines}) == len(lines), "a step was told twice: more than one process reports"
    return {int(step): float(loss) for _, step, loss in lines}


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> tuple[Path, dict[int, float], dict[int, float]]:
    folder, events = tmp_path_factory.mktemp("alone"), []
    small_training.run(folder, events.append, **CHANGES)
    return folder, losses(events), losses(events, Evaluated)


def test_two_processes_have_the_losses_of_one_and_one_goes_on_from_their_checkpoint(tmp_path, alone):
    done = torchrun(tmp_path, CHANGES)
    assert done.returncode == 0, done.stderr
    _, expected, looks = alone
    assert told(done.stdout) == pytest.approx(expected, abs=1e-5)
    assert list(expected) == list(range(1, 21))
    assert told(done.stdout, "Evaluated") == pytest.approx(looks, abs=1e-5)

    shutil.rmtree(tmp_path / "checkpoint-20")
    events = []
    small_training.run(tmp_path, events.append, **CHANGES)
    assert losses(events) == pytest.approx({step: expected[step] for step in range(11, 21)}, abs=1e-5)


def test_two_go_on_from_the_checkpoint_of_one_and_a_failing_one_ends_both(tmp_path, alone):
    folder, expected, _ = alone
    shutil.copytree(folder / "checkpoint-10", tmp_path / "checkpoint-10")
    done = torchrun(tmp_path, {**CHANGES, "fails_at": 6, "fails_in": 1})
    assert done.returncode != 0
    assert "asked to fail" in done.stderr
    assert told(done.stdout) == pytest.approx({step: expected[step] for step in range(11, 16)}, abs=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10"]


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as world:
        assert world == World(0, 1, "cpu")
        assert world.is_first
        assert world.summed(1.5, 2) == (1.5, 2)
        assert world.from_first(3.0) == 3.0


def test_a_batch_too_small_for_all_processes_is_refused():
    with pytest.raises(TrainingError, match=r"batch of 4 sequences cannot be shared by 5 process\(es\)"):
        check_shares(SETTINGS, World(0, 5, "cpu"))
