"""The attention blocks of a checkpoint: which tensors are the queries, keys, values and outputs of which layer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.naming import Place, place
from engine.naming_rows import PART_WORDS
from engine.sources.base import TensorInfo

PARTS: tuple[str, ...] = ("query", "key", "value", "output")
"""What a head is made of, in reading order."""

SOURCES: dict[str, tuple[str, ...]] = {
    "query": ("query", "qkv"),
    "key": ("key", "key_value", "qkv"),
    "value": ("value", "key_value", "qkv"),
    "output": ("output",),
}
"""Part -> the roles of `engine.naming` that may hold it, the separate one first."""

_ROLES = frozenset({role for roles in SOURCES.values() for role in roles})
_STACKS = ("vision", "audio", "encoder", "text", "", "decoder")
"""Reading order; stages and unknown stacks come last, by name."""

_COMPRESSED = frozenset({"query_up", "key_value_up"})
_BESIDE = frozenset({"query_norm", "key_norm", "relative_position", "attention_sink"})
_PACKED = frozenset({"qweight", "weight_packed", "absmax", "quant_map"})
_NO_MATRIX = frozenset(PART_WORDS.split()) - {"weight", "kernel"}
_ATTENTION = re.compile(r"(?!c_attn$|q_attn$)(\w*attn\d*|\w*attention\w*)$", re.IGNORECASE)
"""A module that holds an attention; GPT-2 calls its fused matrix c_attn."""


@dataclass(frozen=True)
class AttentionBlock:
    """One attention of one layer.

    Attributes:
        stack, layer: as in `engine.naming.Place`. is_cross: whether keys and values come from another stack.
        path: the module's name as far as its tensors share it; unique in the checkpoint together with `is_cross`.
        weights, biases: role ("query", "key", "value", "qkv", "key_value", "output") -> tensor.
        companions: roles of other tensors beside them ("query_norm", "relative_position", …).
        is_packed: whether its weights are stored as packed integers with scales beside them.
    """

    stack: str
    layer: int | None
    is_cross: bool
    path: str
    weights: dict[str, TensorInfo] = field(hash=False)
    biases: dict[str, TensorInfo] = field(hash=False)
    companions: frozenset[str] = frozenset()
    is_packed: bool = False

    @property
    def title(self) -> str:
        """ "Layer 3", "Decoder layer 3, cross-attention"."""
        words = f"{self.stack} layer" if self.stack else "layer"
        words = f"{words} {self.layer}" if self.layer is not None else f"{self.stack or self.path} outside layers"
        return (words[:1].upper() + words[1:]).strip() + (", cross-attention" if self.is_cross else "")

    def tensor(self, part: str) -> TensorInfo | None:
        """The tensor that holds a part of its heads."""
        return next((self.weights[role] for role in SOURCES[part] if role in self.weights), None)

    @property
    def num_bytes(self) -> int:
        """Stored bytes of its weights."""
        return sum(info.num_bytes for info in self.weights.values())


def attention_blocks(infos: Iterable[TensorInfo]) -> tuple[AttentionBlock, ...]:
    """Every attention that has queries, keys and values, by name alone; nothing is read.

    Args: infos: all tensors of a checkpoint.
    Returns: sorted by stack, layer, self before cross; () for a model without attention, and for one with only
        compressed (multi-head latent) attention, see `has_compressed_attention`.
    """
    found: dict[tuple[str, bool], list[tuple[TensorInfo, Place]]] = {}
    for info in infos:
        where = place(info.name, info.shape)
        role = where.role.removeprefix("cross_")
        if role in _ROLES or role in _BESIDE:
            found.setdefault((_path(info.name), where.role.startswith("cross_")), []).append((info, where))
    blocks = (_block(path, is_cross, members) for (path, is_cross), members in found.items())
    return tuple(sorted((block for block in blocks if _is_whole(block)), key=_order))


def has_compressed_attention(infos: Iterable[TensorInfo]) -> bool:
    """Whether queries, keys and values pass through a narrow middle (multi-head latent attention).

    Source: DeepSeek-V2, arXiv 2405.04434.
    """
    return any(place(info.name, info.shape).role in _COMPRESSED for info in infos)


def _block(path: str, is_cross: bool, members: list[tuple[TensorInfo, Place]]) -> AttentionBlock:
    weights, biases = {}, {}
    for info, where in members:
        role = where.role.removeprefix("cross_")
        if role in _ROLES and where.part == "bias":
            biases[role] = info
        elif role in _ROLES and where.part not in _NO_MATRIX:
            weights[role] = info
    companions = frozenset(where.role for _, where in members if where.role.removeprefix("cross_") not in _ROLES)
    is_packed = any(where.part in _PACKED for _, where in members)
    where = members[0][1]
    return AttentionBlock(where.stack, where.layer, is_cross, path, weights, biases, companions, is_packed)


def _is_whole(block: AttentionBlock) -> bool:
    return block.is_packed or all(block.tensor(part) is not None for part in ("query", "key", "value"))


def _order(block: AttentionBlock) -> tuple:
    stack = _STACKS.index(block.stack) if block.stack in _STACKS else len(_STACKS)
    layer = (1, 0) if block.layer is None else (0, block.layer)
    return stack, block.stack, layer, block.is_cross, block.path


def _path(name: str) -> str:
    """The part of a tensor's name that all of its attention share: up to the module that is called after attention and
    lies inside the layer, else up to the layer's number.

    "h.3.attn.c_attn.weight" and "h.3.attn.c_proj.weight" give "h.3.attn"; "blk.3.attn_q.weight" gives "blk.3".
    """
    words = re.split(r"[./]", name)
    modules = [i for i in range(len(words) - 1) if _ATTENTION.match(words[i]) and not words[i + 1].isdecimal()]
    if modules:
        layer = max((i for i, word in enumerate(words[: modules[-1]]) if word.isdecimal()), default=-1)
        return ".".join(words[: next(i for i in modules if i > layer) + 1])
    layer = max((i for i, word in enumerate(words) if word.isdecimal()), default=-1)
    return ".".join(words[: layer + 1])
