"""A checkpoint is whole or not there, the best one survives, and trouble leaves the older ones as they were."""

from __future__ import annotations

import errno
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.errors import TrainingError
from engine.training import checkpoints as module
from engine.training.checkpoints import (
    STATE_FACTS,
    STATE_TENSORS,
    Checkpoints,
    TrainingState,
    bits_per_byte,
    read_state,
)
from engine.training.llama_folder import load_llama
from tests.engine.training import small_training
from tests.engine.training.small_training import decoder

ROOT = Path(__file__).resolve().parents[3]
STATE = TrainingState({"adamw/x": torch.arange(6.0).reshape(2, 3)}, {"step": 1, "losses": [0.1, 1 / 3]})


@pytest.fixture(scope="module")
def tokenizer():
    return small_training.tokenizer()


@pytest.fixture
def checkpoints(tmp_path) -> Checkpoints:
    return Checkpoints(tmp_path / "run", keep_last=2)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_checkpoint_is_an_ordinary_model_folder_with_the_state_beside_it(checkpoints, tokenizer):
    model = decoder()
    folder = checkpoints.save(7, model, tokenizer, STATE, 1.5)
    assert folder == checkpoints.folder / "checkpoint-7" == checkpoints.latest() == checkpoints.best()
    loaded, _ = load_llama(folder)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, loaded.get_parameter(name)), name
    ids = torch.arange(10)[None]
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(folder)(ids).logits
        assert torch.allclose(logits, model.eval()(ids), atol=1e-4)
    state = read_state(folder)
    assert torch.equal(state.tensors["adamw/x"], STATE.tensors["adamw/x"])
    assert state.facts == STATE.facts
    assert bits_per_byte(folder) == 1.5
    assert [path.name for path in checkpoints.folder.iterdir()] == ["checkpoint-7"]
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1, "who may read one file may read them all"


def test_the_last_ones_and_the_best_one_are_kept(checkpoints, tokenizer):
    for step, score in enumerate((3.0, 1.0, 2.0, math.nan, 2.5), 1):
        checkpoints.save(step, decoder(), tokenizer, STATE, score)
    assert checkpoints.steps() == [2, 4, 5]
    assert checkpoints.best() == checkpoints.path(2)
    assert checkpoints.latest() == checkpoints.path(5)
    assert math.isnan(bits_per_byte(checkpoints.path(4)))
    checkpoints.save(6, decoder(), tokenizer, STATE, 0.5)
    assert checkpoints.steps() == [5, 6]


def test_a_folder_without_checkpoints_has_no_latest_and_no_best(checkpoints, tokenizer):
    assert (checkpoints.steps(), checkpoints.latest(), checkpoints.best()) == ([], None, None)
    checkpoints.save(1, decoder(), tokenizer, STATE)
    assert checkpoints.best() is None


def test_saving_a_step_again_replaces_it(checkpoints, tokenizer):
    checkpoints.save(3, decoder(seed=1), tokenizer, STATE, 2.0)
    checkpoints.save(3, decoder(seed=2), tokenizer, STATE, 1.0)
    loaded, _ = load_llama(checkpoints.latest())
    assert torch.equal(loaded.embed_tokens.weight, decoder(seed=2).embed_tokens.weight)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["checkpoint-3"]


def test_what_a_killed_save_or_removal_left_is_no_checkpoint_and_is_swept_by_the_next(checkpoints, tokenizer):
    checkpoints.save(1, decoder(), tokenizer, STATE)
    for name in (".unfinished-99", ".removed-0"):
        (checkpoints.folder / name).mkdir()
        (checkpoints.folder / name / "model.safetensors").write_bytes(b"torn")
    (checkpoints.folder / "notes.txt").write_text("mine")
    assert checkpoints.steps() == [1]
    checkpoints.save(2, decoder(), tokenizer, STATE)
    assert {path.name for path in checkpoints.folder.iterdir()} == {"checkpoint-1", "checkpoint-2", "notes.txt"}


def test_a_save_that_was_killed_leaves_the_older_checkpoint_as_the_latest(tmp_path):
    """A real process dies without warning in the middle of its second save."""
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from engine.training import checkpoints as module\n"
        "from tests.engine.training.small_training import decoder, tokenizer\n"
        "folder = module.Checkpoints(Path(sys.argv[1]))\n"
        "known = tokenizer()\n"
        "folder.save(1, decoder(), known, module.TrainingState())\n"
        "flush = module._flush\n"
        "module._flush = lambda path: os.kill(os.getpid(), 9) if path.name == module.STATE_FACTS else flush(path)\n"
        "folder.save(2, decoder(), known, module.TrainingState())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True, cwd=ROOT)
    assert done.returncode == -9, done.stderr.decode()
    assert Checkpoints(tmp_path).steps() == [1]
    assert any(path.name.startswith(".unfinished") for path in tmp_path.iterdir())
    load_llama(Checkpoints(tmp_path).latest())


