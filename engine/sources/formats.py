"""The registry of file formats: one file and one line here for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.sources.base import WeightFile
from engine.sources.gguf_file import GgufFile
from engine.sources.npz_file import NpyFile, NpzFile
from engine.sources.onnx_file import OnnxFile
from engine.sources.safetensors_file import SafetensorsFile
from engine.sources.torch_file import TorchFile


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    Attributes:
        name: as in `Source.format`.
        suffixes: of its files, lower case.
        whole: names of a file that is a whole checkpoint by itself, whatever lies beside it.
        open_file: (path, name) -> the opened file.
        recognises: whether a file that begins with these bytes (64 of them or all) is certainly of this format.
        others: files with such a suffix that hold no weights.
        is_self_contained: whether each file, or each set of shards, is a model by itself: several of them in one
            folder are several models, and to open one shard is to open all.
        is_scanned: whether to look for such files when a folder is scanned.
    """

    name: str
    suffixes: tuple[str, ...]
    whole: tuple[str, ...]
    open_file: Callable[[Path, str], WeightFile]
    recognises: Callable[[bytes], bool]
    others: frozenset[str] = frozenset()
    is_self_contained: bool = False
    is_scanned: bool = True


FORMATS: tuple[Format, ...] = (
    Format("safetensors", (".safetensors",), ("model.safetensors",), SafetensorsFile, SafetensorsFile.recognises),
    Format(
        "pytorch",
        (".bin", ".pt", ".pth", ".th", ".ckpt"),
        ("pytorch_model.bin",),
        TorchFile,
        TorchFile.recognises,
        others=frozenset({"training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt"}),
    ),
    Format("gguf", (".gguf",), (), GgufFile, GgufFile.recognises, is_self_contained=True),
    Format("onnx", (".onnx",), ("model.onnx",), OnnxFile, OnnxFile.recognises, is_self_contained=True),
    Format("npz", (".npz",), (), NpzFile, NpzFile.recognises, is_self_contained=True),
    Format("npy", (".npy",), (), NpyFile, NpyFile.recognises, is_scanned=False),
)
"""In order of preference: a folder with several is read in the first."""
