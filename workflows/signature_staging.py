"""Finished signatures of an unfinished job, kept as files so that a resumed run need not take them again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.discovery.signature import FEATURES, Signature
from workflows.staging import DAMAGED


class SignatureStaging:
    """One .npz file for each finished matrix, below a folder named after everything its numbers depend on.

    A file appears whole or not at all, holds no pickle, and carries a checksum of every member, which reading checks.

    Args:
        checkpoints: the run's folder for finished parts.
        dependencies: content hash, file identity, settings: other values never meet these files.
    """

    def __init__(self, checkpoints: Path, dependencies: tuple[str, ...]) -> None:
        key = hashlib.sha256(json.dumps(("signatures", *dependencies)).encode()).hexdigest()[:32]
        self._folder = Path(checkpoints) / key
        self._folder.mkdir(parents=True, exist_ok=True)

    def keep(self, position: int, signature: Signature) -> None:
        """Keep a finished signature; `position` is the tensor's place in file order."""
        part = self._folder / f"{position:07d}.part"
        with part.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                values=signature.values,
                errors=signature.errors,
                share=np.array(signature.share),
            )
        part.replace(self._path(position))

    def take(self, position: int, log: Callable[[str], None]) -> Signature | None:
        """The kept signature if it is there and whole; a damaged file is logged."""
        path = self._path(position)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as archive:
                found = Signature(archive["values"], archive["errors"], float(archive["share"]))
        except DAMAGED as error:
            log(f"{path} is damaged and its signature is taken again: {error}")
            return None
        return found if found.values.shape == found.errors.shape == (len(FEATURES),) else None

    def clear(self) -> None:
        """Delete everything that was kept."""
        shutil.rmtree(self._folder)

    def _path(self, position: int) -> Path:
        return self._folder / f"{position:07d}.npz"
