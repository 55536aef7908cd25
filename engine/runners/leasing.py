"""A loaded runner for as long as it is needed, from the shared cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from engine.runners.checkpoint import Checkpoint, checkpoint_at
from engine.runners.contract import Runner
from engine.runners.loaded import Key, LoadedModels, shared_models
from engine.runners.registry import load
from engine.sources.base import Source


@contextlib.contextmanager
def lease(
    place: str | Path | Source,
    task: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    models: LoadedModels | None = None,
) -> Iterator[Runner]:
    """The runner of a checkpoint for a task, loaded now or long since; kept for later when the block ends.

    Args: as `load`. models: the cache; `shared_models()` if left out.
    Raises: RunnerError as `load`, and if the model alone is beyond the cache's budget.
    """
    checkpoint = checkpoint_at(place)
    models = models or shared_models()

    def loading() -> Runner:
        return load(place, task, device=device, dtype=dtype)

    with models.lease(model_key(checkpoint, task, device, dtype), loading, checkpoint.num_bytes) as runner:
        yield runner


def model_key(checkpoint: Checkpoint, task: str, device: str = "auto", dtype: str = "auto") -> Key:
    """What a loaded checkpoint is known by: another one as soon as any of its files is replaced."""
    paths = (checkpoint.folder / name for name in checkpoint.files)
    paths = sorted({*paths, *checkpoint.weight_files})
    states = ((path.name, path.stat()) for path in paths)
    files = "|".join(f"{name}:{state.st_size}:{state.st_mtime_ns}" for name, state in states)
    return (str(checkpoint.file or checkpoint.folder), task, device, dtype, files)
