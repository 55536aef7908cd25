"""Which checkpoints are versions of one model: training steps side by side, revisions, and known twins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import engine.sources
from engine.errors import NotAllowedError, SourceError
from engine.sources.base import Source
from engine.sources.hub_access import is_hub_uri
from engine.sources.hub_cache import repository_name
from storage.records import Location
from workflows.deployment import check_location
from workflows.locations import describe

MOST_CANDIDATES = 200
"""Neighbours that are opened to see whether they belong; chosen by us: half a second of headers."""

BEFORE_TRAINING = -1

_STEP = re.compile(
    r"(?P<before>.*?)(?P<word>checkpoint|ckpt|global_?step|steps?|epochs?|iter(?:ation)?s?|version|v)"
    r"(?P<gap>[-_.=]?)(?P<number>\d{1,12})(?P<after>\D*)",
    re.IGNORECASE,
)
"""`checkpoint-100`, `global_step200`, `run7-epoch=3.safetensors`: a word of training, and a number."""

_UNTRAINED = re.compile(r"(^|[-_. ])(init|initial|untrained|random)([-_. ]|$)", re.IGNORECASE)


_SELF_PLAY = re.compile(r"self-play-from-(\d{1,12})")
"""Where checkpoints of self-play lie, numbered from the step before it (`workflows.trained_models`)."""


@dataclass(frozen=True)
class Version:
    """One version of a model.

    Attributes:
        label: short and unique among the versions.
        step: a training step, epoch or the like; `BEFORE_TRAINING`; None where the name tells none.
        location: where it is. is_known: whether the library lists it.
        fingerprint: of the checkpoint as it was just now.
    """

    label: str
    step: int | None
    location: Location
    is_known: bool
    fingerprint: str


def versions(current: Location, known: list[Location], open_fresh: Callable[[str], Source]) -> list[Version]:
    """Every version of a model that is found without the network, the current one among them, in order.

    Looked at are neighbours on the disk that are named after training steps, the folder above them, other revisions in
    the hub cache, and the known locations. Versions are those with the same tensors in the same shapes.

    Args:
        current: the model. known: the library's locations. open_fresh: uri -> its checkpoint, which is closed here.
    Returns: ordered by step; those without one come last, by name. At least the current model.
    Raises: SourceError if the current model cannot be opened.
    """
    with open_fresh(current.uri) as source:
        wanted = _signature(source)
        fingerprints = {current.uri: source.fingerprint}
    by_uri = {location.uri: location for location in known}
    found = {current.uri: (_label(current, by_uri), current)}
    for path, label in _neighbours(current):
        location = by_uri.get(path) or _described(path)
        if location is not None:
            found.setdefault(location.uri, (location.name if location.uri in by_uri else label, location))
    size = (current.num_tensors, current.num_parameters)
    for location in known:
        if (location.num_tensors, location.num_parameters) == size and not is_hub_uri(location.uri):
            found.setdefault(location.uri, (location.name, location))
    for uri in found.keys() - {current.uri}:
        fingerprint = _fingerprint(uri, open_fresh, wanted)
        if fingerprint is not None:
            fingerprints[uri] = fingerprint
    return _ordered([found[uri] for uri in fingerprints], set(by_uri), fingerprints)


def step_of(name: str) -> int | None:
    """The training step that a file's, folder's or model's name tells: `checkpoint-100` is 100, `tiny-init` is −1."""
    if _UNTRAINED.search(name):
        return BEFORE_TRAINING
    match = _STEP.fullmatch(name)
    return int(match["number"]) if match else None


def _ordered(locations: list[tuple[str, Location]], known: set[str], fingerprints: dict[str, str]) -> list[Version]:
    steps = {location.uri: _step(label, location) for label, location in locations}

    def rank(entry: tuple[str, Location]) -> tuple:
        step = steps[entry[1].uri]
        return step is None, step or 0, entry[0].lower(), entry[1].uri

    taken: dict[str, int] = {}
    result = []
    for label, location in sorted(locations, key=rank):
        taken[label] = taken.get(label, 0) + 1
        unique = label if taken[label] == 1 else f"{label} ({taken[label]})"
        uri = location.uri
        result.append(Version(unique, steps[uri], location, uri in known, fingerprints[uri]))
    return result