def test_every_file_and_both_folders_are_flushed_before_the_name_is_given(checkpoints, tokenizer, monkeypatch):
    flushed, renamed, flush, rename = [], [], module._flush, Path.rename
    monkeypatch.setattr(module, "_flush", lambda path: (flushed.append((path.name, len(renamed))), flush(path)))
    monkeypatch.setattr(Path, "rename", lambda self, other: (renamed.append(other), rename(self, other))[1])
    folder = checkpoints.save(1, decoder(), tokenizer, STATE)
    before = [name for name, number in flushed if number == 0]
    assert set(before[:-1]) == set(contents(folder))
    assert before[-1].startswith(".unfinished")
    assert flushed[-1] == (checkpoints.folder.name, 1)


@pytest.mark.parametrize("where", ["flush", "weights", "state"])
def test_a_full_disk_is_told_and_nothing_older_is_harmed(checkpoints, tokenizer, monkeypatch, where):
    first = checkpoints.save(1, decoder(), tokenizer, STATE, 1.0)
    before = contents(first)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    target = {"flush": "os.fsync", "weights": "engine.training.llama_folder.save_file"}
    monkeypatch.setattr(target.get(where, "safetensors.torch.save_file"), full)
    with pytest.raises(TrainingError, match=r"Checkpoint 2 in .* cannot be written: .*No space left") as caught:
        checkpoints.save(2, decoder(), tokenizer, STATE, 0.5)
    assert "disk is full" in caught.value.hint
    assert contents(first) == before
    assert [path.name for path in checkpoints.folder.iterdir()] == ["checkpoint-1"]


def test_a_disk_that_will_be_too_small_is_told_before_anything_is_written(checkpoints, tokenizer, monkeypatch):
    checkpoints.save(1, decoder(), tokenizer, STATE)
    usage = shutil.disk_usage(checkpoints.folder)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(TrainingError, match=r"needs 8 MiB in .*, and 1 are free"):
        checkpoints.save(2, decoder(), tokenizer, STATE)
    assert checkpoints.steps() == [1]


def test_a_folder_that_may_not_be_written_is_told(tmp_path, tokenizer, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match="cannot be written"):
        Checkpoints(tmp_path / "file" / "run").save(1, decoder(), tokenizer, STATE)

    def refuse(*_, **__):  # a test that runs as root may write anywhere
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(TrainingError, match="Permission denied") as caught:
        Checkpoints(tmp_path / "locked").save(1, decoder(), tokenizer, STATE)
    assert "choose another folder" in caught.value.hint


def test_weights_that_are_no_numbers_are_never_written(checkpoints, tokenizer):
    model = decoder()
    with torch.no_grad():
        model.norm.weight[3] = math.nan
    with pytest.raises(TrainingError, match=r"norm.weight holds values that are no finite numbers"):
        checkpoints.save(1, model, tokenizer, STATE)
    assert checkpoints.steps() == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / STATE_FACTS).unlink(),
        lambda folder: (folder / STATE_FACTS).write_text("{"),
        lambda folder: (folder / STATE_FACTS).write_text("[]"),
        lambda folder: (folder / STATE_FACTS).write_text(json.dumps({"format": 99, "facts": {}})),
        lambda folder: (folder / STATE_FACTS).write_text(json.dumps({"format": 1, "facts": 3})),
        lambda folder: (folder / STATE_TENSORS).write_bytes(b"\x80\x04cposix\nsystem\n"),
        lambda folder: (folder / STATE_TENSORS).unlink(),
    ],
)
def test_a_damaged_state_is_an_error_that_names_the_file(checkpoints, tokenizer, damage):
    folder = checkpoints.save(1, decoder(), tokenizer, STATE)
    damage(folder)
    with pytest.raises(TrainingError, match=r"training_state\.\w+ cannot be read"):
        read_state(folder)


def test_at_least_one_checkpoint_is_kept(tmp_path):
    with pytest.raises(TrainingError, match="At least one"):
        Checkpoints(tmp_path, keep_last=0)


def test_looking_at_checkpoints_imports_no_torch(tmp_path):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from engine.training.checkpoints import Checkpoints\n"
        f"assert Checkpoints(Path({str(tmp_path)!r})).best() is None\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
