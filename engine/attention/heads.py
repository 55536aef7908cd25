"""An attention split into its heads: which rows or columns of which tensor belong to whom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.attention.blocks import PARTS, AttentionBlock
from engine.attention.counts import HeadCounts, head_counts
from engine.attention.layouts import FusedLayout, fused_layout, fused_start
from engine.errors import MeasureError
from engine.naming import family
from engine.sources.base import Source, TensorInfo

GUESSED_WIDTHS = (64, 128, 32, 80, 96, 48, 16, 8, 4, 2)
"""Widths of a head that are tried where nobody says it, the usual one first."""


@dataclass(frozen=True, slots=True)
class HeadSlice:
    """Where a part of one head lies.

    Attributes:
        info: the stored tensor. axis: 0 if the head is a run of its rows, 1 if of its columns.
        start, stop: that run.
        is_turned: whether the stored run has to be transposed to have the orientation of a linear layer (out, in).
    """

    info: TensorInfo
    axis: int
    start: int
    stop: int
    is_turned: bool

    @property
    def region(self) -> tuple[int, int, int, int]:
        """Row start and stop, column start and stop in the stored tensor, half open."""
        rows, columns = (self.info.shape[0], self.info.shape[1]) if len(self.info.shape) > 1 else (1, self.stop)
        return (self.start, self.stop, 0, columns) if self.axis == 0 else (0, rows, self.start, self.stop)


@dataclass(frozen=True)
class Heads:
    """An attention whose heads are known. Head h reads the keys and values of head `kv_head(h)`.

    Attributes:
        block: the attention. num_heads, num_kv_heads: of queries, and of keys and values.
        width: entries of a head's query and key. value_width: of its value.
        is_turned: whether its matrices are stored (in, out), as GPT-2's are.
        layout: of its fused matrix; None where the parts are separate.
        origin: who says how many heads there are: "config", "asked" or "guess".
    """

    block: AttentionBlock
    num_heads: int
    num_kv_heads: int
    width: int
    value_width: int
    is_turned: bool
    layout: FusedLayout | None
    origin: str

    @property
    def is_grouped(self) -> bool:
        """Whether several query heads share a key and value head."""
        return self.num_kv_heads < self.num_heads

    @property
    def head_width(self) -> str:
        """ "64", or "192, values 128" where they differ."""
        return str(self.width) if self.width == self.value_width else f"{self.width}, values {self.value_width}"

    def kv_head(self, head: int) -> int:
        """The key and value head that a query head reads."""
        return head // (self.num_heads // self.num_kv_heads)

    def slice(self, part: str, head: int) -> HeadSlice | None:
        """Where a part of a head's weights lies; None for an output that the checkpoint does not have.

        Args: part: one of `PARTS`. head: of the queries; its key and value are those it reads.
        Raises: MeasureError if there is no such head.
        """
        if not 0 <= head < self.num_heads:
            raise MeasureError(
                f"{self.block.title} has no head {head}; it has {self.num_heads}.", "Heads count from 0."
            )
        info = self.block.tensor(part)
        if info is None:
            return None
        start, width = self._run(part, head)
        is_output = part == "output"
        return HeadSlice(info, int(is_output != self.is_turned), start, start + width, self.is_turned)

    def bias_slice(self, part: str, head: int) -> HeadSlice | None:
        """The same of the bias of queries, keys or values; None where there is none."""
        if part == "output" or self.slice(part, head) is None:
            return None
        separate = self.block.biases.get(part)
        start, width = self._run(part, head)
        if separate is not None:
            start = (head if part == "query" else self.kv_head(head)) * width
            return HeadSlice(separate, 0, start, start + width, False)
        fused = self.block.biases.get("qkv") or (self.block.biases.get("key_value") if part != "query" else None)
        return None if fused is None else HeadSlice(fused, 0, start, start + width, False)

    def _run(self, part: str, head: int) -> tuple[int, int]:
        """First feature and number of features of a part in its tensor."""
        own = head if part in ("query", "output") else self.kv_head(head)
        width = self.width if part in ("query", "key") else self.value_width
        if part in self.block.weights:
            return own * width, width
        if "key_value" in self.block.weights and part != "query":
            return (own * width + (self.num_kv_heads * self.width if part == "value" else 0)), width
        start = fused_start(self.layout, part[0], own, self.num_heads, self.num_kv_heads, width)
        return start, width


def split_heads(source: Source, block: AttentionBlock, asked: HeadCounts | None = None) -> Heads:
    """The heads of an attention, from the config's numbers and the matrices' shapes; no weights are read.

    What the config says of the number of query heads is taken, and everything else follows from the shapes: the width
    of a head, and how many keys and values there are. Where the config does not say, the person's number is taken, else
    a guess; `origin` says so.

    Args: asked: the person's numbers; they count only where the config says nothing.
    Raises: MeasureError if the shapes do not allow it.
    """
    _check(block)
    counts = head_counts(source.config, block.stack, block.layer)
    if not counts.is_known:
        counts = asked or guessed_counts(block)
    is_turned = _is_turned(block)
    layout = None
    if "qkv" in block.weights:
        names = (info.name for info in source.infos())
        layout = fused_layout(family(names, source.config), block.weights["qkv"].name, source.config)
    return _counted(block, _widths(block, counts, is_turned), counts, is_turned, layout)


def guessed_counts(block: AttentionBlock) -> HeadCounts:
    """Heads of the first usual width that fits the matrices; for checkpoints of which nobody says it.

    Raises: MeasureError if they are no matrices.
    """
    _check(block)
    queries, keys, _ = _widths(block, HeadCounts(), _is_turned(block))
    width = next((width for width in GUESSED_WIDTHS if keys and queries % width == 0 == keys % width), queries)
    return HeadCounts(width=max(1, width), origin="guess")


def _check(block: AttentionBlock) -> None:
    """Raises: MeasureError if the weights are packed, or no matrices."""
    if block.is_packed:
        raise MeasureError(
            f"The weights of {block.title} are packed integers with their scales beside them.",
            "Open the original model, or a GGUF of it, which is decoded.",
        )
    for info in block.weights.values():
        if len(info.shape) != 2 or 0 in info.shape:
            shape = " × ".join(map(str, info.shape)) or "scalar"
            raise MeasureError(
                f"{info.name!r} cannot be split into heads: expected a matrix, got {shape}.",
                "It can be looked at as a tensor.",
            )


def _is_turned(block: AttentionBlock) -> bool:
    """Whether matrices are stored (in, out): a fused matrix three times as wide as high, or Flax's kernels."""
    fused = block.weights.get("qkv")
    if fused is not None:
        return fused.shape[1] == 3 * fused.shape[0]
    return all(info.name.endswith("kernel") for info in block.weights.values())


