"""A training seen from the database alone: films of small pictures, and changes at every checkpoint, deleted or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from engine.animation import Frame
from engine.folding import matrix_shape
from engine.heatmaps import Grid
from engine.naming import place
from storage.records import Location
from storage.store import Store
from storage.training import KIND
from workflows.films import Member
from workflows.trained_models import INITIAL, RUN_KEY, trained_name

CHANGE = "change_since_start"
"""‖W − W₀‖ / ‖W₀‖ of a tensor against what it was before training."""


def run_of(store: Store, known: Location) -> str | None:
    """The training that a model or checkpoint is of, as far as its history is here; else None.

    Known by where it lies, or by what its weight file remembers: an upload of a zip that was downloaded here.
    """
    kept = store.experiments(KIND)
    name = trained_name(store, known.uri)
    if name is not None:
        return next((experiment.id for experiment in kept if experiment.name == name), None)
    if known.content_hash is None:
        return None
    run = store.model_metadata(known.content_hash).get(RUN_KEY)
    return run if any(experiment.id == run for experiment in kept) else None


def step_members(store: Store, run_id: str, tensor: str) -> list[Member]:
    """The tensor at every checkpoint of the run whose picture is kept, in order of steps.

    A member's `uri` is the checkpoint's folder while that is on the disk, else "".
    """
    folders = {kept.step: _folder(kept.folder, kept.step) for kept in store.training_checkpoints(run_id)}
    return [
        Member(
            "before training" if step == 0 else f"step {step:,}",
            f"{step:,}",
            folders.get(step, ""),
            tensor,
            f"{run_id} {step}",
        )
        for step in store.thumbnail_steps(run_id, tensor)
    ]


def stored_frames(store: Store, run_id: str, tensor: str) -> list[Frame]:
    """The frames of `step_members`: pooled cells as they were kept, norms and standard deviations of all entries.

    Colour limits are taken from the cells, which are the largest entries of what they stand for.
    """
    shapes = dict(store.checkpoint_tensors(run_id))
    if tensor not in shapes:
        return []
    rows, columns = matrix_shape(shapes[tensor])
    stats = store.checkpoint_stats(run_id)
    stats = stats[stats["tensor"] == tensor].set_index(["step", "measure"])["value"].astype(float)
    frames = []
    for step, values in store.checkpoint_thumbnails(run_id, tensor):
        row_step, column_step = (-(-n // max(cells, 1)) for n, cells in zip((rows, columns), values.shape, strict=True))
        grid = Grid(values, 0, rows, 0, columns, row_step, column_step)
        sample = values[np.isfinite(values)].astype(np.float64)
        frames.append(Frame(grid, stats.get((step, "l2_norm"), np.nan), stats.get((step, "std"), np.nan), sample))
    return frames


def changes_by_step(store: Store, run_id: str) -> list[tuple[str, pd.DataFrame]]:
    """(step, its tensors) at every checkpoint after the start: what `figures.comparison.change_lines` draws.

    Columns tensor, role, part, num_compared, and CHANGE.
    """
    shapes = dict(store.checkpoint_tensors(run_id))
    stats = store.checkpoint_stats(run_id, CHANGE).rename(columns={"value": CHANGE})
    stats["part"] = [place(name, shapes[name]).part for name in stats["tensor"]]
    stats["num_compared"] = [int(np.prod(shapes[name], dtype=np.int64)) for name in stats["tensor"]]
    columns = ["tensor", "role", "part", "num_compared", CHANGE]
    return [(f"{step:,}", rows[columns]) for step, rows in stats.groupby("step") if step > 0]


def _folder(folder: str, step: int) -> str:
    """Where a checkpoint still lies; a new model's first one is kept beside those that come and go."""
    places = [Path(folder), Path(folder).parent / INITIAL] if step == 0 else [Path(folder)]
    return next((str(place) for place in places if place.is_dir()), "")
