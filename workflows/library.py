"""The checkpoints known here: list them, add them by path, upload or scan, open them, forget them."""

from __future__ import annotations

import shutil
from pathlib import Path

import engine.sources
from engine.errors import SourceError, WeightscopeError
from engine.sources.base import Source
from engine.sources.hub_access import is_hub_uri
from storage.records import Location
from storage.store import Store
from workflows.deployment import check_allowed
from workflows.disk import free_hub_cache
from workflows.folder_scan import FolderScan, scan_folder
from workflows.locations import add_path, location, locations, resolve
from workflows.trained_models import delete_trained, trained_name
from workflows.uploads import add_upload, uploads_folder

__all__ = [
    "FolderScan",
    "add_path",
    "add_upload",
    "location",
    "locations",
    "open_source",
    "remove",
    "resolve",
    "scan_folder",
    "status",
]


def remove(store: Store, name: str, *, measurements: bool = True, file: bool = True, hub_cache: bool = False) -> None:
    """Forget a location.

    A bundled checkpoint stays known: only its measurements can go. Files are deleted only if they were uploaded or
    trained here, never outside the folders of both, and from the hub cache if that is asked for. A trained model goes
    with its checkpoints and the history of its training.

    Args:
        measurements: delete what was measured of it, unless another location has the same content.
        file: delete the uploaded file, or the trained model's folder.
        hub_cache: delete the snapshot that it lies in from the hub cache.
    Raises: SourceNotFoundError for an unknown name; WeightscopeError if there is nothing that may be removed, or in a
        public deployment.
    """
    check_allowed("deletion")
    target = location(store, name)
    if target.origin == "bundled" and not (measurements and target.content_hash):
        raise WeightscopeError(f"{name} comes with the product and stays.", "Only its measurements can be deleted.")
    if file and target.origin == "trained" and (trained := trained_name(store, target.uri)):
        delete_trained(store, trained, measurements=measurements)
        return
    if hub_cache:
        free_hub_cache(target)
    twins = [other for other in locations(store) if other.content_hash == target.content_hash and other.name != name]
    if measurements and target.content_hash and not twins:
        store.delete_model(target.content_hash)
    store.remove_location(name)
    uploads = uploads_folder(store).resolve()
    uploaded = Path(target.uri).resolve()
    if file and target.origin == "uploaded" and uploads in uploaded.parents:
        shutil.rmtree(uploads / uploaded.relative_to(uploads).parts[0])


def open_source(known: Location, token: str | None = None) -> Source:
    """The location's checkpoint, opened; `token` as in `add_path`.

    Raises: SourceError if it is gone or no longer a checkpoint; HubError if it is on the hub and that does not answer.
    """
    return engine.sources.open(known.uri, token)


def status(known: Location) -> str:
    """Where a location stands: "new" (not measured), "measured", "changed" since it was measured, or "missing".

    The hub is not asked: whether a model moved on there is found out when it is opened or measured again.
    """
    if is_hub_uri(known.uri):
        return "new" if known.content_hash is None else "measured"
    try:
        with open_source(known) as source:
            if known.content_hash is None:
                return "new"
            return "measured" if source.fingerprint == known.fingerprint else "changed"
    except SourceError:
        return "missing"
