"""Loading a `torch.save` file without running what is in it, and finding the weights in what comes out."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import (
    MalformedHeaderError,
    SourceError,
    TensorLayoutError,
    TruncatedFileError,
    UnsafePickleError,
    UnsupportedFormatError,
)
from engine.sources.safetensors_header import MAX_TENSORS, REDOWNLOAD, check_name

if TYPE_CHECKING:
    import torch

MAX_LEGACY_BYTES = 8 << 30
"""Largest file of the format before PyTorch 1.6, which cannot be mapped and is read into memory whole."""

MAX_PICKLE_BYTES = 256 << 20
"""Largest pickle inside an archive: names and shapes only, so megabytes even for large models."""

STATE_KEYS = ("state_dict", "model_state_dict", "model", "module", "ema", "params")
"""Where training scripts put the weights beside optimizer state and epoch numbers, in order of preference."""

_MAX_DEPTH = 16
_MAX_VALUES = 2_000_000
_SCANNED_BYTES = 1 << 20
_CODE_OPCODES = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "EXT1", "EXT2"})
_REASONS: tuple[tuple[re.Pattern[str], type[SourceError]], ...] = (
    (re.compile(r"resize storage|wrong byte size|out of bounds|not enough memory|can't allocate"), TensorLayoutError),
    (re.compile(r"EOF|central directory|failed locating file|failed reading|Ran out of input"), TruncatedFileError),
)
"""What torch's messages mean; all others are a MalformedHeaderError."""


def load_tensors(path: Path, name: str) -> dict[str, torch.Tensor]:
    """The named tensors of a PyTorch file: its state dict if it has one, else everything in it, joined by dots.

    Args:
        path: the file. name: how it is called in messages.
    Returns: detached CPU tensors in the file's order; their data stays on disk where the format allows.
    Raises: UnsafePickleError if opening it would run code; UnsupportedFormatError without tensors or with compressed
        members; MalformedHeaderError, TruncatedFileError, TensorLayoutError if it is damaged.
    """
    loaded = _loaded(path, name)
    for _ in range(3):
        inner = [loaded[key] for key in STATE_KEYS if isinstance(loaded, dict) and _holds_tensors(loaded.get(key))]
        if not inner:
            break
        loaded = inner[0]
    tensors: dict[str, torch.Tensor] = {}
    for key, tensor in _leaves(loaded, name):
        check_name(key, name)
        if key in tensors or len(tensors) == MAX_TENSORS:
            raise MalformedHeaderError(
                f"{name} holds two tensors named {key[:200]!r}, or more than {MAX_TENSORS}.", REDOWNLOAD
            )
        tensors[key] = tensor.detach()
    if not tensors:
        raise UnsupportedFormatError(f"{name} holds no tensors.", "Open the file that holds the model's weights.")
    _check_storages(tensors, path.stat().st_size, name)
    return tensors


def is_dense(tensor: torch.Tensor) -> bool:
    """Whether it is an ordinary tensor with its numbers in memory: not sparse, quantised, or without data."""
    import torch

    return tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized


def _loaded(path: Path, name: str) -> object:
    """What the file holds, of tensors and plain containers only."""
    import torch

    is_archive = zipfile.is_zipfile(path)
    if is_archive:
        _check_archive(path, name)
    elif path.stat().st_size > MAX_LEGACY_BYTES:
        raise UnsupportedFormatError(
            f"{name} is a PyTorch file of the old format with {path.stat().st_size} bytes, which cannot be mapped.",
            "Load it in PyTorch and save it again, best as safetensors.",
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    except pickle.UnpicklingError as error:
        culprit = re.search(r"GLOBAL ([\w.]+)", str(error))
        if culprit or _holds_code(path):
            raise _unsafe(name, culprit[1] if culprit else "") from error
        raise _damaged(error, name) from error
    except Exception as error:
        raise _damaged(error, name) from error


def _check_archive(path: Path, name: str) -> None:
    """Members must be stored as they are, for a compressed one could unfold to any size; TorchScript holds code."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(error, name) from error
    if any("/code/" in member.filename or member.filename.endswith("/constants.pkl") for member in members):
        raise _unsafe(name, "TorchScript")
    size = path.stat().st_size
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise UnsupportedFormatError(
                f"{name}: the member {member.filename[:80]!r} is compressed; torch.save never does that.", REDOWNLOAD
            )
        limit = MAX_PICKLE_BYTES if member.filename.endswith(".pkl") else size
        if member.file_size > limit or member.header_offset + member.file_size > size:
            raise TensorLayoutError(
                f"{name}: the member {member.filename[:80]!r} claims {member.file_size} bytes, limit {limit}.",
                REDOWNLOAD,
            )


def _holds_code(path: Path) -> bool:
    """Whether a bare pickle names classes or functions; looks at its first opcodes and runs none."""
    with path.open("rb") as file:
        data = io.BytesIO(file.read(_SCANNED_BYTES))
    try:
        return any(opcode.name in _CODE_OPCODES for opcode, _, _ in pickletools.genops(data))
    except (ValueError, IndexError, OverflowError):  # cut or no pickle at all: nothing was found before
        return False


def _unsafe(name: str, culprit: str) -> UnsafePickleError:
    what = f" ({culprit[:100]})" if culprit else ""
    return UnsafePickleError(
        f"{name} holds more than weights: opening it would run code{what}, which Weightscope never does.",
        "Where you trust it, load it in PyTorch and save model.state_dict() as safetensors.",
    )


def _damaged(error: Exception, name: str) -> SourceError:
    text = str(error)
    kind = next((kind for pattern, kind in _REASONS if pattern.search(text)), MalformedHeaderError)
    if isinstance(error, EOFError):
        kind = TruncatedFileError
    reason = re.sub(r"\x1b\[\d*m", "", text).strip().splitlines() or [type(error).__name__]
    return kind(f"{name} is no valid PyTorch file: {reason[0].partition('. ')[0][:200]}.", REDOWNLOAD)


def _holds_tensors(value: object) -> bool:
    import torch

    return isinstance(value, dict) and any(isinstance(leaf, torch.Tensor) for leaf in value.values())


def _is_container(value: object) -> bool:
    return isinstance(value, dict | list | tuple)


def _leaves(root: object, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor below `root` with its keys joined by dots, in order; all else is ignored."""
    import torch

    pending: list[tuple[str, object, int]] = [("", root, 0)]
    visited = 0
    while pending:
        path, value, depth = pending.pop()
        visited += 1
        if isinstance(value, torch.Tensor):
            yield path or "tensor", value
            continue
        items = list(value.items() if isinstance(value, dict) else enumerate(value)) if _is_container(value) else []
        if (items and depth == _MAX_DEPTH) or visited + len(pending) + len(items) > _MAX_VALUES:
            raise MalformedHeaderError(
                f"{name} is nested more than {_MAX_DEPTH} levels deep or holds more than {_MAX_VALUES} values.",
                REDOWNLOAD,
            )
        pending.extend((f"{path}.{key}" if path else str(key), inner, depth + 1) for key, inner in reversed(items))


def _check_storages(tensors: dict[str, torch.Tensor], file_size: int, name: str) -> None:
    """A tensor of the old format may have made its storage grow beyond what the file can hold."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors.values() if is_dense(t)}
    claimed = sum(storages.values())
    if claimed > file_size:
        raise TensorLayoutError(
            f"{name}: its tensors claim {claimed} bytes, but the file has only {file_size}.", REDOWNLOAD
        )
