"""What the known checkpoints take on the disk, and giving the hub cache's part of it back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import WeightscopeError
from engine.sources.hub_access import is_hub_uri
from engine.sources.hub_cache import repository_name
from storage.records import Location
from storage.store import Store
from workflows.deployment import check_allowed
from workflows.locations import locations
from workflows.uploads import uploads_folder

PLACES = ("comes with Weightscope", "trained here", "uploads", "hub cache", "your own files", "on the hub")


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What one location takes on the disk.

    Attributes:
        location: the checkpoint. num_bytes: of its weights; of the whole snapshot in a hub cache; 0 on the hub.
        place: one of `PLACES`.
    """

    location: Location
    num_bytes: int
    place: str


def disk_uses(store: Store) -> list[DiskUse]:
    """Every known location, the largest first."""
    uploads = uploads_folder(store)
    uses = [DiskUse(known, _num_bytes(known), _place(known, uploads)) for known in locations(store)]
    return sorted(uses, key=lambda use: -use.num_bytes)


def is_in_hub_cache(known: Location) -> bool:
    """Whether its files lie in a standard hub cache, whoever put them there."""
    return repository_name(Path(known.uri)) is not None


def free_hub_cache(known: Location) -> int:
    """Delete the revision that a location lies in from its hub cache; blobs that other revisions share stay.

    Returns: bytes that were freed.
    Raises: WeightscopeError if it does not lie in a hub cache, or the cache is damaged; NotAllowedError in a public
        deployment.
    """
    check_allowed("deletion")
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    if not is_in_hub_cache(known):
        raise WeightscopeError(f"{known.uri} does not lie in a hub cache.", "Delete your own files yourself.")
    snapshot = _snapshot(Path(known.uri))
    cache = snapshot.parent.parent.parent
    try:
        found = scan_cache_dir(cache)
    except (CacheNotFound, ValueError) as error:
        raise WeightscopeError(f"The hub cache {cache} cannot be read: {error}.", "Was it moved?") from error
    for repository in found.repos:
        for revision in repository.revisions:
            if revision.snapshot_path.resolve() == snapshot.resolve():
                # A copied repository has the same commits: the deletion must know of this one alone.
                deletion = replace(found, repos=frozenset({repository})).delete_revisions(revision.commit_hash)
                deletion.execute()
                return deletion.expected_freed_size
    raise WeightscopeError(f"The hub cache {cache} has no whole copy of {known.name}.", "Remove it with `hf cache rm`.")


def _snapshot(location: Path) -> Path:
    """The folder `models--owner--name/snapshots/COMMIT` that a path lies in."""
    return next(path for path in (location, *location.parents) if path.parent.name == "snapshots")


def _place(known: Location, uploads: Path) -> str:
    if is_hub_uri(known.uri):
        return "on the hub"
    if known.origin == "bundled":
        return "comes with Weightscope"
    if known.origin == "trained":
        return "trained here"
    if uploads in Path(known.uri).parents:
        return "uploads"
    return "hub cache" if is_in_hub_cache(known) else "your own files"


def _num_bytes(known: Location) -> int:
    if is_hub_uri(known.uri):
        return 0
    path = Path(known.uri)
    if known.origin == "trained" and path.is_dir():  # checkpoints may be second names of the same bytes
        files = {(s.st_dev, s.st_ino): s.st_size for s in (f.stat() for f in path.rglob("*") if f.is_file())}
        return sum(files.values())
    if not is_in_hub_cache(known) or not path.exists():
        return known.num_bytes
    return sum(file.stat().st_size for file in _snapshot(path).rglob("*") if file.is_file())
