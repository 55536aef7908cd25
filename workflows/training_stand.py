"""How far a training is: phases that ended, checkpoints, and the one that becomes the model."""

from __future__ import annotations

import json
from pathlib import Path

from engine.errors import TrainingError
from engine.training.checkpoints import Checkpoints
from storage.store import Store
from workflows.folders import replace_text
from workflows.runs import RunFolder
from workflows.trained_models import model_folder, self_play_folder
from workflows.training_request import TrainingRequest


class Stand:
    """How far a run is, kept in its folder: phases that ended, and the time they took."""

    def __init__(self, run: RunFolder, store: Store, request: TrainingRequest) -> None:
        self._file = run.checkpoints / "phases.json"
        self._home, self._request = model_folder(store, request.name), request
        self.known: dict = json.loads(self._file.read_text(encoding="utf-8")) if self._file.is_file() else {}

    def keep(self, **values) -> None:
        self.known |= values
        self._file.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self._file, json.dumps(self.known))

    @property
    def learnt(self) -> Checkpoints:
        return Checkpoints(self._home, self._request.training.keep_last if self._request.training else 1)

    @property
    def offset(self) -> int:
        """Steps before self-play."""
        return self.known.get("supervised", {}).get("step", 0)

    @property
    def played(self) -> Checkpoints:
        keep_last = self._request.self_play.keep_last if self._request.self_play else 1
        return Checkpoints(self_play_folder(self._home, self.offset), keep_last)

    @property
    def step(self) -> int:
        """Of the run's last checkpoint."""
        steps = self.played.steps() if self.has_learnt else self.learnt.steps()
        return (self.offset if self.has_learnt else 0) + (steps[-1] if steps else 0)

    @property
    def has_learnt(self) -> bool:
        return self._request.training is None or "supervised" in self.known

    def best(self) -> tuple[str, int, Path]:
        """Phase, step of the run, and folder of the checkpoint that becomes the model."""
        played, learnt = (kept.best() or kept.latest() for kept in (self.played, self.learnt))
        if played is not None and (_step(played) or learnt is None):  # its step 0 is the best one before it
            return "self-play", self.offset + _step(played), played
        if learnt is None:
            raise TrainingError("The run has no checkpoint to make a model of.", "Resume it, or start it again.")
        return "supervised", _step(learnt), learnt


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
