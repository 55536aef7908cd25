"""A model as one zip: its files out, to another machine, and back in. What comes in is checked before it is kept."""

from __future__ import annotations

import re
import secrets
import shutil
import stat
import time
import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import engine.sources
from engine.errors import SourceError, TrainingError, UnsafePathError, UnsafePickleError, UnsupportedFormatError
from engine.sources.mapped_file import MappedFile
from engine.sources.zip_members import zip_members
from storage.records import Location
from storage.store import Store
from workflows.locations import add_path
from workflows.trained_models import STATE
from workflows.uploads import incoming_folder, keep_once, receive, safe_file_name
from workflows.wording import bytes_text

KEPT_SUFFIXES = (".safetensors", ".json", ".txt", ".md", ".model", ".jinja")
"""Files of a model that are no program; ours: all that transformers writes, and model cards."""

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npy", ".npz")
MOST_FILES = 1000
NEEDED = ("config.json", "tokenizer.json")

_DOWNLOADS = "downloads"
_KEPT_S = 3600.0
"""How long a zip that was made for a download is kept."""

_DATE = (1980, 1, 1, 0, 0, 0)
_COPY_BYTES = 1 << 20


def model_zip(store: Store, location: Location) -> Path:
    """The model's files as a zip on the disk: weights, configuration, tokenizer, card; the same model, the same bytes.

    It lies in `data/downloads` and is deleted there by later calls once it is older than an hour.

    Raises: SourceError if the model is no folder on this disk; TrainingError if the zip cannot be written.
    """
    folder = Path(location.uri)
    if not folder.is_dir():
        raise SourceError(f"{location.name} is no folder on this disk, so there is nothing to pack.", "Copy its file.")
    downloads = store.folder / _DOWNLOADS
    target = downloads / f"{secrets.token_hex(8)}.zip"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        _sweep(downloads)
        with target.open("wb") as file:
            write_zip(folder, safe_file_name(location.name), file)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise TrainingError(f"The zip cannot be written to {downloads}: {error}.", "Make room on the disk.") from error
    return target


def write_zip(folder: Path, name: str, target: BinaryIO) -> None:
    """Write the model's files into a zip, below one folder `name`, by name; weights as they are, text packed.

    Left out are folders (its checkpoints), hidden files, and what only a training that goes on needs.
    """
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.suffix in KEPT_SUFFIXES]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for file in files:
            if file.name.startswith((".", STATE)):
                continue
            entry = zipfile.ZipInfo(f"{name}/{file.name}", _DATE)
            entry.compress_type = zipfile.ZIP_STORED if file.suffix == ".safetensors" else zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as packed:
                shutil.copyfileobj(source, packed, _COPY_BYTES)


def add_model_zip(store: Store, name: str, stream: BinaryIO, *, limit_bytes: int) -> Location:
    """Keep an uploaded zip of a model folder, unpacked, and make it known; a training can go on from it.

    It becomes `data/uploads/<sha256 of the zip>/<name>/` only once everything in it was checked: plain files of a
    model in at most one folder, no links, no paths that leave it, nothing that would have to run code, no bombs.

    Args: name: the file's name as the browser says it. limit_bytes: the most that is taken, packed and unpacked.
    Raises: SourceError, naming the member that is not fit; nothing is kept then.
    """
    with incoming_folder(store) as incoming:
        archive = incoming / "upload.zip"
        digest = receive(stream, archive, name, limit_bytes)
        plain = safe_file_name(name)
        inside = incoming / "unpacked" / (re.sub(r"\.zip$", "", plain, flags=re.IGNORECASE) or "model")
        inside.mkdir(parents=True)
        _unpack(archive, inside, name, limit_bytes)
        for needed in NEEDED:
            if not (inside / needed).is_file():
                raise SourceError(f"{name} holds no {needed}.", "Pack the whole folder of a model with its tokenizer.")
        with engine.sources.open(inside):
            pass
        kept = keep_once(store, inside.parent, digest)
        path = next(kept.iterdir())
        return add_path(store, path, origin="uploaded", name=path.name)


def _unpack(archive: Path, folder: Path, name: str, limit_bytes: int) -> None:
    """Write the members' bytes into files of ours; nothing in the archive decides where or what kind of file."""
    mapped = MappedFile(archive)
    try:
        zip_members(archive, mapped, name)  # overlaps, bombs, tables of contents that lie
    except UnsupportedFormatError as error:
        raise UnsupportedFormatError(
            f"{name} has members that are encrypted or packed in an unusual way.", "Pack it again as a plain zip."
        ) from error
    finally:
        mapped.close()
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not _is_clutter(member.filename)]
        targets = _targets(members, name)
        total = sum(member.file_size for member in members)
        if total > limit_bytes:
            raise SourceError(
                f"{name} unfolds to {bytes_text(total)}, more than the {bytes_text(limit_bytes)} that can be uploaded.",
                "Unpack it on this machine and add the folder by its path.",
            )
        for member, target in zip(members, targets, strict=True):
            try:
                with opened.open(member) as packed, (folder / target).open("wb") as file:
                    shutil.copyfileobj(packed, file, _COPY_BYTES)
            except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
                raise SourceError(f"{name}: {target} is damaged: {error}.", "Upload the file again.") from error


def _targets(members: list[zipfile.ZipInfo], name: str) -> list[str]:
    """The plain file name of each member. Raises: SourceError for anything that is no file of a model."""
    if not members or len(members) > MOST_FILES:
        raise SourceError(f"{name} holds {len(members)} files, expected those of one model.", "Pack a model's folder.")
    targets, folders = [], set()
    for member in members:
        path = _safe_path(member, name)
        if path.suffix.lower() in PICKLES:
            raise UnsafePickleError(
                f"{name}: {path.name[:80]!a} may hold a program, and is not unpacked.",
                "Save the model as safetensors and pack it again.",
            )
        if path.suffix.lower() not in KEPT_SUFFIXES:
            raise SourceError(
                f"{name}: {path.name[:80]!a} is no file of a model.", f"Pack only {', '.join(KEPT_SUFFIXES)}."
            )
        targets.append(path.name)
        folders.add(path.parent)
    if len(folders) > 1 or len({target.lower() for target in targets}) < len(targets):
        raise SourceError(f"{name} holds more than one folder of files.", "Pack the folder of one model.")
    return targets


def _safe_path(member: zipfile.ZipInfo, name: str) -> PurePosixPath:
    text = member.orig_filename if "\0" in member.orig_filename else member.filename
    path = PurePosixPath(text)
    is_odd = re.search(r"[\x00-\x1f\x7f\\:]", text) or text.startswith("/") or ".." in path.parts
    if is_odd or len(path.parts) > 2 or not path.name or path.name != safe_file_name(path.name):
        raise UnsafePathError(
            f"{name}: the member {text[:80]!a} would not lie plainly in one folder.", "Pack the folder of one model."
        )
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise UnsafePathError(f"{name}: {text[:80]!a} is a link or a device, no file.", "Pack the files themselves.")
    return path


def _is_clutter(filename: str) -> bool:
    """Folders, and what systems add to every zip."""
    parts = PurePosixPath(filename).parts
    return filename.endswith("/") or "__MACOSX" in parts[:1] or (bool(parts) and parts[-1] == ".DS_Store")


def _sweep(downloads: Path) -> None:
    for file in downloads.glob("*.zip"):
        if time.time() - file.stat().st_mtime > _KEPT_S:
            file.unlink(missing_ok=True)
