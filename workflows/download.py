"""Fetching a model from the hub into the standard cache, so that every other program finds it there too."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from engine.sources.content_hash import combined_hash
from engine.sources.hub_access import Access, HubName, ListedFile, Listing
from storage.records import Location
from storage.store import Store
from workflows.cache_folder import CacheFolder
from workflows.deployment import check_allowed
from workflows.download_choice import needed_files
from workflows.locations import add_path, locations
from workflows.reports import Meter, Report


@dataclass(frozen=True)
class DownloadOutcome:
    """What a download did.

    Attributes:
        name: the location's. path: the folder, or the one weight file that was asked for.
        commit: the commit that was fetched.
        num_files, num_bytes: of everything that the model needs. num_fetched_bytes: those that were not here yet.
        elapsed_s: how long it took.
    """

    name: str
    path: str
    commit: str
    num_files: int
    num_bytes: int
    num_fetched_bytes: int
    elapsed_s: float


def download(
    name: str, *, store: Store, file: str = "", token: str | None = None, report: Report | None = None
) -> DownloadOutcome:
    """Fetch the files that a model needs, and make it known. What is here already is not fetched again.

    Large files are kept while they arrive, also through a kill or a lost connection, and are checked against the hash
    that the hub lists before they count as here.

    Args:
        name: `owner/name` or `owner/name@revision`.
        file: one weight file, where a repository holds many (GGUF); empty for the best format (`needed_files`).
        token: for gated and private models; None for HF_TOKEN. It is kept nowhere.
        report: hears bytes done, rate and time left; may stop the work.
    Raises: SourceError (not found, no access, no network, no weights); DownloadError (disk); Cancelled;
        NotAllowedError in a public deployment.
    """
    check_allowed("downloads")
    begin_s, report, access = time.monotonic(), report or Report(), Access(token=token)
    Meter(report, "listing")
    listing = access.listing(HubName.parse(name), is_recursive=True)
    weights, companions = needed_files(access, listing, file)
    cache = CacheFolder(access, listing)
    files = [*companions, *weights]
    missing = [each for each in files if not cache.holds(each)]
    cache.check_space(missing)
    meter = Meter(report, "downloading", sum(each.size for each in files))
    meter.skip(sum(each.size for each in files if each not in missing))
    num_fetched = sum(cache.fetch(each, meter) for each in missing)
    cache.point_revision_here()
    path = cache.snapshot / file if file else cache.snapshot
    known = _register(store, listing, path, weights)
    return DownloadOutcome(
        name=known.name,
        path=str(path),
        commit=listing.commit,
        num_files=len(files),
        num_bytes=sum(each.size for each in files),
        num_fetched_bytes=num_fetched,
        elapsed_s=time.monotonic() - begin_s,
    )


def _register(store: Store, listing: Listing, path: Path, weights: list[ListedFile]) -> Location:
    """Make the downloaded model known. It takes the place of the same commit's `hf://` location, with its name."""
    known = add_path(store, path, origin="hub")
    twins = [one for one in locations(store) if one.uri == listing.name.uri and one.fingerprint == listing.commit]
    if not twins:
        return known
    content_hash = None
    if all(each.sha256 for each in weights):
        listed_hash = combined_hash({each.name: each.sha256 for each in weights})
        content_hash = listed_hash if listed_hash == twins[0].content_hash else None
    for one in (twins[0], known):
        store.remove_location(one.name)
    return store.add_location(replace(known, name=twins[0].name, content_hash=content_hash or known.content_hash))
