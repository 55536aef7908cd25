"""The test behind a lineage: do two independent matchings of hidden units agree?

Feed-forward units of A are matched to those of B twice: by what comes into them and by what goes out of them, two sets
of tensors that share no entry. Between unrelated models each matching is a permutation of its own, and both agree on
about one unit of a layer, however many it has. After a fine-tune, quantising, pruning or noise as large as the weights
they agree on nearly all. A permutation of the units, or scales moved between norms and matrices, change nothing.

Source: after Zhu et al. 2025, arXiv 2502.12292.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.compare.alignment import assignment, unit_rows
from engine.compare.matching import Matching
from engine.compare.units import FFN_IN, FFN_OUT, Block, UnitReader, unit_blocks
from engine.sources.base import ByteCallback, Source

MAX_BLOCKS, MAX_UNITS, MIN_UNITS = 8, 4096, 8
"""Layers looked at, evenly over the depth, and units matched of each: seconds for a small model, minutes for a large
one, and thousands of units are more than any p-value needs. Layers of fewer than MIN_UNITS say nothing. Ours."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the two matchings say.

    Attributes:
        num_units, num_agreeing: over all blocks looked at. num_blocks: how many those are.
        share: num_agreeing / num_units; NaN if there are no units.
        p_value: probability of at least so many between unrelated models; exact up to rounding; NaN without units.
        similarity: mean cosine of partners, by what comes in and by what goes out.
        null_share, null_similarity: the same of the first block against noise with the scales of B's rows and columns.
        num_moved: units on which both agree and whose partner has another number.
    """

    num_units: int
    num_agreeing: int
    num_blocks: int
    share: float
    p_value: float
    similarity: float
    null_share: float
    null_similarity: float
    num_moved: int

    @property
    def effect_size(self) -> float:
        """Mean cosine of partners beyond that of noise, about 0 … 1: matching finds some likeness in anything."""
        return self.similarity - self.null_similarity


NO_AGREEMENT = Agreement(0, 0, 0, math.nan, math.nan, math.nan, math.nan, math.nan, 0)


def unit_agreement(
    source_a: Source, source_b: Source, matching: Matching, on_bytes: ByteCallback | None = None
) -> Agreement:
    """Match the feed-forward units of two transformers twice, and count where both agree.

    Args: on_bytes: called after each block with 0; may raise Cancelled.
    Returns: NO_AGREEMENT where there are no such units.
    """
    blocks = [
        block
        for block in unit_blocks(source_a, matching)
        if not block.is_attention and block.num_units >= MIN_UNITS
    ]  # fmt: skip
    chosen = [blocks[i] for i in np.unique(np.linspace(0, len(blocks) - 1, min(len(blocks), MAX_BLOCKS)).astype(int))]
    if not chosen:
        return NO_AGREEMENT
    reader = UnitReader(source_a, source_b, matching)
    found, null = [], None
    for block in chosen:
        a, b = (_in_and_out(reader, block, which) for which in (0, 1))
        found.append(_matched_twice(a, b))
        if null is None:
            null = _matched_twice(a, tuple(_noise_like(each, seed) for seed, each in enumerate(b)))
        if on_bytes is not None:
            on_bytes(0)
    units, agreeing = sum(each.units for each in found), sum(each.agreeing for each in found)
    return Agreement(
        num_units=units,
        num_agreeing=agreeing,
        num_blocks=len(found),
        share=agreeing / units,
        p_value=p_value(agreeing, [(each.units, each.expected) for each in found]),
        similarity=sum(each.similarity * each.units for each in found) / units,
        null_share=null.agreeing / null.units,
        null_similarity=null.similarity,
        num_moved=sum(each.moved for each in found),
    )


def p_value(agreeing: int, blocks: list[tuple[int, float]]) -> float:
    """P(at least so many agreements) if in each block one matching is a random permutation of the other.

    The fixed points of a random permutation of n have P(k) = Σⱼ₌₀ⁿ⁻ᵏ (−1)ʲ/j! / k!; blocks are independent, so their
    distributions are convolved. Where the matchings were no permutations, a Poisson distribution stands in.

    Args: blocks: (units, agreements to be expected: 1, or that of the Poisson distribution).
    """
    from scipy.special import gammainc

    if agreeing > 60 + 4 * len(blocks):  # beyond what is worth convolving: as good as Poisson there, and tiny
        return float(gammainc(agreeing, sum(expected for _, expected in blocks)))
    whole = np.ones(1)
    for units, expected in blocks:
        whole = np.convolve(whole, fixed_points(units) if expected == 1 else _poisson(expected))
    return float(min(whole[agreeing:].sum(), 1.0)) if agreeing else 1.0


def fixed_points(units: int) -> np.ndarray:
    """(k,) probability of k fixed points of a random permutation of so many; k up to 60, the rest is below 1e-80."""
    most = min(units, 60)
    signs = np.cumsum([(-1) ** j / math.factorial(j) for j in range(most + 1)])
    return np.array([signs[min(units - k, most)] / math.factorial(k) for k in range(most + 1)])


def _poisson(expected: float) -> np.ndarray:
    """(200,) probability of 0, 1, 2, … events."""
    return np.exp([k * math.log(max(expected, 1e-300)) - expected - math.lgamma(k + 1) for k in range(200)])


@dataclass(frozen=True, slots=True)
class _Twice:
    units: int
    agreeing: int
    moved: int
    similarity: float
    expected: float


def _matched_twice(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> _Twice:
    """Args: a, b: what comes in and what goes out, (units, any) each, rows of length 1."""
    size = len(a[0])
    asked = np.unique(np.linspace(0, size - 1, min(size, MAX_UNITS)).astype(int))
    tables = [x[asked] @ y.T for x, y in zip(a, b, strict=True)]
    if size <= MAX_UNITS:
        found, expected = [assignment(table) for table in tables], 1.0
    else:  # too many to assign: the nearest of each, and a null that knows how often each unit is the nearest
        found = [table.argmax(axis=1) for table in tables]
        often = [np.bincount(each, minlength=size) for each in found]
        expected = float(often[0] @ often[1]) / len(asked)
    is_agreed = found[0] == found[1]
    places = np.arange(len(asked))
    similarity = np.mean([table[places, each].mean() for table, each in zip(tables, found, strict=True)])
    moved = int((is_agreed & (found[0] != asked)).sum())
    return _Twice(len(asked), int(is_agreed.sum()), moved, float(similarity), expected)


def _in_and_out(reader: UnitReader, block: Block, which: int) -> tuple[np.ndarray, np.ndarray]:
    coming = [unit_rows(reader.rows(side, which, block.norms)) for side in block.weights(*FFN_IN)]
    going = [unit_rows(reader.rows(side, which)) for side in block.weights(*FFN_OUT)]
    return unit_rows(np.concatenate(coming, axis=1)), unit_rows(np.concatenate(going, axis=1))


def _noise_like(rows: np.ndarray, seed: int) -> np.ndarray:
    """Gaussian noise with the scales of these rows and columns."""
    noise = np.random.default_rng(seed).standard_normal(rows.shape, dtype=np.float32)
    return unit_rows(noise * np.linalg.norm(rows, axis=0))
