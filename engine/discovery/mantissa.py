"""Mantissa forensics: which weights were never trained since they were stored in a shorter type.

A training step in float32 fills all 24 bits of a weight. Rows whose weights all fit a shorter type (float16, bfloat16)
were therefore written from it, and never updated afterwards: unused tokens, positions beyond the training length, parts
that were left out. Chance does not do this: one weight fits float16 with probability 2⁻¹³, a row of 384 never.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from engine.folding import matrix_shape
from engine.sources.base import ByteCallback, Source, TensorInfo

SHORTER: dict[str, tuple[tuple[str, object, int], ...]] = {
    "F64": (("F32", np.float32, 29),),
    "F32": (("BF16", ml_dtypes.bfloat16, 16), ("F16", np.float16, 13)),
    "F16": (("BF16", ml_dtypes.bfloat16, 3),),
}
"""Stored type -> shorter types it may have come from: name, numpy type, bits of the mantissa that it lacks."""

ENOUGH_BITS = 40
"""Missing mantissa bits of all different weights of a row together that make it certain: chance 2⁻⁴⁰, so that among a
million rows one in a million models has a false one. Chosen by us."""

STRIP_BYTES = 16 << 20

UPDATED, UNDECIDED = "updated", "undecided"


@dataclass(frozen=True, slots=True)
class Run:
    """Rows start … stop − 1 in one state."""

    start: int
    stop: int

    @property
    def num_rows(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class Forensics:
    """What the mantissas of one tensor tell.

    Attributes:
        tensor: its name. dtype: stored type. num_rows: as `matrix_shape` folds it; a vector is one row.
        states: (num_rows,) of each row: "updated" (uses the whole mantissa), the shorter type that all its weights
            fit ("F16", "BF16", "F32"), or "undecided" (too few different weights that are not zero to tell, such as a
            row of ones).
    """

    tensor: str
    dtype: str
    num_rows: int
    states: np.ndarray

    def rows(self, *states: str) -> np.ndarray:
        """Which rows are in one of these states, increasing."""
        return np.flatnonzero(np.isin(self.states, states))

    @property
    def never_updated(self) -> np.ndarray:
        """Rows that certainly were not updated since a shorter type, increasing."""
        return np.flatnonzero((self.states != UPDATED) & (self.states != UNDECIDED))

    @property
    def runs(self) -> tuple[Run, ...]:
        """The same rows as runs of neighbours."""
        return runs_of(self.never_updated)

    @property
    def is_whole(self) -> bool:
        """Whether no row of it was updated, and at least one certainly not."""
        return not (self.states == UPDATED).any() and len(self.never_updated) > 0


def forensics(source: Source, info: TensorInfo, on_bytes: ByteCallback | None = None) -> Forensics | None:
    """Read one tensor's mantissas, row by row, in bounded memory.

    Zeros fit every type and tell nothing; equal weights count once, as a constant fits without having been stored
    shorter. NaN and ±Inf count as updated.

    Args: on_bytes: told of bytes as they are read; may raise Cancelled.
    Returns: None for a type that has no shorter one here (BF16, integers, quantised), and for an empty tensor.
    """
    candidates = SHORTER.get(info.dtype)
    num_rows, num_columns = matrix_shape(info.shape)
    if candidates is None or not num_rows or not num_columns:
        return None
    states = np.full(num_rows, UPDATED, dtype="<U9")
    step = max(1, STRIP_BYTES * num_rows // max(1, info.num_bytes))
    for start in range(0, num_rows, step):
        stop = min(start + step, num_rows)
        block = source.read(info.name) if len(info.shape) < 2 else source.read_rows(info.name, start, stop)
        states[start:stop] = row_states(block.reshape(stop - start, num_columns), candidates)
        if on_bytes is not None:
            on_bytes(block.nbytes)
    return Forensics(info.name, info.dtype, num_rows, states)


def row_states(block: np.ndarray, candidates: Sequence[tuple[str, object, int]]) -> np.ndarray:
    """The state of each row of a matrix, as `Forensics.states` has it.

    Args: block: (rows, cols) in its stored type. candidates: of `SHORTER`, tried in order.
    """
    states = np.full(len(block), UPDATED, dtype="<U9")
    for name, shorter, missing_bits in candidates:
        for row in np.flatnonzero(states == UPDATED):
            if _fits(block[row, :64], shorter) and _fits(block[row], shorter):
                different = len(np.unique(np.abs(block[row][block[row] != 0])))
                is_certain = different >= 2 and different * missing_bits >= ENOUGH_BITS
                states[row] = name if is_certain else UNDECIDED
    return states


def runs_of(rows: np.ndarray) -> tuple[Run, ...]:
    """Increasing row numbers as runs of neighbours."""
    if not len(rows):
        return ()
    breaks = np.flatnonzero(np.diff(rows) > 1)
    starts, stops = np.r_[rows[0], rows[breaks + 1]], np.r_[rows[breaks], rows[-1]] + 1
    return tuple(Run(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True))


def training_length(positions: Forensics) -> int | None:
    """The longest text a model was trained on, read off its learnt position embeddings.

    It is where the last run of rows begins that were never updated, if that reaches the end.

    Returns: None where every position was updated, or none was.
    """
    runs = positions.runs
    if not runs or runs[-1].stop != positions.num_rows or runs[-1].start == 0:
        return None
    return runs[-1].start


def is_upcast(results: Sequence[Forensics]) -> bool:
    """Whether the whole checkpoint was stored in a shorter type and only widened: then nothing in it tells of training.

    False for no results, and where nothing is certain.
    """
    return (
        bool(results)
        and not any((result.states == UPDATED).any() for result in results)
        and any(len(result.never_updated) for result in results)
    )


def _fits(values: np.ndarray, shorter: object) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((values.astype(shorter).astype(values.dtype) == values).all())
