"""Null models: matrices that keep some facts of a trained one and forget all others.

What a null shows as well is explained by the facts that it keeps. `NULLS` lists them; the default keeps the norm of
every row and column, since those alone make heavy tails and eigenvalues beyond the Marchenko-Pastur edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.discovery.initialisation import InitialLaw, default_law
from engine.errors import MeasureError
from engine.spectra.singular_values import singular_values

MOST_SWEEPS, CLOSE_ENOUGH = 500, 1e-10
"""Sweeps over rows and columns, and the error of a row's energy, as a part of the mean one, at which they end. Large
matrices of noise need 5 to 15 sweeps; the bound is for tiny ones."""

SMALLEST = np.finfo(np.float64).tiny
STRIP = 1 << 20
"""Numbers held in float64 at a time."""


@dataclass(frozen=True, slots=True)
class Null:
    """One null model.

    Attributes:
        name: as it is stored and asked for. title: a few words for people.
        keeps: what it has in common with the matrix it is made from. forgets: what it has not.
        function: (matrix, seed) -> matrix.
    """

    name: str
    title: str
    keeps: str
    forgets: str
    function: Callable[..., np.ndarray]


def row_column_gaussian(matrix: np.ndarray, seed: int) -> np.ndarray:
    """Gaussian noise whose rows and columns have exactly the energies (Σx²) of the matrix: the default null.

    x = g·√(aᵢ·bⱼ), g standard normal; a and b are fitted in turn (Sinkhorn's iteration on g²), so that every row and
    column of the result has the energy it has in the matrix, not just on average.

    Args: matrix: (rows, cols), any real type, finite. seed: of the noise.
    Returns: the same shape; float64 for float64, else float32. Zero rows and columns stay zero.
    Source: Sinkhorn & Knopp 1967, Pacific J. Math. 21(2).
    """
    rows, columns = _energies(matrix)
    noise = np.random.default_rng(seed).standard_normal(matrix.shape, _working_type(matrix))
    squares = np.square(noise)
    energy = rows.sum()
    if energy == 0:
        return np.zeros_like(noise)
    by_row, by_column = rows / np.sqrt(energy), columns / np.sqrt(energy)
    for _ in range(MOST_SWEEPS):
        found = _row_sums(squares, by_column)
        if np.abs(by_row * found - rows).max(where=rows > 0, initial=0.0) <= CLOSE_ENOUGH * energy / len(rows):
            break
        by_row = rows / np.maximum(found, SMALLEST)
        by_column = columns / np.maximum(_column_sums(squares, by_row), SMALLEST)
    noise *= np.sqrt(by_row).astype(noise.dtype)[:, None]
    noise *= np.sqrt(by_column).astype(noise.dtype)
    return noise


def entry_shuffle(matrix: np.ndarray, seed: int) -> np.ndarray:
    """The same entries in random places: keeps the distribution exactly, and nothing else."""
    flat = np.array(matrix).reshape(-1)
    np.random.default_rng(seed).shuffle(flat)
    return flat.reshape(matrix.shape)


def line_permutation(matrix: np.ndarray, seed: int) -> np.ndarray:
    """Rows and columns in random order: keeps entries, norms and spectrum exactly; forgets only what is next to what.

    A network does not care about the order of its hidden units, so that anything this null changes is about order.
    """
    random = np.random.default_rng(seed)
    rows, columns = random.permutation(matrix.shape[0]), random.permutation(matrix.shape[1])
    return np.asarray(matrix)[rows][:, columns]


def haar_rotation(matrix: np.ndarray, seed: int) -> np.ndarray:
    """U·diag(σ)·Vᵀ with the singular values of the matrix and random directions: keeps the spectrum, nothing else.

    U and V are the orthonormal parts of Gaussian matrices, signs set so that all directions are equally likely (Haar).

    Raises: MeasureError if the matrix holds NaN or ±Inf.
    Source: Mezzadri 2007, Notices of the AMS 54(5), arXiv math-ph/0609050.
    """
    singular = singular_values(np.asarray(matrix)).values
    random = np.random.default_rng(seed)
    left, right = (_directions(random, length, len(singular)) for length in matrix.shape)
    return ((left * singular) @ right.T).astype(_working_type(matrix))


def random_init(matrix: np.ndarray, seed: int, law: InitialLaw | None = None) -> np.ndarray:
    """What the matrix was before training: entries drawn from the law that its model starts from.

    Args: law: `initialisation.initial_law` reads it from the model's config; None for what PyTorch gives a linear
        layer of this shape.
    """
    law = law or default_law(matrix.shape)
    return law.draw(matrix.shape, np.random.default_rng(seed)).astype(_working_type(matrix))


NULLS: dict[str, Null] = {
    null.name: null
    for null in (
        Null(
            "row_column_gaussian",
            "Row × column Gaussian",
            "the norm of every row and column",
            "everything else: values, directions, order",
            row_column_gaussian,
        ),
        Null(
            "random_init",
            "Random start",
            "the shape, and the law that such a model's weights are first drawn from",
            "all training",
            random_init,
        ),
        Null(
            "entry_shuffle",
            "Shuffled entries",
            "every value",
            "where the values are: norms, spectrum, order",
            entry_shuffle,
        ),
        Null(
            "line_permutation",
            "Permuted rows and columns",
            "values, norms and spectrum",
            "only the order of rows and columns",
            line_permutation,
        ),
        Null(
            "haar_rotation",
            "Random rotation",
            "the singular values",
            "their directions, and with them values and norms",
            haar_rotation,
        ),
    )
}
"""Every null by name, in reading order; the first is the default."""

DEFAULT_NULL = next(iter(NULLS))


def null_matrix(name: str, matrix: np.ndarray, seed: int, law: InitialLaw | None = None) -> np.ndarray:
    """A null of a matrix by name; `law` counts only for "random_init". Equal arguments give equal numbers.

    Raises: MeasureError if there is no such null, or the matrix is not two-dimensional.
    """
    if name not in NULLS:
        raise MeasureError(f"There is no null model {name!r}.", f"There are: {', '.join(NULLS)}.")
    if np.ndim(matrix) != 2:
        raise MeasureError(f"A null model is made of a matrix, got shape {np.shape(matrix)}.")
    return random_init(matrix, seed, law) if name == "random_init" else NULLS[name].function(matrix, seed)


def _working_type(matrix: np.ndarray) -> type:
    return np.float64 if matrix.dtype in (np.float64, np.int64, np.uint64) else np.float32


def _energies(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σx² of every row and column in float64, a strip at a time."""
    rows, columns = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
    for strip, block in _strips(matrix):
        squares = np.square(block)
        rows[strip] = squares.sum(axis=1)
        columns += squares.sum(axis=0)
    return rows, columns


def _strips(matrix: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Runs of rows in float64, one after another."""
    step = max(1, STRIP // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], step):
        rows = slice(start, min(start + step, matrix.shape[0]))
        yield rows, matrix[rows].astype(np.float64, copy=False)


def _row_sums(squares: np.ndarray, by_column: np.ndarray) -> np.ndarray:
    return np.concatenate([strip @ by_column for _, strip in _strips(squares)])


def _column_sums(squares: np.ndarray, by_row: np.ndarray) -> np.ndarray:
    return sum(by_row[rows] @ strip for rows, strip in _strips(squares))


def _directions(random: np.random.Generator, length: int, number: int) -> np.ndarray:
    """(length, number) orthonormal columns, uniformly distributed."""
    basis, triangle = np.linalg.qr(random.standard_normal((length, number)))
    signs = np.sign(np.diag(triangle))
    return basis * np.where(signs == 0, 1.0, signs)
