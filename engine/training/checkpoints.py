"""Checkpoints of a running training: whole folders that appear at once, and never take the older ones with them.

Looking at them imports no torch; writing and reading a state does.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from engine.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

    from engine.training.model import Decoder

STATE_TENSORS = "training_state.safetensors"
STATE_FACTS = "training_state.json"
FORMAT = 1
"""Of the two state files; another number is refused."""

_NAME = re.compile(r"checkpoint-(\d+)")
_UNFINISHED, _REMOVED = ".unfinished-", ".removed-"
_SMALL_FILES_BYTES = 8 << 20
"""Room for all that is no tensor: headers, configuration, and a tokenizer of some 50,000 tokens."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that a training needs to go on, besides the weights.

    Attributes:
        tensors: such as the optimizer's, by name; on any device.
        facts: what JSON can hold: counters, settings, the precision that was found; no NaN.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class Checkpoints:
    """The folders `checkpoint-<step>` inside one folder: ordinary Llama checkpoints with the training's state beside.

    A checkpoint is written under another name, its files and its folder are flushed to the disk, and only then it gets
    its name: whatever has the name is whole, also after a power cut. One process writes; any number may read.

    Args:
        folder: made by the first `save`. keep_last: newest checkpoints that are kept (≥ 1), besides the best one.
    """

    def __init__(self, folder: Path, keep_last: int = 3) -> None:
        if keep_last < 1:
            raise TrainingError(f"At least one checkpoint must be kept, got {keep_last}.", "Keep 1 or more.")
        self.folder = Path(folder)
        self.keep_last = keep_last

    def steps(self) -> list[int]:
        """Steps of the whole checkpoints, ascending."""
        if not self.folder.is_dir():
            return []
        found = (_NAME.fullmatch(path.name) for path in self.folder.iterdir() if path.is_dir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        """The folder of a step, there or not."""
        return self.folder / f"checkpoint-{step}"

    def latest(self) -> Path | None:
        """The newest checkpoint; None if there is none."""
        steps = self.steps()
        return self.path(steps[-1]) if steps else None

    def best(self) -> Path | None:
        """The checkpoint with the lowest score (bits per byte unless saved with another), the earlier of equals."""
        scores = {step: score(self.path(step)) for step in self.steps()}
        looked_at = [step for step, score in scores.items() if not math.isnan(score)]
        return self.path(min(looked_at, key=lambda step: (scores[step], step))) if looked_at else None

    def save(
        self,
        step: int,
        model: Decoder,
        tokenizer: PreTrainedTokenizerFast,
        state: TrainingState,
        bits_per_byte: float = math.nan,
        score: float | None = None,
    ) -> Path:
        """Write checkpoint `step` (weights in fp32, replacing one of that step), then remove what is no longer kept.

        Args:
            bits_per_byte: of held-out text at this step; NaN if nobody looked.
            score: what `best` goes by, the lower the better; NaN if this cannot be the best, None for bits_per_byte.
        Returns: its folder.
        Raises: TrainingError if the disk is full, the folder may not be written, or a weight is no number; all earlier
            checkpoints are then as they were.
        """
        _check_finite(step, model)
        with _told(f"Checkpoint {step} in {self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            self._check_room(step, model, state)
            unfinished = self.folder / f"{_UNFINISHED}{os.getpid()}"
            unfinished.mkdir()
            try:
                scores = {"bits_per_byte": bits_per_byte, "score": bits_per_byte if score is None else score}
                self._write(unfinished, step, model, tokenizer, state, scores)
                self._put_in_place(unfinished, step)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)  # only there after a failure
            self._prune()
        return self.path(step)

    def price(self, step: int, bits_per_byte: float) -> None:
        """Write down what held-out text costs at a checkpoint that nobody had looked at. Raises: TrainingError."""
        path = self.path(step) / STATE_FACTS
        facts = _read_facts(self.path(step)) | {"bits_per_byte": bits_per_byte, "score": bits_per_byte}
        with _told(f"The bits per byte of checkpoint {step} in {self.folder}"):
            unfinished = path.with_name(f"{path.name}{_UNFINISHED}{os.getpid()}")
            unfinished.write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            _flush(unfinished)
            unfinished.replace(path)

    def _write(self, folder, step, model, tokenizer, state, scores) -> None:
        from safetensors.torch import save_file

        from engine.training.llama_folder import save_llama

        save_llama(model, tokenizer, folder, dtype="fp32")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        save_file(tensors, folder / STATE_TENSORS)
        finite = {name: number if math.isfinite(number) else None for name, number in scores.items()}
        facts = {"format": FORMAT, "step": step, **finite, "facts": state.facts}
        (folder / STATE_FACTS).write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        mode = (folder / STATE_FACTS).stat().st_mode  # as a person's own settings have it
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                file.chmod(mode)  # safetensors lets nobody else read its files
                _flush(file)
        _flush(folder)

    def _put_in_place(self, unfinished: Path, step: int) -> None:
        place = self.path(step)
        if place.exists():
            place.rename(self.folder / f"{_REMOVED}{step}")
        unfinished.rename(place)
        _flush(self.folder)
        shutil.rmtree(self.folder / f"{_REMOVED}{step}", ignore_errors=True)  # swept by the next save if it will not go

    def _prune(self) -> None:
        """Give what goes another name first: a half-deleted folder must not look like a checkpoint."""
        kept = {self.path(step) for step in self.steps()[-self.keep_last :]} | {self.best()}
        for step in self.steps():
            if self.path(step) not in kept:
                removed = self.path(step).rename(self.folder / f"{_REMOVED}{step}")
                shutil.rmtree(removed, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what an interrupted save or removal left."""
        for path in self.folder.iterdir():
            if path.name.startswith((_UNFINISHED, _REMOVED)):
                shutil.rmtree(path, ignore_errors=True)

    def _check_room(self, step: int, model: Decoder, state: TrainingState) -> None:
        tensors = [*model.parameters(), *state.tensors.values()]
        wanted = sum(4 * each.numel() for each in tensors) + _SMALL_FILES_BYTES
        free = shutil.disk_usage(self.folder).free
        if free < wanted:
            raise TrainingError(
                f"Checkpoint {step} needs {wanted >> 20:,} MiB in {self.folder}, and {free >> 20:,} are free.",
                "Make room on the disk, then resume; earlier checkpoints are whole.",
            )


def read_state(folder: Path) -> TrainingState:
    """What `Checkpoints.save` was given as state, tensors on the CPU.

    Raises: TrainingError if the folder holds none (any other Llama checkpoint), or another program's.
    """
    facts = _read_facts(folder)
    try:
        with safe_open(folder / STATE_TENSORS, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"The training state {folder / STATE_TENSORS} cannot be read: {error}.",
            "Resume from another checkpoint, or start a new training from these weights.",
        ) from error
    return TrainingState(tensors, facts["facts"])


def bits_per_byte(folder: Path) -> float:
    """Of held-out text, as measured when this checkpoint was written; NaN if nobody looked."""
    return _number(_read_facts(folder)["bits_per_byte"])


def score(folder: Path) -> float:
    """What makes a checkpoint the best, the lower the better; NaN if it cannot be."""
    facts = _read_facts(folder)
    return _number(facts.get("score", facts["bits_per_byte"]))


def _number(stored: float | None) -> float:
    return math.nan if stored is None else float(stored)


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / STATE_FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']}, expected {FORMAT}")
        if not isinstance(facts["facts"], dict):
            raise TypeError("its facts are no object")
        return facts
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"The training state {path} cannot be read: {error}.",
            "Resume from another checkpoint, or start a new training from these weights.",
        ) from error


def _check_finite(step: int, model: Decoder) -> None:
    for name, parameter in model.named_parameters():
        if not bool(parameter.detach().isfinite().all()):
            raise TrainingError(
                f"Checkpoint {step} is not written: {name} holds values that are no finite numbers.",
                "Go back to an earlier checkpoint with a lower learning rate.",
            )


def _flush(path: Path) -> None:
    """Bring a file or a folder's list of names onto the disk. Windows has no handle to flush a folder by."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say what the system said, and what to do about it."""
    try:
        yield
    except (OSError, SafetensorError, TrainingError) as caught:
        error = caught.__cause__ if isinstance(caught, TrainingError) else caught
        if not isinstance(error, (OSError, SafetensorError)):
            raise
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(error):
            hint = "The disk is full. Make room on it, then resume; earlier checkpoints are whole."
        elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
            hint = "The folder may not be written. Change its permissions, or choose another folder."
        else:
            hint = "Look at the disk, then resume; earlier checkpoints are whole."
        raise TrainingError(f"{what} cannot be written: {error}.", hint) from error