def _step(label: str, location: Location) -> int | None:
    """From the folder of self-play that it lies in, from the label, else from the path."""
    path = Path(location.uri)
    if (before := _SELF_PLAY.fullmatch(path.parent.name)) and (step := step_of(path.name)) is not None:
        return int(before[1]) + step
    texts = (label, *(level.name for level in _levels(Path(location.uri))))
    return next((step for step in map(step_of, texts) if step is not None), None)


def _levels(path: Path) -> tuple[Path, ...]:
    """What may carry the step in its name: a folder itself; of a file also the two folders around it."""
    return (path,) if path.is_dir() else (path, *path.parents[:2])


def _label(current: Location, by_uri: dict[str, Location]) -> str:
    return current.name if current.uri in by_uri else Path(current.uri).name


def _neighbours(current: Location) -> Iterator[tuple[str, str]]:
    """(path, label): what lies beside a checkpoint and is named like it but for a number, above it, and below it."""
    path = Path(current.uri)
    if is_hub_uri(current.uri) or not path.exists():
        return
    if path.is_dir():
        yield from ((str(each), label) for each, label in _below(path)[:MOST_CANDIDATES])
        yield from ((str(each), label) for each, label in _beside(path)[:MOST_CANDIDATES] if each != path)
    for level in _levels(path):
        inside = path.relative_to(level)
        if level.parent.name == "snapshots" and repository_name(level) is not None:
            revisions = _revisions(level.parent.parent)
            siblings = [(each, revisions.get(each.name, each.name[:8])) for each in sorted(level.parent.iterdir())]
        elif pattern := _STEP.fullmatch(level.name):
            siblings = [(each, each.name) for each in sorted(level.parent.iterdir()) if _is_like(pattern, each.name)]
            siblings.append((level.parent, level.parent.name))
        else:
            continue
        wanted = [(each / inside, label) for each, label in siblings if each != level and (each / inside).exists()]
        yield from ((str(each), label) for each, label in wanted[:MOST_CANDIDATES])
        return


def _below(folder: Path) -> list[tuple[Path, str]]:
    """(path, label) of the checkpoints that a training kept in a model's folder: before it, from text, of self-play."""
    found = []
    for child in sorted(child for child in folder.iterdir() if child.is_dir()):
        if _STEP.fullmatch(child.name) or _UNTRAINED.search(child.name):
            found.append((child, child.name))
        elif match := _SELF_PLAY.fullmatch(child.name):
            played = [each for each in sorted(child.iterdir()) if each.is_dir() and step_of(each.name) is not None]
            found += [(each, f"self-play-{int(match[1]) + step_of(each.name)}") for each in played]
    return found


def _beside(path: Path) -> list[tuple[Path, str]]:
    """(path, label) of the other checkpoints of the training that a checkpoint is of, and of what became of them."""
    if _SELF_PLAY.fullmatch(path.parent.name):
        home = path.parent.parent
    elif _UNTRAINED.search(path.name) or any(each.is_dir() for each in path.parent.glob("self-play-from-*")):
        home = path.parent
    else:
        return []
    below = _below(home)
    return [(home, home.name), *below] if any(path == each for each, _ in below) else []


def _revisions(repository: Path) -> dict[str, str]:
    """Commit -> the branch or tag that points to it, of a repository in the hub cache."""
    folder = repository / "refs"
    files = sorted(file for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else []
    return {file.read_text(encoding="utf-8", errors="replace").strip(): file.name for file in files}


def _is_like(pattern: re.Match, name: str) -> bool:
    other = _STEP.fullmatch(name)
    parts = ("before", "word", "after")
    return other is not None and all(other[part].lower() == pattern[part].lower() for part in parts)


def _described(path: str) -> Location | None:
    """A path that the library does not know; None if it is no checkpoint, or not for the public."""
    try:
        check_location(path, "added")
        with engine.sources.open(path) as source:
            return describe(source, "neighbour")
    except (SourceError, NotAllowedError):
        return None


def _signature(source: Source) -> dict[str, tuple[int, ...]]:
    return {info.name: info.shape for info in source.infos()}


def _fingerprint(uri: str, open_fresh: Callable[[str], Source], wanted: dict[str, tuple[int, ...]]) -> str | None:
    """The checkpoint's, if it has the wanted tensors; None if it is no version of this model."""
    try:
        with open_fresh(uri) as source:
            return source.fingerprint if _signature(source) == wanted else None
    except SourceError:
        return None  # gone or broken since it was listed: nothing to show
