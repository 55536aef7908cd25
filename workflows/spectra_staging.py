"""Finished spectra of an unfinished job, kept as files so that a resumed run need not take them again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.spectra.results import SingularValues
from workflows.staging import DAMAGED

_ARRAYS = ("values", "errors", "row_squares", "column_squares")


class SpectraStaging:
    """One .npz file for each finished matrix, below a folder named after everything its numbers depend on.

    A file appears whole or not at all, holds no pickle, and carries a checksum of every member, which reading checks.

    Args:
        checkpoints: the run's folder for finished parts.
        dependencies: content hash, file identity, settings: other values never meet these files.
    """

    def __init__(self, checkpoints: Path, dependencies: tuple[str, ...]) -> None:
        key = hashlib.sha256(json.dumps(("spectra", *dependencies)).encode()).hexdigest()[:32]
        self._folder = Path(checkpoints) / key
        self._folder.mkdir(parents=True, exist_ok=True)

    def keep(self, position: int, singular: SingularValues) -> None:
        """Keep finished singular values; `position` is the tensor's place in file order."""
        arrays = {name: getattr(singular, name) for name in _ARRAYS}
        arrays["matrix"] = np.array([singular.num_rows, singular.num_columns])
        arrays["resolution"] = np.array(singular.resolution)
        part = self._folder / f"{position:07d}.part"
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        part.replace(self._path(position))

    def take(self, position: int, matrix: tuple[int, int], log: Callable[[str], None]) -> SingularValues | None:
        """The kept singular values if they are there, whole, and of such a matrix; a damaged file is logged."""
        path = self._path(position)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in _ARRAYS}
                found = SingularValues(
                    *(int(length) for length in archive["matrix"]),
                    resolution=float(archive["resolution"]),
                    **arrays,
                )
        except DAMAGED as error:
            log(f"{path} is damaged and its spectrum is taken again: {error}")
            return None
        return found if (found.num_rows, found.num_columns) == matrix else None

    def clear(self) -> None:
        """Delete everything that was kept."""
        shutil.rmtree(self._folder)

    def _path(self, position: int) -> Path:
        return self._folder / f"{position:07d}.npz"
