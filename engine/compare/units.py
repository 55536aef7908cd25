"""The hidden units of a transformer that can change places without changing what it computes: heads, FFN units.

Everything is read through A's names and in A's layout, so that unit i of A and unit i of B are named by the same rows
and columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.compare.matching import Match, Matching
from engine.compare.views import MatchedSource
from engine.sources.base import Source

FFN_IN, FFN_OUT = ("ffn_in", "ffn_gate"), ("ffn_out",)
NORM_BEFORE = {"ffn_in": "ffn_norm", "ffn_gate": "ffn_norm"} | dict.fromkeys(
    ("query", "key", "value"), "attention_norm"
)


@dataclass(frozen=True, slots=True)
class Side:
    """One tensor of a block: its name in A, and whether its units lie along its columns as stored."""

    name: str
    role: str
    part: str
    is_by_column: bool


@dataclass(frozen=True, slots=True)
class Block:
    """The tensors of one layer's feed-forward units, or of its attention heads.

    Attributes:
        stack, layer: where. num_units: FFN units, or query heads.
        num_groups: of heads, how many key and value heads there are (grouped-query attention); 0 of FFN units.
        sides: the tensors that are permuted together. norms: role -> the norm before it, where there is one.
    """

    stack: str
    layer: int
    num_units: int
    num_groups: int
    sides: tuple[Side, ...]
    norms: dict[str, str] = field(default_factory=dict)

    @property
    def is_attention(self) -> bool:
        return self.num_groups > 0

    def weights(self, *roles: str) -> list[Side]:
        return [side for side in self.sides if side.role in roles and side.part == "weight"]


def unit_blocks(source_a: Source, matching: Matching) -> list[Block]:
    """Every block whose tensors B has too, in the same shapes; [] for what is no transformer.

    Heads are counted by A's configuration; without one, or with query, key and value in one tensor, only the FFN units
    are found. Mixtures of experts and other layouts are passed over.
    """
    layers: dict[tuple[str, int], list[Match]] = {}
    for match in matching.matches:
        is_whole = match.is_comparable and not match.num_added and not match.num_removed and match.matched_by != "tied"
        if is_whole and match.place.layer is not None:
            layers.setdefault((match.place.stack, match.place.layer), []).append(match)
    config = source_a.config
    blocks = []
    for where, matches in sorted(layers.items()):
        norms = {m.place.role: m.name_a for m in matches if m.place.part == "weight" and len(m.shape_a) == 1}
        blocks += [block for block in (_ffn(where, matches, norms), _heads(where, matches, norms, config)) if block]
    return blocks


def _ffn(where: tuple[str, int], matches: list[Match], norms: dict[str, str]) -> Block | None:
    chosen = _sides(matches, {"ffn_in", "ffn_gate", "ffn_out"})
    weights = [(side, match) for side, match in chosen if side.part == "weight"]
    roles = [side.role for side, _ in weights]
    if sorted(roles) not in (["ffn_in", "ffn_out"], ["ffn_gate", "ffn_in", "ffn_out"]):
        return None
    sizes = {match.shape_a[1 if side.is_by_column else 0] for side, match in weights}
    if len(sizes) != 1:
        return None
    biases = [side for side, _ in chosen if side.part == "bias" and side.role in FFN_IN]
    return Block(*where, sizes.pop(), 0, (*(side for side, _ in weights), *biases), norms)


def _heads(where: tuple[str, int], matches: list[Match], norms: dict[str, str], config: dict) -> Block | None:
    chosen = _sides(matches, {"query", "key", "value", "output"})
    weights = {side.role: (side, match) for side, match in chosen if side.part == "weight"}
    heads = config.get("num_attention_heads") or config.get("n_head") or 0
    groups = config.get("num_key_value_heads") or heads
    if set(weights) != {"query", "key", "value", "output"} or not isinstance(heads, int) or not heads:
        return None
    sizes = {role: match.shape_a[1 if side.is_by_column else 0] for role, (side, match) in weights.items()}
    if heads % groups or any(sizes[role] % count for role, count in _head_counts(heads, groups).items()):
        return None
    biases = [side for side, _ in chosen if side.part == "bias" and side.role != "output"]
    return Block(*where, heads, groups, (*(side for side, _ in weights.values()), *biases), norms)


def _head_counts(heads: int, groups: int) -> dict[str, int]:
    return {"query": heads, "key": groups, "value": groups, "output": heads}


def _sides(matches: list[Match], roles: set[str]) -> list[tuple[Side, Match]]:
    found = []
    for match in matches:
        where = match.place
        if where.role in roles and (where.part == "bias" or len(match.shape_a) == 2):
            is_conv1d = any(word.startswith("c_") for word in match.name_a.split(".")) and where.part == "weight"
            is_by_column = where.part == "weight" and ((where.role in ("ffn_out", "output")) != is_conv1d)
            found.append((Side(match.name_a, where.role, where.part, is_by_column), match))
    return found


class UnitReader:
    """The tensors of blocks with one row per unit, of A and of B (in A's layout), in float32."""

    def __init__(self, source_a: Source, source_b: Source, matching: Matching) -> None:
        self._sources = source_a, MatchedSource(source_b, matching)

    def rows(self, side: Side, which: int, norms: dict[str, str] | None = None) -> np.ndarray:
        """(units, other dimension) of a weight; with the gain of the norm before it multiplied in where `norms` has it.

        The gain makes the rows those of the map from the normalised stream, whoever keeps the scale: norm or matrix.
        """
        source = self._sources[which]
        array = np.asarray(source.read(side.name)).astype(np.float32)
        array = array.T if side.is_by_column else array.reshape(len(array), -1)
        name = (norms or {}).get(NORM_BEFORE.get(side.role, ""))
        if name is not None and source.info(name).shape == array.shape[1:]:
            array = array * np.asarray(source.read(name)).astype(np.float32)
        return np.nan_to_num(array, copy=False, posinf=0, neginf=0)
