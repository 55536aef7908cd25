"""A checkpoint of one or more files, whatever their format."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.errors import SourceError, TensorNotFoundError
from engine.sources.base import ByteCallback, Source, TensorInfo, WeightFile
from engine.sources.content_hash import content_hash, fingerprint
from engine.sources.hub_cache import repository_name
from engine.sources.json_file import read_json_object

_GENERIC_STEMS = frozenset({"model", "pytorch_model", "adapter_model", "consolidated", "checkpoint"})
"""File names that say nothing of the model; its folder's name then stands for it."""

_SHARD = re.compile(r"-\d{5,6}-of-\d{5,6}$")

_COMPARED_NAMES = 10_000
"""Names looked through for the nearest to a wrong one, which takes about 20 µs each."""


class PartedSource(Source):
    """The tensors of several weight files under one roof, wherever the files are.

    Args:
        parts: file name -> the opened file, in reading order.
        weight_map: tensor name -> file name where an index says so: every tensor it names must be in its file, and it
            decides between files that hold the same name. Without it a name in two files is an error.
    """

    def __init__(self, parts: Mapping[str, WeightFile], weight_map: Mapping[str, str] | None = None) -> None:
        self._parts = dict(parts)
        self._infos, self._owners = _united(self._parts, weight_map or {})

    def infos(self) -> tuple[TensorInfo, ...]:
        return tuple(self._infos.values())

    def info(self, name: str) -> TensorInfo:
        if name in self._infos:
            return self._infos[name]
        near = difflib.get_close_matches(name[:200], list(self._infos)[:_COMPARED_NAMES], n=3, cutoff=0.5)
        hint = f"Did you mean {', '.join(near)}?" if near else "List the tensors to see their names."
        raise TensorNotFoundError(f"{self.name} has no tensor {name[:200]!r}; it has {len(self._infos)} others.", hint)

    def read(self, name: str) -> np.ndarray:
        info = self.info(name)
        return self._owners[name].read(info)

    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        info = self.checked_rows(name, start, stop)
        return self._owners[name].read_rows(info, start, stop)

    def checked_rows(self, name: str, start: int, stop: int) -> TensorInfo:
        """The tensor's `TensorInfo`, if it has these rows. Raises: TensorNotFoundError, SourceError."""
        info = self.info(name)
        if not info.shape:
            raise SourceError(f"{self.name}: {name!r} is a scalar and has no rows.", "Read it whole.")
        if not 0 <= start <= stop <= info.shape[0]:
            raise SourceError(
                f"{self.name}: rows {start} … {stop} of {name!r} were asked for, but it has {info.shape[0]}.",
                "Ask for a range inside the tensor.",
            )
        return info

    @property
    def metadata(self) -> dict[str, str]:
        return {key: text for part in self._parts.values() for key, text in part.metadata.items()}

    def close(self) -> None:
        for part in self._parts.values():
            part.close()


class FileSource(PartedSource):
    """A checkpoint on this machine.

    Args:
        format: the format's name.
        location: the file, index or folder that was opened, absolute.
        folder: where the files' names begin.
        parts, weight_map: as in `PartedSource`; the names are relative to the folder.
    """

    def __init__(
        self,
        format: str,
        location: Path,
        folder: Path,
        parts: Mapping[str, WeightFile],
        weight_map: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(parts, weight_map)
        self.format = format
        self.uri = str(location)
        self.name = _short_name(location, folder)
        self._names = list(dict.fromkeys(file for name, part in parts.items() for file in (name, *part.companions)))
        self.files = tuple(folder / name for name in self._names)
        self._folder = folder

    def content_hash(self, on_bytes: ByteCallback | None = None) -> str:
        return content_hash(zip(self._names, self.files, strict=True), on_bytes)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.files)

    @property
    def config(self) -> dict:
        """What the weight files say themselves, else the `config.json` beside them; {} if there is none.

        Raises: MalformedHeaderError if the `config.json` is broken.
        """
        own = next((part.config for part in self._parts.values() if part.config), None)
        if own is not None:
            return own
        path = self._folder / "config.json"
        return read_json_object(path) if path.is_file() else {}


def _short_name(location: Path, folder: Path) -> str:
    """The file's stem, or the folder's name where that says more; the model's name in a hub cache."""
    repository = repository_name(folder)
    if repository is not None:
        return repository.rpartition("/")[2]
    stem = _SHARD.sub("", location.stem)
    says_nothing = location == folder or location.name.endswith(".index.json") or stem in _GENERIC_STEMS
    return folder.name if says_nothing and folder.name else stem


def _united(
    parts: Mapping[str, WeightFile], weight_map: Mapping[str, str]
) -> tuple[dict[str, TensorInfo], dict[str, WeightFile]]:
    """Every tensor of every file, and the file that reads it, by name."""
    infos: dict[str, TensorInfo] = {}
    owners: dict[str, WeightFile] = {}
    for file, part in parts.items():
        for info in part.infos():
            if weight_map.get(info.name, file) != file:
                continue
            if info.name in infos:
                raise SourceError(
                    f"Both {infos[info.name].file} and {file} hold a tensor {info.name!r}; "
                    "they look like two checkpoints, not parts of one.",
                    "Open one of the files instead of the folder.",
                )
            infos[info.name], owners[info.name] = info, part
    for name, file in weight_map.items():
        if name not in infos:
            raise TensorNotFoundError(
                f"The index places {name!r} in {file}, but that file does not hold it.",
                "The shards and the index come from different versions: fetch them together.",
            )
    return infos, owners
