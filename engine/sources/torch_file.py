"""PyTorch checkpoints (`torch.save`): opened with `weights_only=True`, so that no code in them ever runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.dtypes import ELEMENT_TYPES
from engine.errors import TensorLayoutError, UnsupportedFormatError
from engine.sources.base import TensorInfo, WeightFile
from engine.sources.safetensors_header import REDOWNLOAD
from engine.sources.torch_load import is_dense, load_tensors

if TYPE_CHECKING:
    import torch

MAX_EXPANDED_BYTES = 256 << 20
"""Largest tensor that repeats its storage (stride 0), since reading it writes every repetition out."""

_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

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
"""torch's name -> safetensors' name."""


class TorchFile(WeightFile):
    """One file of `torch.save`. Opening loads its pickle of names and shapes; the data stays on disk, mapped."""

    def __init__(self, path: Path, name: str) -> None:
        self._tensors = load_tensors(path, name)
        self._infos = tuple(_info(key, tensor, name) for key, tensor in self._tensors.items())

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
        tensor = self._tensors[info.name]
        return _array(tensor[start:stop] if is_dense(tensor) else tensor, info)

    def close(self) -> None:
        """Nothing to release early: the storages close their map when the last tensor over them is gone."""


def _info(key: str, tensor: torch.Tensor, file: str) -> TensorInfo:
    num_bytes = tensor.numel() * tensor.element_size()
    if is_dense(tensor) and num_bytes > max(tensor.untyped_storage().nbytes(), MAX_EXPANDED_BYTES):
        raise TensorLayoutError(f"{file}: {key!r} of shape {tuple(tensor.shape)} is larger than its data.", REDOWNLOAD)
    torch_name = str(tensor.dtype).removeprefix("torch.")
    return TensorInfo(key, tuple(tensor.shape), _TYPE_NAMES.get(torch_name, torch_name.upper()), num_bytes, file)


def _array(tensor: torch.Tensor, info: TensorInfo) -> np.ndarray:
    """A tensor as a read-only array over the same memory; a copy only where the tensor is not contiguous."""
    import torch

    kind = ELEMENT_TYPES.get(info.dtype)
    if not is_dense(tensor) or kind is None:
        raise UnsupportedFormatError(
            f"{info.file}: {info.name!r} is a {info.dtype} tensor of a kind that Weightscope cannot measure.",
            "Convert it to an ordinary dense tensor in PyTorch and save it again.",
        )
    tensor = tensor.resolve_conj().resolve_neg().contiguous()
    if kind.dtype.isbuiltin == 1:
        array = tensor.numpy()
    else:  # numpy learns such types from ml_dtypes only, so the bits travel as whole numbers
        array = tensor.view(torch.uint8 if kind.bits == 8 else torch.uint16).numpy().view(kind.dtype)
    array.flags.writeable = False
    return array
