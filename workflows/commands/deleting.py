"""`delete`: forget a model."""

from __future__ import annotations

import argparse
import json
import sys

from engine.errors import WeightscopeError


def delete(arguments: argparse.Namespace) -> int:
    """Forget a location with its measurements, after asking; files go only if they were uploaded or trained here."""
    from storage.store import Store
    from workflows.library import location, remove

    store = Store(arguments.data)
    if _is_unfinished(store, arguments.model):
        return _delete_unfinished(store, arguments)
    known = location(store, arguments.model)
    is_kept = arguments.keep_measurements
    what = [known.name if known.origin != "bundled" else f"what is stored of {known.name}"]
    what += [] if is_kept or known.content_hash is None else ["its measurements"]
    what += ["the uploaded file"] if known.origin == "uploaded" else []
    what += ["its folder with all checkpoints"] if known.origin == "trained" else []
    if not arguments.yes:
        _ask(f"Delete {', '.join(what)}?")
    remove(store, known.name, measurements=not is_kept)
    if arguments.json:
        print(json.dumps({"deleted": known.name, "uri": known.uri, "content_hash": known.content_hash}))
    else:
        print(f"Deleted {', '.join(what)}.")
    return 0


def _is_unfinished(store, name: str) -> bool:
    """Whether a training of that name left checkpoints but no model that the library knows."""
    from workflows.library import locations
    from workflows.trained_models import trained_folder

    folder = trained_folder(store)
    is_there = folder.is_dir() and name in {each.name for each in folder.iterdir()}
    return is_there and name not in {known.name for known in locations(store)}


def _delete_unfinished(store, arguments: argparse.Namespace) -> int:
    from workflows.trained_models import delete_trained

    if not arguments.yes:
        _ask(f"Delete the unfinished training {arguments.model} with its checkpoints?")
    delete_trained(store, arguments.model)
    print(json.dumps({"deleted": arguments.model}) if arguments.json else f"Deleted {arguments.model}.")
    return 0


def _ask(question: str) -> None:
    """Raises WeightscopeError unless a person says yes."""
    if not sys.stdin.isatty():
        raise WeightscopeError("Nobody is there to be asked, so nothing was deleted.", "Add --yes to delete.")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise WeightscopeError("Nothing was deleted.")
