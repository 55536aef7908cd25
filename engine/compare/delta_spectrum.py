"""In how many directions a matrix changed: the spectrum of Δ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engine.folding import matrix_shape
from engine.sources.base import Source, TensorInfo

LARGEST_SIDE = 2048
"""Smaller side of a matrix up to which its whole spectrum is taken: a second or two; chosen by us."""

ROWS_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class DeltaSpectrum:
    """How the change of one matrix is spread over directions.

    Attributes:
        effective_rank: exp of the entropy of σᵢ / Σσ, 1 … min(rows, columns); NaN if Δ is zero or not finite.
        rank_90, rank_99: the fewest directions that hold 90 % and 99 % of ‖Δ‖²; 0 if Δ is zero.
        full_rank: min(rows, columns).
    """

    effective_rank: float
    rank_90: int
    rank_99: int
    full_rank: int

    @property
    def is_low_rank(self) -> bool:
        """Whether a twentieth of the directions hold nearly all of the change, as after LoRA; a free fine-tune needs
        a third and more (measured on MiniLM with noise and on our small decoders)."""
        return self.full_rank >= 16 and 0 < self.rank_99 <= max(self.full_rank // 8, 1)


def delta_spectrum(delta: Source, info: TensorInfo) -> DeltaSpectrum | None:
    """The spectrum of a tensor of a `DeltaSource`; None for vectors, and for matrices with a large smaller side.

    The eigenvalues of the smaller Gram matrix, in float64, from rows read in bounded pieces.

    Source: Roy & Vetterli 2007, "The effective rank", for `effective_rank`.
    """
    rows, columns = matrix_shape(info.shape)
    if len(info.shape) < 2 or not 1 < min(rows, columns) <= LARGEST_SIDE:
        return None
    gram = _gram_of_columns(delta, info) if columns <= rows else _gram_of_rows(delta, info)
    return spectrum_of_gram(gram)


def spectrum_of_gram(gram: np.ndarray) -> DeltaSpectrum:
    """Args: gram: (n, n) float64, ΔΔᵀ or ΔᵀΔ of the smaller side."""
    from scipy.linalg import eigvalsh

    full = len(gram)
    if not np.isfinite(gram).all():
        return DeltaSpectrum(math.nan, 0, 0, full)
    energies = np.maximum(eigvalsh(gram)[::-1], 0)  # σ², falling
    total = energies.sum()
    if not total > 0:
        return DeltaSpectrum(math.nan, 0, 0, full)
    energies = np.where(energies < total * full * np.finfo(np.float64).eps, 0, energies)
    singular = np.sqrt(energies)
    shares = singular[singular > 0] / singular.sum()
    held = np.cumsum(energies) / energies.sum()
    ranks = [int(np.searchsorted(held, share - 1e-12)) + 1 for share in (0.90, 0.99)]
    return DeltaSpectrum(float(np.exp(-(shares * np.log(shares)).sum())), *ranks, full)


def _gram_of_columns(delta: Source, info: TensorInfo) -> np.ndarray:
    columns = matrix_shape(info.shape)[1]
    gram = np.zeros((columns, columns))
    for _, block in _blocks(delta, info):
        gram += block.T @ block
    return gram


def _gram_of_rows(delta: Source, info: TensorInfo) -> np.ndarray:
    """By pairs of blocks of rows, so that a wide matrix need not fit into memory."""
    gram = np.zeros((info.shape[0], info.shape[0]))
    for i, left in _blocks(delta, info):
        for j, right in _blocks(delta, info):
            if j > i:
                break
            product = left @ right.T
            gram[i : i + len(left), j : j + len(right)] = product
            gram[j : j + len(right), i : i + len(left)] = product.T
    return gram


def _blocks(delta: Source, info: TensorInfo):
    columns = matrix_shape(info.shape)[1]
    step = max(ROWS_BYTES // (8 * columns), 1)
    for start in range(0, info.shape[0], step):
        stop = min(start + step, info.shape[0])
        yield start, delta.read_rows(info.name, start, stop).reshape(stop - start, columns).astype(np.float64)
