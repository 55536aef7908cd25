"""What the ideas look at: stored readings, one pass over the bits, and what others have found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.folding import matrix_shape
from engine.health.findings import Finding
from engine.naming import Place
from engine.sources.base import TensorInfo


@dataclass(frozen=True, eq=False)
class BitFacts:
    """What a pass over a floating-point tensor tells (see `bits.bit_facts`).

    Attributes:
        exponents: how often each pattern of the exponent's bits occurs; they sum to the tensor's elements.
        num_outliers: finite weights farther than OUTLIER_SIGMAS standard deviations from the mean.
        largest, largest_inside: the largest magnitude of all finite weights, and of those that are no outliers.
    """

    exponents: np.ndarray
    num_outliers: int
    largest: float
    largest_inside: float


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values, descending; all of them, or only the largest. total: Σσ² of all."""

    singular_values: np.ndarray
    total: float


@dataclass(frozen=True, eq=False)
class TensorFacts:
    """One tensor.

    Attributes:
        info, place: what the header says, and where it sits. values: stored measure -> value; NaN where undefined.
        row_l2, row_abs_max: of every row; None below two dimensions, and where they were not measured.
        bits, spectrum: None where they were not taken.
        shorter, num_never: of rows that were never updated, the type they fit, and how many; "" and 0 for none.
    """

    info: TensorInfo
    place: Place
    values: Mapping[str, float] = field(default_factory=dict)
    row_l2: np.ndarray | None = None
    row_abs_max: np.ndarray | None = None
    bits: BitFacts | None = None
    spectrum: Spectrum | None = None
    shorter: str = ""
    num_never: int = 0

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def num_rows(self) -> int:
        return matrix_shape(self.info.shape)[0]

    @property
    def num_columns(self) -> int:
        return matrix_shape(self.info.shape)[1]

    @property
    def is_matrix(self) -> bool:
        return len(self.info.shape) >= 2 and min(matrix_shape(self.info.shape)) >= 2

    @property
    def is_finite(self) -> bool:
        return not any(self.value(name) > 0 for name in ("nan", "posinf", "neginf"))

    @property
    def bits_per_weight(self) -> float:
        """As it is stored, blocks' own scales included."""
        return 8 * self.info.num_bytes / self.info.num_elements if self.info.num_elements else math.nan

    def value(self, measure: str) -> float:
        return self.values.get(measure, math.nan)


@dataclass(frozen=True, slots=True)
class Relative:
    """A model of common origin.

    Attributes:
        name, content_hash: which. correlation: of the weights; NaN where unknown.
        gain_bits: saved for each weight if this model is written given the relative. is_measured: really coded.
        num_weights: of the tensors compared.
    """

    name: str
    content_hash: str
    correlation: float
    gain_bits: float
    is_measured: bool
    num_weights: int


@dataclass(frozen=True, eq=False)
class ModelFacts:
    """A whole checkpoint.

    Attributes:
        tensors: in file order. findings: of the health rules; None if nobody examined it.
        is_upcast: of the forensics; None if nobody looked. training_length: None where unknown.
        relatives: models of common origin; None if it was never compared with any.
    """

    tensors: tuple[TensorFacts, ...]
    findings: Sequence[Finding] | None = None
    is_upcast: bool | None = None
    training_length: int | None = None
    relatives: Sequence[Relative] | None = None

    def tensor(self, name: str) -> TensorFacts | None:
        return next((tensor for tensor in self.tensors if tensor.name == name), None)
