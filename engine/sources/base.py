"""What every source of weights promises, whatever the format."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ByteCallback = Callable[[int], None]
"""Called with the number of bytes done since the last call; may raise `Cancelled` to stop the work."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a header says of one tensor, without reading its data.

    Attributes:
        name: the tensor's full name in the checkpoint.
        shape: its dimensions; () for a scalar; any of them may be 0.
        dtype: element type in the spelling of safetensors ("F32", "BF16", "F8_E4M3", "BOOL", …); for what it lacks, in
            the format's own ("Q4_0" of GGUF, "I4" of ONNX).
        num_bytes: bytes of the stored data.
        file: the file that holds it, relative to the source's folder.
        start, stop: byte range in that file; None where the format has no flat range.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    num_bytes: int
    file: str
    start: int | None = None
    stop: int | None = None

    @property
    def num_elements(self) -> int:
        return math.prod(self.shape)


class WeightFile(ABC):
    """One file of a checkpoint in one format; all that a new format has to give (see `engine.sources.formats`).

    Its constructor takes (path, name): where it is, and how it is called in messages and in `TensorInfo.file`; it reads
    the header and raises a SourceError if the file breaks its format. All methods may be called from several threads.
    """

    @abstractmethod
    def infos(self) -> tuple[TensorInfo, ...]:
        """Its tensors in file order."""

    @property
    def metadata(self) -> dict[str, str]:
        """The file's own metadata; {} where the format has none."""
        return {}

    @property
    def config(self) -> dict:
        """What the file itself says of the model's architecture, named as in a `config.json`; {} where nothing."""
        return {}

    @property
    def companions(self) -> tuple[str, ...]:
        """Other files in its folder that hold some of its data; their names occur as `TensorInfo.file`."""
        return ()

    @abstractmethod
    def read(self, info: TensorInfo) -> np.ndarray:
        """The whole tensor: read-only, C-contiguous, of shape `info.shape`."""

    @abstractmethod
    def read_rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1, a range that the caller has checked, of a tensor with at least one dimension."""

    @abstractmethod
    def close(self) -> None:
        """Let go of maps and descriptors; arrays handed out stay valid."""


class Source(ABC):
    """A checkpoint opened for reading: headers now, data only when asked for.

    Attributes:
        uri: where it is: an absolute local path, or `hf://owner/name[@revision]`.
        name: a short human name (the folder's, file's or model's).
        format: "safetensors", "pytorch", "gguf", …
        files: the weight files, absolute; () of a model that is read over the network.
        is_remote: whether every read goes over the network.
        on_fetch: of a remote source, told of bytes as they arrive; may raise `Cancelled` to end the read.
    """

    uri: str
    name: str
    format: str
    files: tuple[Path, ...]
    is_remote: bool = False
    on_fetch: ByteCallback | None = None

    @abstractmethod
    def infos(self) -> tuple[TensorInfo, ...]:
        """Every tensor in file order, from headers only."""

    @abstractmethod
    def read(self, name: str) -> np.ndarray:
        """The whole tensor in its stored type: read-only, memory-mapped where the format allows.

        Types numpy lacks come as their `ml_dtypes` type; packed 2-, 4- and 6-bit types come unpacked, one element
        each; block-quantised types come decoded, as float32.
        """

    @abstractmethod
    def read_rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1 of the tensor's first dimension: shape (stop − start, *shape[1:])."""

    @abstractmethod
    def content_hash(self, on_bytes: ByteCallback | None = None) -> str:
        """SHA-256 (hex) that is equal for equal weight files, wherever they lie; reads every byte once, then cached."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Cheap identity from path, size and time of every weight file; changes when a file is replaced."""

    @property
    @abstractmethod
    def metadata(self) -> dict[str, str]:
        """The header's own metadata (`__metadata__`, GGUF's keys, …), merged over shards."""

    @property
    @abstractmethod
    def config(self) -> dict:
        """What the weight files themselves say of the architecture, else the `config.json` beside them, else {}."""

    @abstractmethod
    def close(self) -> None:
        """Release the maps; arrays handed out stay valid."""

    @abstractmethod
    def info(self, name: str) -> TensorInfo:
        """The `TensorInfo` of one tensor. Raises TensorNotFoundError, with the nearest names as a hint."""

    @property
    def num_bytes(self) -> int:
        return sum(info.num_bytes for info in self.infos())

    @property
    def num_parameters(self) -> int:
        return sum(info.num_elements for info in self.infos())

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_exc) -> None:
        self.close()
