"""From a path or a name to an opened checkpoint."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from engine.errors import SourceError, SourceNotFoundError, UnsupportedFormatError
from engine.sources.base import Source
from engine.sources.file_source import FileSource
from engine.sources.formats import FORMATS, Format
from engine.sources.hub import open_hub
from engine.sources.hub_access import is_hub_uri
from engine.sources.hub_cache import is_hub_name, snapshot_folder
from engine.sources.index_file import read_index

_INDEX_SUFFIX = ".index.json"
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5,6})-of-(?P<total>\d{5,6})(?P<suffix>\.\w+)")


def open_source(path_or_name: str | Path, token: str | None = None) -> Source:
    """Opens a checkpoint: reads and checks its headers, no data.

    Args:
        path_or_name: a weight file, a `*.index.json`, a folder that holds either, the `owner/name[@revision]` of a
            model in the hub cache, or `hf://owner/name[@revision]` to read it from the hub without downloading it. A
            path that exists comes before a name.
        token: for gated and private models on the hub; None for HF_TOKEN.
    Raises: SourceNotFoundError, UnsupportedFormatError, UnsafePathError, UnsafePickleError, MalformedHeaderError,
        TruncatedFileError, TensorLayoutError, HubError, AccessDeniedError, all of them SourceError.
    """
    if is_hub_uri(str(path_or_name)):
        return open_hub(str(path_or_name), token)
    try:
        return _open_path(_located(path_or_name))
    except OSError as error:
        raise SourceError(
            f"{error.filename or path_or_name} cannot be read: {error.strerror or error}.",
            "Check that the file is there and that you may read it.",
        ) from error


def _located(path_or_name: str | Path) -> Path:
    text = str(path_or_name)
    if not text or "\0" in text:
        raise SourceNotFoundError(f"{text!r} is no path.", "Give a file, a folder, or a name such as owner/model.")
    path = Path(os.path.expanduser(text)).absolute()  # noqa: PTH111 - unlike Path.expanduser it never fails
    if path.exists():
        return Path(os.path.abspath(path))  # noqa: PTH100 - no detours, but links keep the names people know
    if is_hub_name(text):
        return snapshot_folder(text)
    raise SourceNotFoundError(f"There is no file or folder {path}.", "Check the spelling and the working directory.")


def _open_path(path: Path) -> Source:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return _open_folder(path)
    if not stat.S_ISREG(mode):
        raise UnsupportedFormatError(f"{path} is neither a file nor a folder.", _reads())
    if path.name.endswith(_INDEX_SUFFIX):
        return _open_index(path, path)
    return _open_file(path)


def _open_file(path: Path) -> Source:
    """A file; of a format whose shards make sense only together, all of them."""
    names = [path.name]
    if _SHARD.fullmatch(path.name) and _format_of(path).is_self_contained:
        names = sorted(other.name for other in path.parent.iterdir() if _shard_key(other.name) == _shard_key(path.name))
        _check_complete(path.parent, names, "Fetch the missing shards into the same folder.")
    return _open_files(path, path.parent, names)


def _format_of(path: Path) -> Format:
    """By content first, since a name can lie; by suffix for files too broken to be recognised."""
    with path.open("rb") as file:
        head = file.read(64)
    for file_format in FORMATS:
        if file_format.recognises(head):
            return file_format
    for file_format in FORMATS:
        if path.suffix.lower() in file_format.suffixes:
            return file_format
    raise UnsupportedFormatError(f"{path} is no checkpoint in a format that Weightscope knows.", _reads())


def _open_folder(folder: Path) -> Source:
    """The best checkpoint in a folder: by format, then one whole file, then an index, then all files together."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    for file_format in FORMATS:
        weights = [n for n in names if Path(n).suffix.lower() in file_format.suffixes and n not in file_format.others]
        whole = [name for name in file_format.whole if name in weights]
        if whole:
            return _open_files(folder, folder, whole)
        index = _index_in(folder, file_format, names)
        if index is not None:
            return _open_index(index, folder)
        if weights:
            _check_one_model(folder, file_format, weights)
            _check_complete(folder, weights, "Fetch the missing shards, or open one shard by itself.")
            return _open_files(folder, folder, weights)
    below = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and _holds_weights(path)]
    hint = f"Open one of its folders: {', '.join(below[:8])}." if below else _reads()
    raise UnsupportedFormatError(f"The folder {folder} holds no weights that Weightscope can read.", hint)


def _holds_weights(folder: Path) -> bool:
    suffixes = {suffix for file_format in FORMATS for suffix in file_format.suffixes}
    return any(path.suffix.lower() in suffixes for path in folder.iterdir())


def _open_files(location: Path, folder: Path, names: list[str], weight_map: dict[str, str] | None = None) -> Source:
    formats = {name: _format_of(folder / name) for name in names}
    parts = {name: formats[name].open_file(folder / name, name) for name in names}
    return FileSource(formats[names[0]].name, location, folder, parts, weight_map)


def _index_in(folder: Path, file_format: Format, names: list[str]) -> Path | None:
    """The one index of a format in a folder: the standard name, or the only one."""
    found = [n for n in names if n.endswith(tuple(f"{suffix}{_INDEX_SUFFIX}" for suffix in file_format.suffixes))]
    standard = [name for name in found if name.removesuffix(_INDEX_SUFFIX) in file_format.whole]
    if len(found) > 1 and not standard:
        raise SourceError(f"The folder {folder} holds several checkpoints.", f"Open one of {', '.join(found)}.")
    return folder / (standard or found)[0] if found else None


def _open_index(index: Path, location: Path) -> Source:
    weight_map = read_index(index)
    return _open_files(location, index.parent, sorted(set(weight_map.values())), weight_map)


def _shard_key(name: str) -> str:
    """What all shards of one model have in common; the name itself for a file that is no shard."""
    found = _SHARD.fullmatch(name)
    return f"{found['stem']}-of-{found['total']}{found['suffix']}" if found else name


def _check_one_model(folder: Path, file_format: Format, names: list[str]) -> None:
    """Files that are models by themselves must not be opened together."""
    if file_format.is_self_contained and len({_shard_key(name) for name in names}) > 1:
        hint = f"Open one of its files: {', '.join(names[:8])}{', …' if len(names) > 8 else ''}."
        raise SourceError(f"The folder {folder} holds several {file_format.name} models.", hint)


def _check_complete(folder: Path, names: list[str], hint: str) -> None:
    """Files called `…-00001-of-00003…` must all be there."""
    for found in filter(None, map(_SHARD.fullmatch, names)):
        total = int(found["total"])
        siblings = [n for n in names if n.startswith(f"{found['stem']}-") and f"-of-{found['total']}" in n]
        if len(siblings) < total:
            raise SourceNotFoundError(
                f"The folder {folder} holds {len(siblings)} of the {total} shards of {found['stem']}.", hint
            )


def _reads() -> str:
    formats = "; ".join(f"{f.name} ({', '.join(f.suffixes)})" for f in FORMATS)
    return f"Weightscope reads {formats}, and folders and indexes of them."
