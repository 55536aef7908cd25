"""What one spectrum is made of: plain numbers and small arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class TailFit:
    """A power law p(λ) ∝ λ^−α fitted to the largest eigenvalues; NaN and 0 where there is nothing to fit.

    Attributes:
        alpha: the exponent α. x_min: the smallest eigenvalue of the tail.
        distance: the Kolmogorov-Smirnov distance between the tail and the fitted law, 0 … 1.
        num_tail: eigenvalues in the tail. error: the standard error of α, (α − 1)/√num_tail.
    """

    alpha: float
    x_min: float
    distance: float
    num_tail: int
    error: float


@dataclass(frozen=True, slots=True)
class NoiseEdge:
    """Where the eigenvalues of pure noise of a given shape and scale end.

    Attributes:
        edge: the upper edge of the bulk for large matrices, in units of λ = σ².
        width: the scale of the Tracy-Widom law by which the largest eigenvalue of noise scatters about the edge.
    """

    edge: float
    width: float

    @property
    def threshold(self) -> float:
        """Beyond this λ noise goes in 1 of 100 matrices: edge + 2.0234 · width; what lies beyond is a spike.

        Source: the 99 % point of the Tracy-Widom law of order 1; Johnstone 2001, Annals of Statistics 29(2).
        """
        return self.edge + TRACY_WIDOM_99 * self.width


TRACY_WIDOM_99 = 2.0234


@dataclass(frozen=True, eq=False)
class SingularValues:
    """The singular values of a matrix and what was summed up on the way to them.

    Attributes:
        num_rows, num_columns: of the matrix (`engine.folding.matrix_shape`).
        values: (k,) float64, descending; all min(rows, columns) of them, or the largest of an estimate.
        errors: (k,) float64, how far each estimated value may be off, relative to it; () for exact ones.
        resolution: singular values below this are not told from zero; at least numpy's tolerance for the rank.
        row_squares, column_squares: (rows,), (columns,) float64, Σx² of each.
    """

    num_rows: int
    num_columns: int
    values: np.ndarray
    errors: np.ndarray
    resolution: float
    row_squares: np.ndarray
    column_squares: np.ndarray

    @property
    def is_estimate(self) -> bool:
        return len(self.errors) > 0

    @property
    def eigenvalues(self) -> np.ndarray:
        """λ = σ² of the smaller Gram matrix, descending."""
        return np.square(self.values)

    @property
    def energy(self) -> float:
        """Σx² = Σσ², exact for an estimate too."""
        return float(self.row_squares.sum())


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The singular values of one matrix with everything fitted to them; what every spectral measure reads.

    Attributes:
        singular: the singular values. tail: the power law of their squares.
        iid_edge: where noise of the same energy, equal in all entries, ends.
        scaled_edge: where noise with the same row and column norms ends.
    """

    singular: SingularValues
    tail: TailFit
    iid_edge: NoiseEdge
    scaled_edge: NoiseEdge


@dataclass(frozen=True, eq=False)
class SpectralReading:
    """Everything that measuring the spectrum of one tensor gives.

    Attributes:
        singular: None if the tensor has no singular values.
        values: measure name -> value (float; NaN where undefined), for every registered spectral measure.
        problem: why there is no spectrum; None if there is one.
    """

    singular: SingularValues | None
    values: dict[str, float]
    problem: str | None = None
