"""Finished tensors of an unfinished measurement, kept as files so that a resumed run need not read them again."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from engine.measures.results import AxisProfile, Distribution, TensorReading
from engine.naming import Place
from engine.sources.base import TensorInfo
from storage.records import TensorRecord, Thumbnail

_ARRAYS = ("quantiles", "bin_counts")
DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


class Staging:
    """One .npz file for each finished tensor, below a folder named after everything its numbers depend on.

    A file appears whole or not at all, holds no pickle, and carries a checksum of every member, which reading checks.

    Args:
        checkpoints: the run's folder for finished parts.
        dependencies: content hash, file identity, measure versions, settings: other values never meet these files.
    """

    def __init__(self, checkpoints: Path, dependencies: tuple[str, ...]) -> None:
        key = hashlib.sha256(json.dumps(dependencies).encode()).hexdigest()[:32]
        self._folder = Path(checkpoints) / key
        self._folder.mkdir(parents=True, exist_ok=True)

    def keep(self, position: int, record: TensorRecord) -> None:
        """Keep a finished tensor; `position` is its place in file order."""
        reading, arrays = record.reading, {}
        header = {"info": asdict(record.info), "place": asdict(record.place), "values": reading.values}
        if reading.distribution is not None:
            header["distribution"] = {
                name: value for name, value in _shallow(reading.distribution).items() if name not in _ARRAYS
            }
            arrays |= {name: getattr(reading.distribution, name) for name in _ARRAYS}
        for axis, profile in (("rows", reading.rows), ("columns", reading.columns)):
            if profile is not None:
                arrays |= {f"{axis}.{name}": array for name, array in _shallow(profile).items()}
        if record.thumbnail is not None:
            arrays["thumbnail"] = record.thumbnail.values
        arrays["header"] = np.frombuffer(json.dumps(header, default=_number).encode(), np.uint8)
        part = self._folder / f"{position:07d}.part"
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        part.replace(self._path(position))

    def take(self, position: int, info: TensorInfo, log: Callable[[str], None]) -> TensorRecord | None:
        """The kept tensor if it is there, whole, and of just that header entry; else None. A damaged file is logged."""
        path = self._path(position)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as archive:
                record = _record({name: archive[name] for name in archive.files})
        except DAMAGED as error:
            log(f"{path} is damaged and its tensor is measured again: {error}")
            return None
        return record if record.info == info else None

    def clear(self) -> None:
        """Delete everything that was kept."""
        shutil.rmtree(self._folder)

    def _path(self, position: int) -> Path:
        return self._folder / f"{position:07d}.npz"


def _record(arrays: dict[str, np.ndarray]) -> TensorRecord:
    header = json.loads(arrays["header"].tobytes())
    profiles = {}
    for axis in ("rows", "columns"):
        named = {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(f"{axis}.")}
        profiles[axis] = AxisProfile(**named) if named else None
    numbers = header.get("distribution")
    distribution = None if numbers is None else Distribution(**numbers, **{name: arrays[name] for name in _ARRAYS})
    info = header["info"] | {"shape": tuple(header["info"]["shape"])}
    return TensorRecord(
        TensorInfo(**info),
        Place(**header["place"]),
        TensorReading(distribution, profiles["rows"], profiles["columns"], header["values"]),
        Thumbnail(arrays["thumbnail"]) if "thumbnail" in arrays else None,
    )


def _shallow(record) -> dict:
    return {entry.name: getattr(record, entry.name) for entry in fields(record)}


def _number(value):
    """numpy's scalars as Python's, exactly."""
    return value.item()
