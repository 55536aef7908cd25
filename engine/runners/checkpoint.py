"""What lies at a location, as far as running it goes; found without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engine.errors import RunnerError, SourceNotFoundError
from engine.sources.base import Source
from engine.sources.hub_cache import is_hub_name, snapshot_folder
from engine.sources.json_file import read_json_object

TRANSFORMERS, GGUF, ONNX = "transformers", "gguf", "onnx"

_TOKENIZER_FILES = frozenset(
    {
        "tokenizer.json",
        "tokenizer.model",
        "spiece.model",
        "sentencepiece.bpe.model",
        "source.spm",
        "vocab.txt",
        "vocab.json",
        "tekken.json",
    }
)
_WEIGHT_SUFFIXES = (".safetensors", ".bin")
_HUB_SCHEME = "hf://"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this machine.

    Attributes:
        location: as it was asked for. folder: where its files are.
        kind: "transformers" (a folder with config.json and weights), "gguf" or "onnx".
        file: the GGUF or ONNX file; None for a folder.
        config: what config.json says; {} without one.
        files: names in the folder.
    """

    location: str
    folder: Path
    kind: str
    file: Path | None
    config: dict
    files: frozenset[str]

    @property
    def has_tokenizer(self) -> bool:
        return bool(self.files & _TOKENIZER_FILES)

    @property
    def weight_files(self) -> tuple[Path, ...]:
        """What will be loaded, for its size."""
        if self.file is not None:
            return (self.file,)
        for suffix in _WEIGHT_SUFFIXES:
            found = sorted(name for name in self.files if _is_weight_file(name, suffix))
            standard = [name for name in found if name.startswith(("model", "pytorch_model"))]
            if found:  # some authors put the same weights beside the standard ones under another name
                return tuple(self.folder / name for name in standard or found)
        return ()

    @cached_property
    def num_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.weight_files)

    def json(self, name: str) -> dict:
        """Another JSON file of the folder; {} if there is none."""
        path = self.folder / name
        return read_json_object(path) if path.is_file() else {}


def checkpoint_at(place: str | Path | Source, config: dict | None = None) -> Checkpoint:
    """What lies at a place.

    Args:
        place: a folder, a file in it, the name of a model in the hub cache (`owner/name`, `hf://owner/name@revision`),
            or an opened source.
        config: used instead of config.json.
    Raises: RunnerError if there is nothing to run.
    """
    location = place.uri if isinstance(place, Source) else str(place)
    path = _local_path(location)
    folder = path if path.is_dir() else path.parent
    if folder.name == "onnx" and (folder.parent / "config.json").is_file():
        folder = folder.parent  # exporters put the graph in a folder of its own, below config and tokenizer
    try:
        files = frozenset(entry.name for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise RunnerError(
            f"{folder} cannot be read: {error.strerror or error}.", "Check that you may read it."
        ) from error
    kind, file = _kind_of(path, folder, files)
    if config is None:
        config = read_json_object(folder / "config.json") if "config.json" in files else {}
    return Checkpoint(location, folder, kind, file, config, files)


def _local_path(location: str) -> Path:
    name = location.removeprefix(_HUB_SCHEME)
    path = Path(name).expanduser()
    if name == location and path.exists():
        return path.absolute()
    if is_hub_name(name):
        try:
            return snapshot_folder(name)
        except SourceNotFoundError as error:
            raise RunnerError(f"{name} is not on this machine.", "Download it first; then it can run.") from error
    raise RunnerError(f"There is no file or folder {path}.", "Check the spelling, or whether it was moved.")


def _kind_of(path: Path, folder: Path, files: frozenset[str]) -> tuple[str, Path | None]:
    """By the file that was named, else by what the folder holds: weights, then GGUF, then ONNX."""
    if path.suffix.lower() in (".gguf", ".onnx") and path.is_file():
        return path.suffix.lower()[1:], path
    if "config.json" in files and any(name.endswith(_WEIGHT_SUFFIXES) for name in files):
        return TRANSFORMERS, None
    onnx = sorted(name for name in files if name.lower().endswith(".onnx"))
    if len(onnx) == 1 and "config.json" not in files:
        return ONNX, folder / onnx[0]
    ggufs = sorted(name for name in files if name.lower().endswith(".gguf"))
    if len(ggufs) > 1:
        raise RunnerError(f"{folder} holds {len(ggufs)} GGUF files.", f"Open one of them: {', '.join(ggufs[:8])}.")
    if ggufs:
        return GGUF, folder / ggufs[0]
    for name in ("model.onnx", "onnx/model.onnx", "decoder_model_merged.onnx", "onnx/decoder_model_merged.onnx"):
        if (folder / name).is_file():
            return ONNX, folder / name
    return TRANSFORMERS, None


def _is_weight_file(name: str, suffix: str) -> bool:
    others = ("training_args", "optimizer", "scheduler", "adapter_model", "scaler")
    return name.endswith(suffix) and not name.startswith(others)
