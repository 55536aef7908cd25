"""Whether a training can be done here: name, text, model to go on from, room on the disk and in memory."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from engine.errors import TrainingError
from engine.machine import machine
from storage.store import Store
from workflows.deployment import check_allowed
from workflows.jobs import Jobs
from workflows.locations import locations, resolve
from workflows.trained_models import model_folder, trained_folder
from workflows.training_estimate import bytes_a_token, corpora_bytes, disk_bytes, free_memory, memory_bytes, shape_of
from workflows.training_request import TrainingRequest
from workflows.wording import bytes_text

CERTAIN_SHARE = 0.8
"""Of the estimated memory, which is within a quarter of the truth: less than this share is certainly too little."""


def check_request(store: Store, jobs: Jobs, request: TrainingRequest) -> TrainingRequest:
    """The request with every name resolved, if it can be done here and now.

    Raises: TrainingError that says what is in the way and how much of it: a taken name, a folder that may not be
        written, too little disk or memory, text that is not there; SourceError for a model that cannot be opened;
        NotAllowedError in a public deployment.
    """
    check_allowed("training")
    request.check()
    _check_name(store, jobs, request.name)
    if request.start_from:
        request = replace(request, start_from=_start(store, request.start_from))
    _check_folder(store)
    _check_room(store, request)
    return request


def _check_name(store: Store, jobs: Jobs, name: str) -> None:
    hint = "Take another name, or delete that model first."
    home = model_folder(store, name)
    for job in jobs.all():
        if job.kind == "train" and job.arguments["request"]["name"].lower() == name.lower() and job.state != "done":
            raise TrainingError(
                f"A run of the name {name} is {'paused' if job.state == 'cancelled' else job.state}.",
                "Resume or finish it, or take another name.",
            )
    folder = trained_folder(store)
    taken = {each.name.lower() for each in folder.iterdir()} if folder.is_dir() else set()
    if home.name.lower() in taken:
        raise TrainingError(f"There is a trained model of the name {name} already.", hint)
    if any(known.name.lower() == name.lower() for known in locations(store)):
        raise TrainingError(f"There is a model of the name {name} in the library already.", hint)


def _start(store: Store, name_or_path: str) -> str:
    """The folder of the model to go on from. Raises: SourceError, TrainingError if it cannot be trained on."""
    known = resolve(store, name_or_path)
    folder = Path(known.uri)
    if not folder.is_dir():
        raise TrainingError(
            f"{known.name} is no folder with configuration and tokenizer, so no training can go on from it.",
            "Choose a model that was trained or downloaded here as a folder, or upload its zip.",
        )
    return str(folder)


def _check_folder(store: Store) -> None:
    folder = trained_folder(store)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise TrainingError(
            f"Models cannot be written to {folder}: {error.strerror or error}.",
            "Change its permissions, or set WEIGHTSCOPE_DATA to a folder that may be written.",
        ) from error


def _check_room(store: Store, request: TrainingRequest) -> None:
    """Raises: TrainingError with numbers if the disk or the memory is certainly too small."""
    shape = shape_of(store, request)
    text_bytes = corpora_bytes(store, request)
    folder = trained_folder(store)
    wanted = disk_bytes(shape, request, int((text_bytes or 0) / bytes_a_token(shape.vocabulary_size)))
    free = machine(store.folder).disk_free_bytes
    if wanted > free:
        raise TrainingError(
            f"The training needs about {bytes_text(wanted)} in {folder}, and {bytes_text(free)} are free.",
            "Make room on the disk, keep fewer checkpoints, save less often, or choose a smaller model.",
        )
    wanted, free = memory_bytes(shape, request), free_memory(store, request)
    if CERTAIN_SHARE * wanted > free:
        raise TrainingError(
            f"The training needs about {bytes_text(wanted)} of memory, and {bytes_text(free)} are free.",
            "Close other programs, or choose a smaller batch, more accumulation or a smaller model.",
        )
