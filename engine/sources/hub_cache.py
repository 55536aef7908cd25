"""Checkpoints in the standard cache of the Hugging Face hub, found without the network."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import SourceNotFoundError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?", re.ASCII)


def is_hub_name(name: str) -> bool:
    """Whether a text has the form `owner/name` or `owner/name@revision`."""
    return _NAME.fullmatch(name) is not None


def snapshot_folder(name: str) -> Path:
    """The folder of a model's files in the hub cache.

    Args: name: `owner/name`, optionally with `@revision` (branch, tag or commit).
    Raises: SourceNotFoundError if the cache does not hold it.
    """
    from huggingface_hub import snapshot_download  # here, because it takes a tenth of a second to import
    from huggingface_hub.errors import HFValidationError, IncompleteSnapshotError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, local_files_only=True))
    except IncompleteSnapshotError as error:  # some files of the repository are not here; weights are checked later
        return Path(error.snapshot_path)
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise SourceNotFoundError(
            f"Found neither a file or folder {name!r} nor a model of that name in the hub cache.",
            f"Check the path. If it is a model on the hub, hf://{name} looks into it without a download, and "
            f"`python -m workflows download {name}` fetches it.",
        ) from error


def repository_name(folder: Path) -> str | None:
    """`owner/name` if the folder is a snapshot in a hub cache (`models--owner--name/snapshots/COMMIT`), else None."""
    root = _repository_root(folder)
    return None if root is None else root.name.removeprefix("models--").replace("--", "/")


def blobs_folder(folder: Path) -> Path | None:
    """Where the links of a hub snapshot lead to; None if the folder is no snapshot."""
    root = _repository_root(folder)
    return None if root is None else root / "blobs"


def _repository_root(folder: Path) -> Path | None:
    for parent in (folder, *folder.parents):
        if parent.parent.name == "snapshots" and parent.parent.parent.name.startswith("models--"):
            return parent.parent.parent
    return None
