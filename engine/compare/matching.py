"""Which tensor of B is which tensor of A: by name, by place in the network, by content; a guess is never silent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np

from engine.compare.layers import LayerMap, align_layers
from engine.compare.names import Named, place_key, stripped, with_layer
from engine.compare.samples import correlation, sample
from engine.naming import Place
from engine.sources.base import Source, TensorInfo

SURE, UNSURE = 0.5, 0.3
"""Two tensors without a common name belong together by content if their samples correlate above SURE, and no other
candidate comes nearer than UNSURE to it; chosen by us: independent tensors stay below 0.15 (1,024 samples)."""

RESIZABLE = frozenset({"token_embedding", "lm_head", "position_embedding", "segment_embedding"})
"""Roles whose rows are entries of a list that can grow: the first rows of both are the same entries."""


@dataclass(frozen=True, slots=True)
class Match:
    """Two tensors that belong together.

    Attributes:
        name_a, name_b: their names. place: where A's sits. shape_a, shape_b, dtype_a, dtype_b: as stored.
        matched_by: "name"; "prefix" (equal names but for wrappers); "layer" (equal names but for the layer's number);
            "place" (layer and role); "content"; "tied" (an output head against the embedding that stands in for it).
        is_transposed: B stores (in, out) where A stores (out, in), or the other way round.
        rope_heads: heads whose rows one of both files keeps in another order (rotary pairs side by side, as GGUF has
            them); 0 if none. is_rope_in_a: whether that is A's file.
        num_added, num_removed: rows that only B has, or only A has, of a resized vocabulary; the common ones compare.
        note: what a reader should know, in a sentence; "" if nothing. is_sure: False if it is a guess.
    """

    name_a: str
    name_b: str
    place: Place
    shape_a: tuple[int, ...]
    shape_b: tuple[int, ...]
    dtype_a: str
    dtype_b: str
    matched_by: str
    is_transposed: bool = False
    rope_heads: int = 0
    is_rope_in_a: bool = False
    num_added: int = 0
    num_removed: int = 0
    note: str = ""
    is_sure: bool = True

    @property
    def is_comparable(self) -> bool:
        """Whether entries stand against entries: the shapes agree, but for what the other attributes say."""
        shape_b = self.shape_b[::-1] if self.is_transposed else self.shape_b
        is_resized = bool(self.num_added or self.num_removed)
        return is_resized or _squeezed(self.shape_a) == _squeezed(shape_b)

    @property
    def compared_shape(self) -> tuple[int, ...]:
        """A's shape, with only the common rows of a resized vocabulary."""
        return (self.shape_a[0] - self.num_removed, *self.shape_a[1:]) if self.num_removed else self.shape_a

    @property
    def num_compared(self) -> int:
        """Entries that are compared; 0 if the shapes do not agree."""
        return math.prod(self.compared_shape) if self.is_comparable else 0


@dataclass(frozen=True, slots=True)
class Matching:
    """All of two checkpoints.

    Attributes:
        matches: in A's file order. only_a, only_b: names without a partner, in file order.
        notes: what was ambiguous or surprising, in sentences; [] if all was plain.
        layers: A's layer -> B's layer by stack, where their numbers differ.
    """

    matches: tuple[Match, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    notes: tuple[str, ...] = ()
    layers: LayerMap = field(default_factory=LayerMap)

    def match(self, name_a: str) -> Match | None:
        """The match of A's tensor of that name; None if it has no partner."""
        return next((match for match in self.matches if match.name_a == name_a), None)


def match_tensors(source_a: Source, source_b: Source) -> Matching:
    """Pair the tensors of two checkpoints; reads headers, and samples of rows where names do not decide.

    In order: equal names; equal names without wrappers (`model.`, `bert.`, `module.`, …); the same layer and role; of
    what is left, the same shape and content. If the two have different numbers of layers, the layers are paired by
    content first. Names that fit several partners, and contents that fit none clearly, stay unmatched and are named in
    the notes.
    """
    a = [Named.of(info) for info in source_a.infos()]
    b = [Named.of(info) for info in source_b.infos()]
    layers, notes = align_layers(source_a, a, source_b, b)
    pairs = _Pairs(a, b, layers)
    pairs.by("name" if layers.is_identity else "layer", lambda one: (with_layer(one.info.name), one.place.layer))
    pairs.by("prefix", lambda one: (with_layer(stripped(one.info.name)), one.place.layer))
    stacks = [{one.place.stack for one in side if one.place.layer is not None} for side in (a, b)]
    has_stacks = max(map(len, stacks)) > 1
    pairs.by("place", lambda one: place_key(one, has_stacks), _could_be_same)
    _by_content(pairs, source_a, source_b)
    matches = [_match(pair, how, source_a, source_b) for pair, how in pairs.found]
    matches += _tied(pairs, source_a, source_b)
    order = {one.info.name: position for position, one in enumerate(a)}
    matches.sort(key=lambda match: (order[match.name_a], match.matched_by == "tied"))
    taken = {match.name_b for match in matches}
    only_b = tuple(one.info.name for one in b if one.info.name not in taken)
    return Matching(tuple(matches), tuple(one.info.name for one in pairs.a), only_b, (*notes, *pairs.notes), layers)


def rope_rows(num_rows: int, heads: int, is_rope_in_a: bool) -> np.ndarray:
    """B's row for each row of A, where one file keeps the rotary pairs of each head side by side and the other apart.

    Source: llama.cpp, `convert_hf_to_gguf.py`, `LlamaModel.permute`.
    """
    side_by_side = np.arange(num_rows).reshape(heads, 2, -1).swapaxes(1, 2).reshape(-1)
    return side_by_side if is_rope_in_a else np.argsort(side_by_side)


class _Pairs:
    """What is still unmatched on either side, and what was found."""

    def __init__(self, a: list[Named], b: list[Named], layers: LayerMap) -> None:
        self._a, self._b = ({one.info.name: one for one in side} for side in (a, b))
        self._layers = layers
        self.found: list[tuple[tuple[Named, Named], str]] = []
        self.notes: list[str] = []

    @property
    def a(self) -> list[Named]:
        return list(self._a.values())

    @property
    def b(self) -> list[Named]:
        return list(self._b.values())

    def by(
        self,
        how: str,
        key: Callable[[Named], Hashable],
        could_be: Callable[[TensorInfo, TensorInfo], bool] = lambda a, b: True,
    ) -> None:
        """Pair what has the same key, if only one on each side has it; A's layers are renumbered as B's."""
        left = [(key(self._layers.in_b(one)), one) for one in self.a if self._layers.is_mapped(one)]
        right = [(key(one), one) for one in self.b]
        counts = [Counter(k for k, _ in side) for side in (left, right)]
        partners = dict(right)
        for k, one in left:
            if counts[0][k] == counts[1][k] == 1 and could_be(one.info, partners[k].info):
                other = partners[k]
                self.take(one, other, "name" if one.info.name == other.info.name else how)

    def take(self, one: Named, other: Named, how: str) -> None:
        self.found.append(((one, other), how))
        del self._a[one.info.name], self._b[other.info.name]

    def drop_from(self, is_b: bool, one: Named) -> None:
        del (self._b if is_b else self._a)[one.info.name]


def _could_be_same(a: TensorInfo, b: TensorInfo) -> bool:
    """Whether two tensors of one role can hold the same thing: equal sizes, or a table with more rows."""
    return a.num_elements == b.num_elements or (len(a.shape) == len(b.shape) == 2 and a.shape[1] == b.shape[1])


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _by_content(pairs: _Pairs, source_a: Source, source_b: Source) -> None:
    """Pair what is left by shape and sampled entries, if each is the other's best and clearly so."""
    shapes = {one.info.shape for one in pairs.a} & {one.info.shape for one in pairs.b}
    for shape in sorted(shapes, key=str):
        left = [one for one in pairs.a if one.info.shape == shape]
        right = [one for one in pairs.b if one.info.shape == shape]
        samples = [[sample(source, one.info) for one in side] for source, side in ((source_a, left), (source_b, right))]
        table = np.array([[correlation(x, y) for y in samples[1]] for x in samples[0]])
        for i, one in enumerate(left):
            j = int(np.argmax(table[i]))
            rivals = max(_runner_up(table[i], j), _runner_up(table[:, j], i))
            if table[i, j] > SURE and rivals < table[i, j] - UNSURE:
                pairs.take(one, right[j], "content")
            elif np.isnan(samples[0][i]).all() or table[i, j] > SURE:
                pairs.notes.append(
                    f"{one.info.name} could be any of {_listed(each.info.name for each in right)}: its entries do not "
                    "tell which, so it was left unmatched."
                )


def _runner_up(values: np.ndarray, best: int) -> float:
    return max((float(v) for i, v in enumerate(values) if i != best), default=-1.0)


def _match(pair: tuple[Named, Named], how: str, source_a: Source, source_b: Source) -> Match:
    """The match of two tensors, with how their rows and columns fit together."""
    a, b = (one.info for one in pair)
    role = pair[0].place.role
    facts: dict = {}
    notes = [] if a.dtype == b.dtype else [f"Types differ: {a.dtype} against {b.dtype}; compared as values."]
    is_sure = True
    if a.shape != b.shape and len(a.shape) == len(b.shape) == 2 and a.shape == b.shape[::-1]:
        facts["is_transposed"] = True
        notes.append("Stored transposed in one of both.")
    elif a.shape == b.shape and _is_square_conv1d(a, b):
        facts["is_transposed"], is_sure = _transposition(source_a, a, source_b, b)
        if not is_sure:
            notes.append("Whether one of both is stored transposed cannot be told from its entries.")
        elif facts["is_transposed"]:
            notes.append("Stored transposed in one of both.")
    elif a.shape and a.shape[1:] == b.shape[1:] and len(a.shape) == len(b.shape) and role in RESIZABLE:
        facts["num_added"] = max(b.shape[0] - a.shape[0], 0)
        facts["num_removed"] = max(a.shape[0] - b.shape[0], 0)
        if a.shape != b.shape:
            notes.append(f"{b.shape[0] - a.shape[0]:+d} rows in B; the first {min(a.shape[0], b.shape[0])} compared.")
    elif _squeezed(a.shape) != _squeezed(b.shape):
        notes.append(f"Shapes differ: {list(a.shape)} against {list(b.shape)}; not compared.")
    if role in ("query", "key") and a.shape == b.shape and (source_a.format == "gguf") != (source_b.format == "gguf"):
        heads = _rope_heads(source_a, a, source_b, b, role)
        if heads:
            facts |= {"rope_heads": heads, "is_rope_in_a": source_a.format == "gguf"}
            notes.append(f"Rows of each of {heads} heads in the other file's rotary order.")
    return Match(
        a.name, b.name, pair[0].place, a.shape, b.shape, a.dtype, b.dtype, how, note=" ".join(notes), is_sure=is_sure,
        **facts,
    )  # fmt: skip


def _is_square_conv1d(a: TensorInfo, b: TensorInfo) -> bool:
    """GPT-2's `c_…` modules keep (in, out); of a square matrix only the entries tell."""
    is_conv1d = [any(word.startswith("c_") for word in name.split(".")) for name in (a.name, b.name)]
    return len(a.shape) == 2 and a.shape[0] == a.shape[1] > 1 and is_conv1d[0] != is_conv1d[1]


def _transposition(source_a: Source, a: TensorInfo, source_b: Source, b: TensorInfo) -> tuple[bool, bool]:
    """(whether B is A transposed, whether the entries say so clearly)."""
    side = min(a.shape[0], 256)
    x = np.asarray(source_a.read_rows(a.name, 0, side)[:, :side], np.float32)
    y = np.asarray(source_b.read_rows(b.name, 0, side)[:, :side], np.float32)
    same, turned = correlation(x.ravel(), y.ravel()), correlation(x.ravel(), y.T.ravel())
    return turned > same, abs(turned - same) > UNSURE


def _rope_heads(source_a: Source, a: TensorInfo, source_b: Source, b: TensorInfo, role: str) -> int:
    """The heads of a projection whose rows the other file orders by rotary pairs; 0 if the order is the same."""
    config = source_a.config or source_b.config
    heads = config.get("num_attention_heads") or 0
    if role == "key":
        heads = config.get("num_key_value_heads") or heads
    if not isinstance(heads, int) or heads < 1 or a.shape[0] % (2 * heads):
        return 0
    size = a.shape[0] // heads
    x = np.asarray(source_a.read_rows(a.name, 0, size), np.float32).reshape(size, -1)
    y = np.asarray(source_b.read_rows(b.name, 0, size), np.float32).reshape(size, -1)
    order = rope_rows(size, 1, source_a.format == "gguf")
    return heads if correlation(x.ravel(), y[order].ravel()) > correlation(x.ravel(), y.ravel()) else 0


def _tied(pairs: _Pairs, source_a: Source, source_b: Source) -> list[Match]:
    """An output head that only one of both has, against the embedding of the other, which it shares there."""
    matches = []
    for is_in_b, side, other in ((True, pairs.b, source_a), (False, pairs.a, source_b)):
        heads = [one for one in side if one.place.role == "lm_head" and len(one.info.shape) == 2]
        tables = [info for info in other.infos() if Named.of(info).place.role == "token_embedding"]
        if len(heads) != 1 or len(tables) != 1 or any(Named.of(i).place.role == "lm_head" for i in other.infos()):
            continue
        head, table = heads[0].info, tables[0]
        if head.shape[1:] != table.shape[1:]:
            continue
        a, b = (table, head) if is_in_b else (head, table)
        note = f"{'A' if is_in_b else 'B'} has no output head of its own: its embedding stands in for it."
        resized = {"num_added": max(b.shape[0] - a.shape[0], 0), "num_removed": max(a.shape[0] - b.shape[0], 0)}
        place = heads[0].place
        matches.append(Match(a.name, b.name, place, a.shape, b.shape, a.dtype, b.dtype, "tied", note=note, **resized))
        pairs.drop_from(is_in_b, heads[0])
    return matches


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} others" if len(names) > 4 else "")
