"""The models made here: where they lie, how a checkpoint becomes one, and how one is deleted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from engine.errors import JobError, SourceError, TrainingError
from storage.records import Location
from storage.store import Store
from storage.training import KIND
from workflows.deployment import check_allowed
from workflows.locations import add_path, locations
from workflows.training_request import check_name

WEIGHTS, CARD = "model.safetensors", "README.md"
STATE = "training_state."
"""How the files of a checkpoint begin that only a training that goes on needs."""

INITIAL, SELF_PLAY = "initial", "self-play-from-"
"""Folders beside a model's checkpoints: its weights before they learnt anything, and the checkpoints of self-play."""

RUN_KEY, PARENT_KEY, PARENT_HASH_KEY = "weightscope.run", "weightscope.parent", "weightscope.parent_hash"
"""What the weight file's own metadata remembers: the run that made it, and what it went on from, if from a model."""

_COPY_BYTES = 4 << 20
_LONGEST_HEADER = 100 << 20
_UNFINISHED = ".becoming-"


def trained_folder(store: Store) -> Path:
    """Where trained models lie; besides uploads the only place where removing a model deletes weights."""
    return store.folder / "trained"


def model_folder(store: Store, name: str) -> Path:
    """`data/trained/<name>`: the finished model, its checkpoints beneath. Raises TrainingError for an unsafe name."""
    return trained_folder(store) / check_name(name)


def trained_name(store: Store, uri: str) -> str | None:
    """The name of the trained model that a path belongs to: the model itself or one of its checkpoints; else None."""
    folder, path = trained_folder(store).resolve(), Path(uri).resolve()
    return path.relative_to(folder).parts[0] if folder in path.parents else None


def self_play_folder(home: Path, offset: int) -> Path:
    """Where self-play that began after step `offset` keeps its checkpoints, numbered from there."""
    return home / f"{SELF_PLAY}{offset}"


def keep_initial(home: Path, checkpoint: Path) -> None:
    """Keep what a model was before training, as a model of its own beside the checkpoints, which come and go.

    Raises: TrainingError if the disk is full or may not be written.
    """
    place = home / INITIAL
    if place.exists():
        return
    unfinished = home / f"{_UNFINISHED}{INITIAL}"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for file in sorted(checkpoint.iterdir()):
            if file.is_file() and not file.name.startswith(STATE):
                second_name(file, unfinished / file.name)
        unfinished.rename(place)
    except OSError as error:
        raise TrainingError(f"{place} cannot be written: {error}.", "Make room on the disk, then resume.") from error


def second_name(file: Path, place: Path) -> None:
    """The same bytes under another name, also when the first is deleted: a hard link, or a copy where there are none.

    Only for files that are never written into. Raises: OSError.
    """
    part = place.with_name(f".{place.name}.part")
    part.unlink(missing_ok=True)
    try:
        part.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, part)
    part.replace(place)


def publish(
    store: Store, name: str, checkpoint: Path, metadata: dict[str, str], card: Callable[[Path], str]
) -> Location:
    """Make a checkpoint the finished model `data/trained/<name>` and known to the library.

    Every file is complete before it gets its name, and the weights come last: whoever looks earlier finds no model.

    Args:
        checkpoint: an ordinary model folder. metadata: added to the weight file's own.
        card: given the folder with the finished files, the text of its README.md.
    Raises: TrainingError if the disk is full or may not be written.
    """
    home = model_folder(store, name)
    unfinished = home / f"{_UNFINISHED}{os.getpid()}"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for file in sorted(checkpoint.iterdir()):
            if file.is_file() and not file.name.startswith(STATE) and file.name != WEIGHTS:
                shutil.copyfile(file, unfinished / file.name)
        copy_weights(checkpoint / WEIGHTS, unfinished / WEIGHTS, metadata)
        (unfinished / CARD).write_text(card(unfinished), encoding="utf-8")
        for file in sorted(unfinished.iterdir(), key=lambda file: file.name == WEIGHTS):
            _flush(file)
            file.replace(home / file.name)
    except OSError as error:
        raise TrainingError(
            f"The finished model cannot be written to {home}: {error}.",
            "Make room on the disk, or let the folder be written, then resume: the checkpoints are whole.",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return add_path(store, home, origin="trained", name=name)


def copy_weights(source: Path, target: Path, metadata: dict[str, str]) -> None:
    """Copy a safetensors file with more of its own metadata; tensors and their order stay byte for byte.

    Raises: SourceError if the file has no header of this format; OSError.
    """
    with source.open("rb") as old, target.open("wb") as new:
        length = int.from_bytes(old.read(8), "little")
        if not 2 <= length <= _LONGEST_HEADER:
            raise SourceError(f"{source} is no safetensors file: its header would have {length} bytes.")
        header = json.loads(old.read(length))
        header = {"__metadata__": header.pop("__metadata__", {}) | metadata} | header
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        new.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(old, new, _COPY_BYTES)


def delete_trained(store: Store, name: str, *, measurements: bool = True) -> None:
    """Delete a trained model: folder, checkpoints, what was measured of them, and the history of its training.

    Measurements and history stay where another location has the same content, such as an upload of its zip.

    Args: measurements: whether measurements and history go too.
    Raises: JobError while a run works on it; TrainingError if the folder cannot be deleted; NotAllowedError in a public
        deployment.
    """
    from workflows.jobs import Jobs  # here, because the kinds of jobs need to know what a training is

    check_allowed("deletion")
    home, jobs = model_folder(store, name), Jobs(store.folder)
    runs = [job for job in jobs.all() if job.kind == "train" and job.arguments["request"]["name"] == name]
    if any(job.is_active for job in runs):
        raise JobError(f"{name} is being trained.", "Pause or finish its run first.")
    is_shared = _forget_locations(store, name, measurements=measurements)
    if measurements and not is_shared:
        for experiment in store.experiments(KIND):
            if experiment.name == name:
                store.delete_training(experiment.id)
    for job in runs:
        jobs.forget(job.id)
    try:
        if home.is_dir() and not home.is_symlink():
            shutil.rmtree(home)
    except OSError as error:
        raise TrainingError(f"{home} cannot be deleted whole: {error}.", "Delete the folder yourself.") from error


def _forget_locations(store: Store, name: str, *, measurements: bool) -> bool:
    """Forget the model's and its checkpoints' locations. Returns: whether others have the same content."""
    known = locations(store)
    own = [location for location in known if trained_name(store, location.uri) == name]
    elsewhere = {location.content_hash for location in known if location not in own} - {None}
    for location in own:
        if measurements and location.content_hash and location.content_hash not in elsewhere:
            store.delete_model(location.content_hash)
        store.remove_location(location.name)
    return any(location.content_hash in elsewhere for location in own)


def _flush(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())
