"""The models made here: where they lie."""

from __future__ import annotations

from pathlib import Path

from storage.store import Store
from workflows.training_request import check_name


def trained_folder(store: Store) -> Path:
    """Where trained models lie; besides uploads the only place where removing a model deletes weights."""
    return store.folder / "trained"


def model_folder(store: Store, name: str) -> Path:
    """`data/trained/<name>`: the finished model, with `checkpoint-<step>` folders beneath. Raises TrainingError for an
    unsafe name."""
    return trained_folder(store) / check_name(name)