def _widths(block: AttentionBlock, counts: HeadCounts, is_turned: bool) -> tuple[int, int, int]:
    """Features of all queries, all keys and all values together."""

    def outputs(role: str) -> int:
        return block.weights[role].shape[1 if is_turned else 0]

    if "qkv" not in block.weights:
        if "key_value" in block.weights:
            return outputs("query"), outputs("key_value") // 2, outputs("key_value") // 2
        return outputs("query"), outputs("key"), outputs("value")
    total = outputs("qkv")
    output = block.weights.get("output")
    if output is not None:
        queries = output.shape[0 if is_turned else 1]
    elif counts.heads and counts.kv_heads:
        queries = total * counts.heads // (counts.heads + 2 * counts.kv_heads)
    else:
        queries = total // 3
    return queries, (total - queries) // 2, (total - queries) // 2


def _counted(
    block: AttentionBlock,
    widths: tuple[int, int, int],
    counts: HeadCounts,
    is_turned: bool,
    layout: FusedLayout | None,
) -> Heads:
    """Heads whose numbers agree with each other. Raises: MeasureError if they do not."""
    queries, keys, values = widths
    heads = counts.heads or max(1, queries // counts.width)
    width = queries // heads
    kv_heads = keys // width if width else 0
    is_whole = heads * width == queries and kv_heads and kv_heads * width == keys and values % kv_heads == 0
    is_as_said = counts.width in (None, width)
    if not (
        is_whole and is_as_said and heads % kv_heads == 0 and _fits(block, layout, widths, heads, kv_heads, is_turned)
    ):
        said = f"{counts.heads} heads" if counts.heads else "heads"
        said += f" of width {counts.width}" if counts.width else ""
        found = f"{queries} query, {keys} key and {values} value features"
        raise MeasureError(
            f"{block.title} cannot be split into {said}: it has {found}.",
            "Give another width of a head. If the config says so, its attention has a form that is not split here.",
        )
    return Heads(block, heads, kv_heads, width, values // kv_heads, is_turned, layout, counts.origin)


def _fits(
    block: AttentionBlock,
    layout: FusedLayout | None,
    widths: tuple[int, int, int],
    heads: int,
    kv_heads: int,
    is_turned: bool,
) -> bool:
    """Whether the output takes what the heads give, and the groups of a fused matrix come out even."""
    queries, keys, values = widths
    output = block.weights.get("output")
    taken = heads * (values // kv_heads)
    if output is not None and output.shape[0 if is_turned else 1] != taken:
        return False
    if layout is None:
        return True
    fused = block.weights["qkv"].shape[1 if is_turned else 0]
    groups = layout.groups or kv_heads
    return queries + keys + values == fused and heads % groups == 0 == kv_heads % groups


class HeadWeights:
    """The matrices of an attention, read once and handed out by head in one orientation.

    Args: source: the checkpoint. heads: of one of its attentions.
    """

    def __init__(self, source: Source, heads: Heads) -> None:
        self.heads = heads
        self._source = source
        self._read: dict[str, np.ndarray] = {}

    def matrix(self, part: str, head: int) -> np.ndarray | None:
        """A part of a head in the orientation of a linear layer, y = W·x.

        Returns: float64; query and key (width, model), value (value width, model), output (model, value width); None
            for an output that is not there.
        """
        where = self.heads.slice(part, head)
        if where is None:
            return None
        if where.info.name not in self._read:
            self._read[where.info.name] = self._source.read(where.info.name)
        return _cut(self._read[where.info.name], where)


def read_head(source: Source, heads: Heads, part: str, head: int) -> np.ndarray | None:
    """A part of one head, as `HeadWeights.matrix`; where it is a run of rows, only those are read."""
    where = heads.slice(part, head)
    if where is None:
        return None
    if where.axis == 1:
        return _cut(source.read(where.info.name), where)
    rows = source.read_rows(where.info.name, where.start, where.stop)
    return _cut(rows, replace(where, start=0, stop=where.stop - where.start))


def read_bias(source: Source, heads: Heads, part: str, head: int) -> np.ndarray | None:
    """The bias of a head's queries, keys or values: float64, (width,); None where there is none."""
    where = heads.bias_slice(part, head)
    return None if where is None else source.read_rows(where.info.name, where.start, where.stop).astype(np.float64)


def _cut(stored: np.ndarray, where: HeadSlice) -> np.ndarray:
    run = stored[where.start : where.stop] if where.axis == 0 else stored[:, where.start : where.stop]
    run = run.astype(np.float64)
    return run.T if where.is_turned else run


__all__ = ["PARTS", "HeadSlice", "HeadWeights", "Heads", "guessed_counts", "read_bias", "read_head", "split_heads"]
