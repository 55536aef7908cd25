"""PyTorch checkpoints (`torch.save`): opened with `weights_only=True`, so that no code in them ever runs."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.dtypes import ELEMENT_TYPES
from engine.errors import (
    MalformedHeaderError,
    SourceError,
    TensorLayoutError,
    TruncatedFileError,
    UnsafePickleError,
    UnsupportedFormatError,
)
from engine.sources.base import TensorInfo, WeightFile
from engine.sources.safetensors_header import REDOWNLOAD, check_name

if TYPE_CHECKING:
    import torch

MAX_LEGACY_BYTES = 8 << 30
"""Largest file of the format before PyTorch 1.6, which cannot be mapped and is read into memory whole."""

MAX_PICKLE_BYTES = 256 << 20
"""Largest pickle inside an archive: names and shapes only, so megabytes even for large models."""

MAX_EXPANDED_BYTES = 256 << 20
"""Largest tensor that repeats its storage (stride 0), since reading it writes every repetition out."""

STATE_KEYS = ("state_dict", "model_state_dict", "model", "module", "ema", "params")
"""Where training scripts put the weights beside optimizer state and epoch numbers, in order of preference."""

_MAX_DEPTH = 16
_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


class TorchFile(WeightFile):
    """One file of `torch.save`. Opening loads its pickle of names and shapes; the data stays on disk, mapped."""

    def __init__(self, path: Path, name: str) -> None:
        self._tensors = _state(_loaded(path, name), name)
        self._infos = tuple(_info(key, tensor, name) for key, tensor in self._tensors.items())
        self._path, self._name = path, name

    @staticmethod
    def recognises(head: bytes) -> bool:
        """Whether these first bytes are those of `torch.save`, now or before PyTorch 1.6."""
        is_archive = head.startswith(b"PK\x03\x04") and b"/data.pkl" in head
        return is_archive or head.startswith(_LEGACY_MAGIC)

    def infos(self) -> tuple[TensorInfo, ...]:
        return self._infos

    def read(self, info: TensorInfo) -> np.ndarray:
        return _array(self._tensors[info.name], info)

    def read_rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        return _array(self._tensors[info.name][start:stop], info)

    def close(self) -> None:
        """Nothing to release early: the storages close their map when the last tensor is gone."""


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
        raise _unsafe(str(error), name) from error
    except (EOFError, MemoryError) as error:
        raise TruncatedFileError(
            f"{name} ends in the middle of its data or claims impossible sizes.", REDOWNLOAD
        ) from error
    except Exception as error:
        if "TorchScript" in str(error):
            raise _unsafe(str(error), name) from error
        raise MalformedHeaderError(f"{name} is no valid PyTorch file ({_first_line(error)}).", REDOWNLOAD) from error


def _check_archive(path: Path, name: str) -> None:
    """Members must be stored as they are: a compressed one could unfold to any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise MalformedHeaderError(f"{name} is a damaged archive ({_first_line(error)}).", REDOWNLOAD) from error
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


def _unsafe(reason: str, name: str) -> SourceError:
    wanted = re.search(r"(?:GLOBAL|class|Unsupported global:) ([\w.]+)", reason)
    if wanted or "TorchScript" in reason or "Unsupported operand" not in reason:
        what = f" ({wanted[1]})" if wanted else ""
        return UnsafePickleError(
            f"{name} holds more than weights: opening it would run code{what}, which Weightscope never does.",
            "Where you trust it, load it in PyTorch and save model.state_dict() as safetensors.",
        )
    return MalformedHeaderError(f"{name} is no valid PyTorch file ({reason.splitlines()[0][:200]}).", REDOWNLOAD)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _state(loaded: object, name: str) -> dict[str, torch.Tensor]:
    """The named tensors of a loaded file: its state dict if it has one, else everything in it."""
    for _ in range(3):
        inner = next(
            (loaded[k] for k in STATE_KEYS if isinstance(loaded, dict) and _holds_tensors(loaded.get(k))), None
        )
        if inner is None:
            break
        loaded = inner
    tensors: dict[str, torch.Tensor] = {}
    _collect(loaded, "", tensors, name, 0)
    if not tensors:
        raise UnsupportedFormatError(f"{name} holds no tensors.", "Open the file that holds the model's weights.")
    return tensors


def _holds_tensors(value: object) -> bool:
    import torch

    return isinstance(value, dict) and any(isinstance(leaf, torch.Tensor) for leaf in value.values())


def _collect(value: object, prefix: str, tensors: dict[str, torch.Tensor], file: str, depth: int) -> None:
    """Puts every tensor below `value` into `tensors`, under its keys joined by dots; other leaves are ignored."""
    import torch

    if depth > _MAX_DEPTH:
        raise MalformedHeaderError(f"{file} is nested more than {_MAX_DEPTH} levels deep.", REDOWNLOAD)
    if isinstance(value, torch.Tensor):
        key = prefix or "tensor"
        check_name(key, file)
        if key in tensors:
            raise MalformedHeaderError(f"{file} holds two tensors named {key[:200]!r}.", REDOWNLOAD)
        tensors[key] = value.detach()
        return
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, inner in items:
        _collect(inner, f"{prefix}.{key}" if prefix else str(key), tensors, file, depth + 1)


def _info(key: str, tensor: torch.Tensor, file: str) -> TensorInfo:
    num_bytes = tensor.numel() * tensor.element_size()
    if _is_plain(tensor) and num_bytes > max(tensor.untyped_storage().nbytes(), MAX_EXPANDED_BYTES):
        raise TensorLayoutError(f"{file}: {key!r} of shape {tuple(tensor.shape)} is larger than its data.", REDOWNLOAD)
    return TensorInfo(key, tuple(tensor.shape), _type_name(tensor), num_bytes, file)


def _is_plain(tensor: torch.Tensor) -> bool:
    import torch

    return tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized


def _type_name(tensor: torch.Tensor) -> str:
    """The safetensors spelling of a torch type; torch's own name, in capitals, where safetensors has none."""
    name = str(tensor.dtype).removeprefix("torch.")
    return _TYPE_NAMES.get(name, name.upper())


_TYPE_NAMES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "uint64": "U64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "complex64": "C64",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
}


def _array(tensor: torch.Tensor, info: TensorInfo) -> np.ndarray:
    """A tensor as a read-only array over the same memory; a copy only where the tensor is not contiguous."""
    import torch

    kind = ELEMENT_TYPES.get(info.dtype)
    if not _is_plain(tensor) or kind is None:
        raise UnsupportedFormatError(
            f"{info.file}: {info.name!r} is a {info.dtype} tensor of a kind that numpy cannot hold.",
            "Convert it to an ordinary dense tensor in PyTorch and save it again.",
        )
    tensor = tensor.resolve_conj().resolve_neg().contiguous()
    if kind.dtype.isbuiltin == 1:
        array = tensor.numpy()
    else:
        carrier = torch.uint8 if kind.bits == 8 else torch.uint16
        array = tensor.view(carrier).numpy().view(kind.dtype)
    array = array.view()
    array.flags.writeable = False
    return array
