"""Permutation alignment: B's heads and feed-forward units put in the order of A's, the residual stream as it is.

Source: weight matching, Ainsworth et al. 2022 ("Git Re-Basin", arXiv 2209.04836), for blocks of a transformer whose
residual basis is fixed; then each block is a problem of its own and one pass is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.compare.matching import Matching
from engine.compare.units import Block, UnitReader, unit_blocks
from engine.compare.views import MatchedSource, SourceView
from engine.sources.base import ByteCallback, Source, TensorInfo


@dataclass(frozen=True, eq=False)
class BlockAlignment:
    """How one block's units of B fit A's.

    Attributes:
        block: which. order: (units,) int64: B's unit for each of A's; of heads, query heads.
        num_moved: units of A whose partner has another number.
        similarity, similarity_before: mean cosine of partners, and of units with equal numbers.
    """

    block: Block
    order: np.ndarray
    num_moved: int
    similarity: float
    similarity_before: float


@dataclass(frozen=True, eq=False)
class Alignment:
    """All blocks of two checkpoints.

    Attributes:
        blocks: one each. rows, columns: A's tensor name -> B's row (or column) for each of A's.
    """

    blocks: tuple[BlockAlignment, ...]
    rows: dict[str, np.ndarray]
    columns: dict[str, np.ndarray]

    @property
    def num_units(self) -> int:
        return sum(each.block.num_units for each in self.blocks)

    @property
    def num_moved(self) -> int:
        return sum(each.num_moved for each in self.blocks)


class AlignedSource(SourceView):
    """B in A's layout and with its units in the order of A's: a Source under A's names."""

    def __init__(self, source_b: Source, matching: Matching, alignment: Alignment) -> None:
        self._matched, self._alignment = MatchedSource(source_b, matching), alignment
        super().__init__(f"{source_b.name}, aligned", (source_b,), self._matched.infos())

    def _rows(self, info: TensorInfo, start: int, stop: int) -> np.ndarray:
        rows, columns = self._alignment.rows.get(info.name), self._alignment.columns.get(info.name)
        if rows is not None:
            found = self._matched.read(info.name)[rows[start:stop]]
        elif info.shape:
            found = self._matched.read_rows(info.name, start, stop)
        else:
            return self._matched.read(info.name)
        return found if columns is None else found[:, columns]


def align(source_a: Source, source_b: Source, matching: Matching, on_bytes: ByteCallback | None = None) -> Alignment:
    """Put B's units in the order that makes them most like A's.

    FFN units: the assignment with the largest sum of cosines of their incoming and outgoing weights. Heads: key and
    value heads with their query heads as whole groups, then query heads within each group, by the products QᵀK and OV
    that a head computes with; inside a head, the value channels (and without rotary positions the query-key channels)
    by their weights. The permuted model computes what B does.

    Args: on_bytes: called after each block with 0; may raise Cancelled.
    Returns: no blocks for what is no transformer, see `units.unit_blocks`.
    """
    reader = UnitReader(source_a, source_b, matching)
    is_rotary = not any(match.place.role == "position_embedding" for match in matching.matches)
    found, rows, columns = [], {}, {}
    for block in unit_blocks(source_a, matching):
        place = _align_heads(reader, block, is_rotary) if block.is_attention else _align_ffn(reader, block)
        found.append(place[0])
        for side in block.sides:
            (columns if side.is_by_column else rows)[side.name] = place[1][side.role]
        if on_bytes is not None:
            on_bytes(0)
    return Alignment(tuple(found), rows, columns)


def assignment(similarity: np.ndarray) -> np.ndarray:
    """(n,) the column for each row with the largest sum of entries."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(similarity, maximize=True)[1]


def unit_rows(array: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay."""
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.where(norms > 0, norms, 1)


def _align_ffn(reader: UnitReader, block: Block) -> tuple[BlockAlignment, dict[str, np.ndarray]]:
    weights = block.weights("ffn_in", "ffn_gate", "ffn_out")
    similarity = sum(
        unit_rows(reader.rows(side, 0, block.norms)) @ unit_rows(reader.rows(side, 1, block.norms)).T
        for side in weights
    ) / len(weights)  # fmt: skip
    order = _unless_equal(similarity)
    return _block(block, similarity, order), dict.fromkeys(("ffn_in", "ffn_gate", "ffn_out"), order)


