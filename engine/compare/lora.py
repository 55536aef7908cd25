"""A LoRA adapter merged onto its base while it is read: W + s · B · A."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.compare.names import stripped
from engine.compare.views import SourceView
from engine.errors import SourceError
from engine.sources.base import Source, TensorInfo
from engine.sources.json_file import read_json_object

CONFIG = "adapter_config.json"
_FACTOR = re.compile(r"^(?P<module>.+)\.lora_(?P<kind>embedding_)?(?P<side>[AB])(\.\w+)?(\.weight)?$")
_WHOLE = re.compile(r"\.modules_to_save(\.\w+)?(?=\.)")
_HINT = "Weightscope merges plain LoRA adapters as PEFT saves them; merge this one with PEFT, then compare the result."


@dataclass(frozen=True, slots=True)
class _Update:
    """One module's update: names of the factors in the adapter, and s."""

    a: str
    b: str
    scale: float
    is_transposed: bool


def is_adapter(source: Source) -> bool:
    """Whether a checkpoint is a LoRA adapter: it holds factors A and B instead of weights."""
    return any(_FACTOR.match(info.name) for info in source.infos())


def merge_adapter(base: Source, adapter: Source) -> Source:
    """The base with an adapter's update added, W + s · B · A, as a Source under the base's names.

    s is lora_alpha / r, or lora_alpha / √r with rank-stabilised LoRA, from the `adapter_config.json` beside the
    adapter, with its patterns for single modules. Updated tensors are float32, not rounded to the base's type; tensors
    that the adapter holds whole (biases, `modules_to_save`) replace the base's. Both sources stay open for it.

    Raises: SourceError if the adapter is of another kind (DoRA), has no configuration, or does not fit the base.
    Source: Hu et al. 2021, arXiv 2106.09685; Kalajdzievski 2023, arXiv 2312.03732; PEFT's `LoraLayer`.
    """
    return _MergedSource(base, adapter)


class _MergedSource(SourceView):
    def __init__(self, base: Source, adapter: Source) -> None:
        config = _config(adapter)
        names = {stripped(info.name).removesuffix(".weight"): info.name for info in base.infos()}
        whole_names = {stripped(info.name): info.name for info in base.infos()}
        self._updates: dict[str, _Update] = {}
        self._whole: dict[str, str] = {}
        for module, sides in _factors(adapter).items():
            name = names.get(stripped(f"{module}.weight").removesuffix(".weight"))
            if name is None:
                raise SourceError(f"{adapter.name} updates {module}, which {base.name} does not have.", _WRONG_BASE)
            self._updates[name] = _update(base.info(name), module, sides, adapter, config)
        for info in adapter.infos():
            if not _FACTOR.match(info.name):
                name = whole_names.get(stripped(_WHOLE.sub("", info.name)))
                if name is None or base.info(name).shape != info.shape:
                    raise SourceError(f"{adapter.name} holds {info.name}, which fits nothing in {base.name}.", _HINT)
                self._whole[name] = info.name
        infos = [_info(info, self._updates, self._whole, adapter) for info in base.infos()]
        super().__init__(f"{base.name} + {adapter.name}", (base, adapter), infos)

    def _rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        base, adapter = self._parts
        if info.name in self._whole:
            source, name = adapter, self._whole[info.name]
        else:
            source, name = base, info.name
        is_all = not info.shape or (start, stop) == (0, info.shape[0])
        rows = source.read(name) if is_all else source.read_rows(name, start, stop)
        update = self._updates.get(info.name)
        if update is None:
            return rows
        a, b = (np.asarray(adapter.read(each), np.float32) for each in (update.a, update.b))
        delta = (b @ a[:, start:stop]).T if update.is_transposed else b[start:stop] @ a
        return np.asarray(rows, np.float32) + np.float32(update.scale) * delta


_WRONG_BASE = "Is this the base that the adapter was trained on? Its adapter_config.json names it."


def _config(adapter: Source) -> dict:
    folder = adapter.files[0].parent if adapter.files else Path()
    if not adapter.files or not (folder / CONFIG).is_file():
        raise SourceError(f"{adapter.name} is a LoRA adapter without its {CONFIG}.", f"Put its {CONFIG} beside it.")
    config = read_json_object(folder / CONFIG)
    if config.get("use_dora"):
        raise SourceError(f"{adapter.name} is a DoRA adapter.", _HINT)
    return config


def _factors(adapter: Source) -> dict[str, dict[str, str]]:
    """Module -> {"A": name, "B": name, "kind": "" or "embedding_"}."""
    modules: dict[str, dict[str, str]] = {}
    for info in adapter.infos():
        found = _FACTOR.match(info.name)
        if "lora_magnitude" in info.name:
            raise SourceError(f"{adapter.name} is a DoRA adapter.", _HINT)
        if found:
            sides = modules.setdefault(found["module"], {"kind": found["kind"] or ""})
            sides[found["side"]] = info.name
    for module, sides in modules.items():
        if not {"A", "B"} <= sides.keys():
            raise SourceError(f"{adapter.name} holds only one factor of {module}.", "Fetch the adapter again.")
    return modules


def _update(info: TensorInfo, module: str, sides: dict[str, str], adapter: Source, config: dict) -> _Update:
    """The update of one tensor of the base. Raises SourceError if its shape does not fit."""
    a, b = adapter.info(sides["A"]).shape, adapter.info(sides["B"]).shape
    fits = len(a) == len(b) == 2 and b[1] == a[0] and len(info.shape) == 2
    outer = (b[0], a[1]) if fits else ()
    is_transposed = bool(sides["kind"]) or bool(config.get("fan_in_fan_out"))
    if not fits or info.shape != (outer[::-1] if is_transposed else outer):
        raise SourceError(
            f"{adapter.name}: the factors of {module} are {list(a)} and {list(b)}, the base's {info.name} is "
            f"{list(info.shape)}.",
            _WRONG_BASE if fits else _HINT,
        )
    rank = _of_module(config.get("rank_pattern"), module, config.get("r", a[0]))
    alpha = _of_module(config.get("alpha_pattern"), module, config.get("lora_alpha", rank))
    if not isinstance(alpha, int | float) or rank != a[0]:
        raise SourceError(f"{adapter.name}: {module} has rank {a[0]}, its {CONFIG} says {rank!r}.", _HINT)
    return _Update(
        sides["A"], sides["B"], alpha / (math.sqrt(rank) if config.get("use_rslora") else rank), is_transposed
    )


def _of_module(patterns: object, module: str, otherwise: object) -> object:
    """A setting of one module: of the first pattern that its name ends in, as PEFT reads them."""
    for pattern, value in (patterns if isinstance(patterns, dict) else {}).items():
        if module == pattern or module.endswith(f".{pattern}"):
            return value
    return otherwise


def _info(info: TensorInfo, updates: dict, whole: dict, adapter: Source) -> TensorInfo:
    if info.name in updates:
        return TensorInfo(info.name, info.shape, "F32", 4 * info.num_elements, info.file)
    if info.name in whole:
        other = adapter.info(whole[info.name])
        return TensorInfo(info.name, other.shape, other.dtype, other.num_bytes, other.file)
    return TensorInfo(info.name, info.shape, info.dtype, info.num_bytes, info.file, info.start, info.stop)
