"""What lies beside a checkpoint's weights: its card, its tokenizer, its chat template, its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import SourceError
from engine.sources.base import Source
from engine.sources.json_file import json_object

MAX_TEXT_BYTES = 256_000
"""Of a card or a template that is read; longer ones are cut. The longest cards have some 60 kB."""
MAX_TOKENIZER_BYTES = 32_000_000
MAX_FILES = 1_000


@dataclass(frozen=True, slots=True)
class ListedName:
    """A file beside the weights: its path in the checkpoint's folder, and its bytes."""

    name: str
    num_bytes: int


class ModelFiles:
    """The small files of a checkpoint, read with limits, from a folder or from the hub.

    Args: source: the opened checkpoint.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._folder = None if source.is_remote else _own_folder(Path(source.uri))

    def listed(self) -> list[ListedName]:
        """All files with their sizes, by name, at most `MAX_FILES`; of a checkpoint that is one file, only that."""
        if self._source.is_remote:
            files = [ListedName(file.name, file.size) for file in self._source.listing.files.values()]
            return sorted(files, key=lambda file: file.name)[:MAX_FILES]
        if self._folder is None:
            return [ListedName(path.name, path.stat().st_size) for path in self._source.files]
        found = []
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(self._folder).parts):
                found.append(ListedName(path.relative_to(self._folder).as_posix(), path.stat().st_size))
            if len(found) == MAX_FILES:
                break
        return found

    def text(self, name: str, limit: int = MAX_TEXT_BYTES) -> tuple[str, bool] | None:
        """A text file's beginning, and whether it was cut; None if there is no such file."""
        data = self._beginning(name, limit + 1)
        if data is None:
            return None
        return data[:limit].decode("utf-8", errors="replace"), len(data) > limit

    def json(self, name: str, limit: int = MAX_TOKENIZER_BYTES) -> dict:
        """The object in a JSON file; {} if there is no such file.

        Raises: MalformedHeaderError if it is no object or has too many items; SourceError if it is too long.
        """
        data = self._beginning(name, limit + 1)
        if data is None:
            return {}
        if len(data) > limit:
            raise SourceError(
                f"{name} is longer than {limit} bytes and was not read.", "The weights can still be seen."
            )
        return json_object(data, name)

    def _beginning(self, name: str, limit: int) -> bytes | None:
        if self._source.is_remote:
            return self._source.document(name)
        if self._folder is None:
            return None
        path = self._folder / name
        try:
            with path.open("rb") as file:
                return file.read(limit)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror or error}.", "Check the rights.") from error


def _own_folder(location: Path) -> Path | None:
    """The folder that belongs to the checkpoint: itself, or the one around its file if a config.json lies there too.

    A lone file among others, as in a folder of downloads, has none: the README beside it is somebody else's.
    """
    if location.is_dir():
        return location
    return location.parent if (location.parent / "config.json").is_file() else None