def _align_heads(reader: UnitReader, block: Block, is_rotary: bool) -> tuple[BlockAlignment, dict[str, np.ndarray]]:
    a, b = ({side.role: _split(reader.rows(side, i, block.norms), side.role, block)
             for side in block.weights("query", "key", "value", "output")} for i in (0, 1))  # fmt: skip
    similarity = head_similarity(a, b, block)
    order, groups = _head_order(similarity, block)
    share = block.num_units // block.num_groups
    qk, vo = [], []
    for g, other in enumerate(groups):
        mine = range(g * share, (g + 1) * share)
        channels = sum(unit_rows(a["query"][h]) @ unit_rows(b["query"][order[h]]).T for h in mine)
        channels = channels + unit_rows(a["key"][g]) @ unit_rows(b["key"][other]).T
        qk.append(np.arange(len(channels)) if is_rotary else _unless_equal(channels))
        channels = sum(unit_rows(a["output"][h]) @ unit_rows(b["output"][order[h]]).T for h in mine)
        vo.append(_unless_equal(channels + unit_rows(a["value"][g]) @ unit_rows(b["value"][other]).T))
    by_role = {
        "query": np.concatenate([order[h] * len(qk[h // share]) + qk[h // share] for h in range(block.num_units)]),
        "key": np.concatenate([other * len(qk[g]) + qk[g] for g, other in enumerate(groups)]),
        "value": np.concatenate([other * len(vo[g]) + vo[g] for g, other in enumerate(groups)]),
        "output": np.concatenate([order[h] * len(vo[h // share]) + vo[h // share] for h in range(block.num_units)]),
    }
    return _block(block, similarity, order), by_role


def head_similarity(a: dict[str, np.ndarray], b: dict[str, np.ndarray], block: Block) -> np.ndarray:
    """(heads, heads) mean of the cosines of QᵀK and of OV, each as one matrix of a head."""
    return (product_similarity(a, b, "query", "key", block) + product_similarity(a, b, "value", "output", block)) / 2


def product_similarity(
    a: dict[str, np.ndarray], b: dict[str, np.ndarray], first: str, second: str, block: Block
) -> np.ndarray:
    """(heads, heads) cosine of XᵀY of each head of A with each of B, from the small products of their factors.

    ⟨X₁ᵀY₁, X₂ᵀY₂⟩ = Σ (X₁X₂ᵀ) ∘ (Y₁Y₂ᵀ): nothing larger than a head's channels squared is ever made.
    """
    share = block.num_units // block.num_groups
    per_head = [
        {
            role: np.repeat(each[role], share, axis=0) if role in ("key", "value") else each[role]
            for role in (first, second)
        }
        for each in (a, b)
    ]

    def inner(p: dict, q: dict, i: int, j: int) -> float:
        return float(((p[first][i] @ q[first][j].T) * (p[second][i] @ q[second][j].T)).sum())

    heads = range(block.num_units)
    norms = [np.sqrt([max(inner(each, each, h, h), 0) for h in heads]) for each in per_head]
    table = np.array([[inner(*per_head, i, j) for j in heads] for i in heads])
    return table / np.maximum(np.outer(*norms), 1e-30)


def _head_order(similarity: np.ndarray, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """(B's query head for each of A's, B's key-value head for each of A's): groups first, heads within them."""
    share, groups = block.num_units // block.num_groups, block.num_groups
    inside = [[np.arange(share)] * groups for _ in range(groups)]
    table = np.zeros((groups, groups))
    for i in range(groups):
        for j in range(groups):
            part = similarity[i * share : (i + 1) * share, j * share : (j + 1) * share]
            inside[i][j] = _unless_equal(part)
            table[i, j] = part[np.arange(share), inside[i][j]].sum()
    chosen = _unless_equal(table)
    return np.concatenate([chosen[g] * share + inside[g][chosen[g]] for g in range(groups)]), chosen


def _unless_equal(similarity: np.ndarray) -> np.ndarray:
    """The best assignment; everything in its place if that is as good, so that ties move nothing."""
    if (similarity.argmax(axis=1) == np.arange(len(similarity))).all():
        return np.arange(len(similarity))
    order = assignment(similarity)
    kept, best = np.trace(similarity), similarity[np.arange(len(order)), order].sum()
    return order if best > kept + 1e-5 * max(abs(kept), 1) else np.arange(len(similarity))


def _split(rows: np.ndarray, role: str, block: Block) -> np.ndarray:
    """(heads, channels, width) of rows that lie head after head."""
    heads = block.num_groups if role in ("key", "value") else block.num_units
    return rows.reshape(heads, -1, rows.shape[1])


def _block(block: Block, similarity: np.ndarray, order: np.ndarray) -> BlockAlignment:
    places = np.arange(len(order))
    return BlockAlignment(
        block,
        order,
        int((order != places).sum()),
        float(similarity[places, order].mean()),
        float(np.trace(similarity) / len(order)),
    )
