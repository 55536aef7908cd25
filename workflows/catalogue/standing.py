"""Where a model of the catalogue stands: not here, seen from afar, downloading, here, measured, running."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.sources.hub_access import SCHEME, is_hub_uri
from engine.sources.hub_cache import repository_name
from storage.records import Location
from workflows.catalogue.entry import CatalogueEntry
from workflows.jobs import Job

STATES = ("not here", "remote-measured", "downloading", "here", "measured", "running")
"""In the order in which a model gains them; the furthest one holds."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one model stands.

    Attributes:
        state: one of `STATES`.
        location: the checkpoint here that is this model, a local one before a remote one; None if there is none.
        job: its newest download, if that is not done; None otherwise.
    """

    state: str
    location: Location | None = None
    job: Job | None = None


def standings(
    hub_ids: Iterable[str],
    locations: Sequence[Location],
    jobs: Sequence[Job] = (),
    running: Collection[str] = (),
) -> dict[str, Standing]:
    """Where each model stands, by its hub id.

    Args:
        hub_ids: `owner/name` of the models. locations: all that are known. jobs: newest first.
        running: uris of the checkpoints that are loaded to run.
    """
    found: dict[str, Location] = {}
    for location in locations:
        name = hub_id_of(location)
        if name is not None and (name not in found or is_remote(found[name])):
            found[name] = location
    downloads: dict[str, Job] = {}
    for job in jobs:
        if job.kind == "download":
            downloads.setdefault(str(job.arguments.get("model", "")).lower(), job)
    return {name: _standing(found.get(name.lower()), downloads.get(name.lower()), running) for name in hub_ids}


def _standing(location: Location | None, job: Job | None, running: Collection[str]) -> Standing:
    job = job if job is not None and job.state != "done" else None
    if job is not None and job.is_active:
        return Standing("downloading", location, job)
    if location is None:
        return Standing("not here", None, job)
    if location.uri in running:
        return Standing("running", location, job)
    if is_remote(location):
        return Standing("remote-measured" if location.content_hash else "not here", location, job)
    return Standing("measured" if location.content_hash else "here", location, job)


def is_remote(location: Location) -> bool:
    """Whether the weights stay on the hub."""
    return is_hub_uri(location.uri)


def hub_id_of(location: Location) -> str | None:
    """The model's `owner/name` in lower case, if it is on the hub or in the hub cache; None for other files."""
    if is_remote(location):
        return location.uri.removeprefix(SCHEME).partition("@")[0].lower()
    name = repository_name(Path(location.uri))
    return None if name is None else name.lower()


def by_hub_id(entries: Iterable[CatalogueEntry]) -> Mapping[str, CatalogueEntry]:
    """Entries by their hub id in lower case."""
    return {entry.hub_id.lower(): entry for entry in entries}
