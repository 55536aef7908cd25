"""Taking the signature of one matrix."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass

import numpy as np

from engine.discovery.signature.facts import Facts, HeadRun
from engine.discovery.signature.registry import FEATURES, VERSION
from engine.errors import MeasureError
from engine.folding import matrix_shape
from engine.sources.base import ByteCallback

NUM_PARTS = 4
"""Parts of a sample that its errors are estimated from."""

NUM_RUNS = 64
"""Runs of neighbouring lines in a sample, evenly spread: neighbours stay neighbours, and every part is seen."""


@dataclass(frozen=True, slots=True)
class SignatureSettings:
    """How signatures are taken.

    Attributes:
        max_elements: matrices of so many entries are looked at whole: 2²⁶, chosen by us: up to 8192 × 8192, for which
            one core takes a few minutes and half a GiB.
        sample_elements: of larger ones so many are looked at: runs of rows, or of columns if those are more. 2²⁵, ours.
    """

    max_elements: int = 1 << 26
    sample_elements: int = 1 << 25

    @property
    def hash(self) -> str:
        """16 hex digits that change when the settings or the version of the signature do."""
        facts = {"version": VERSION, "features": list(FEATURES), "settings": asdict(self)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Signature:
    """The features of one matrix.

    Attributes:
        values: (n,) float64, in the order of `FEATURES`, in their own units; NaN where undefined.
        errors: (n,) float64: of a sample, about its standard error, from four parts of it that have no entry in common:
            √(s²/4 + (mean of the four − value)²). The first term is chance; the second is what the size of the sample
            does to features that depend on size, as those of spectra do. 0 of a matrix that was looked at whole.
        share: of the entries that were looked at, 0 … 1.
    """

    values: np.ndarray
    errors: np.ndarray
    share: float

    @property
    def is_estimate(self) -> bool:
        return self.share < 1.0

    def __getitem__(self, name: str) -> float:
        return float(self.values[list(FEATURES).index(name)])

    def as_dict(self) -> dict[str, float]:
        """Feature name -> value."""
        return dict(zip(FEATURES, self.values.tolist(), strict=True))


def signature(
    matrix: np.ndarray,
    settings: SignatureSettings | None = None,
    *,
    heads: tuple[HeadRun, ...] = (),
    on_bytes: ByteCallback | None = None,
) -> Signature:
    """Take the signature of a matrix; it is never changed, and a memory-mapped one is read only where it is needed.

    Args:
        matrix: (rows, cols) of any real type; more dimensions are folded (`engine.folding`).
        heads: where its heads lie, if it has any (`reading.head_runs`). on_bytes: may raise Cancelled.
    Raises: MeasureError for fewer than 2 rows or columns, NaN, ±Inf or complex numbers.
    """
    settings = settings or SignatureSettings()
    matrix = matrix.reshape(matrix_shape(matrix.shape))
    if matrix.size <= settings.max_elements:
        values = _features(matrix, heads, on_bytes)
        return Signature(values, np.zeros(len(values)), 1.0)
    axis, runs = sample_runs(matrix.shape, min(settings.sample_elements, settings.max_elements))
    parts = [matrix[run] if axis == 0 else matrix[:, run] for run in runs]
    kept = () if any(head.axis == axis for head in heads) else heads
    values = _features(np.concatenate(parts, axis), kept, on_bytes)
    found = np.stack(
        [_features(np.concatenate(parts[first::NUM_PARTS], axis), kept, on_bytes) for first in range(NUM_PARTS)]
    )
    errors = np.sqrt(found.var(axis=0, ddof=1) / NUM_PARTS + np.square(found.mean(axis=0) - values))
    return Signature(values, errors, sum(part.size for part in parts) / matrix.size)


def sample_runs(shape: tuple[int, int], max_elements: int) -> tuple[int, list[slice]]:
    """(axis, runs of lines along it) of a sample: 64 evenly spread runs of the longer axis.

    Raises: MeasureError if not even two lines of the longer axis fit into each of its four parts.
    """
    axis = 0 if shape[0] >= shape[1] else 1
    length, other = shape[axis], shape[1 - axis]
    number = min(NUM_RUNS, max_elements // other // NUM_PARTS * NUM_PARTS)
    width = max_elements // other // number if number else 0
    if number < 2 * NUM_PARTS:
        raise MeasureError(f"A sample of {max_elements:,} entries is too small for a matrix of {length} × {other}.")
    starts = [math.floor((i + 0.5) * length / number - width / 2) for i in range(number)]
    return axis, [slice(start, start + width) for start in starts]


def _features(matrix: np.ndarray, heads: tuple[HeadRun, ...], on_bytes: ByteCallback | None) -> np.ndarray:
    facts = Facts(matrix, heads, on_bytes)
    with np.errstate(over="ignore"):
        return np.array([entry.value(facts) for entry in FEATURES.values()])
