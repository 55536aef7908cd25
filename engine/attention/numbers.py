"""Numbers of heads: how large their parts are, and what their circuits are like."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from engine.attention import circuits
from engine.attention.blocks import PARTS
from engine.attention.heads import HeadWeights


@dataclass(frozen=True, slots=True)
class HeadNumber:
    """One number of a head.

    Attributes:
        name: unique. title: as people read it. description: what it means.
        is_signed: whether zero is its middle.
        subject: "query" … "output", "qk" or "ov"; what `function` is given: a matrix, or a circuit's singular values.
    """

    name: str
    title: str
    description: str
    subject: str
    function: Callable[[np.ndarray], float] | None = None
    is_signed: bool = False


def _matrix_norm(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix))


def _largest(singular: np.ndarray) -> float:
    return float(singular[0]) if singular.size else np.nan


_LOOKS = "where the head looks"
_CARRIES = "what the head carries"


def _rows() -> tuple[HeadNumber, ...]:
    names = {"query": "Query", "key": "Key", "value": "Value", "output": "Output"}
    norms = (
        HeadNumber(
            f"{part}_norm",
            f"{names[part]} norm",
            f"Frobenius norm of the head's {part} weights: the root of the sum of their squares.",
            part,
            _matrix_norm,
        )
        for part in PARTS
    )
    kinds = (
        ("norm", "norm", "Frobenius norm of the circuit", circuits.frobenius_norm),
        ("spectral", "largest singular value", "The circuit's strongest direction (spectral norm)", _largest),
        (
            "effective_rank",
            "effective rank",
            "How many directions the circuit uses, from 1 to the head's width (Roy & Vetterli)",
            circuits.effective_rank,
        ),
        ("stable_rank", "stable rank", "‖·‖_F² / σ₁²: low where one direction dominates", circuits.stable_rank),
    )
    of_circuits = (
        HeadNumber(f"{circuit}_{name}", f"{circuit.upper()} {title}", f"{meaning}; {about}.", circuit, function)
        for circuit, about in (("qk", _LOOKS), ("ov", _CARRIES))
        for name, title, meaning, function in kinds
    )
    copying = HeadNumber(
        "copying",
        "OV copying",
        "Σ Re λ / Σ |λ| over the eigenvalues of the OV circuit: +1 copies what it looks at, −1 removes it.",
        "ov",
        None,
        is_signed=True,
    )
    return (*norms, *of_circuits, copying)


HEAD_NUMBERS: dict[str, HeadNumber] = {row.name: row for row in _rows()}
"""Every number, by name, in reading order."""


def circuit_singular_values(weights: HeadWeights, circuit: str) -> list[np.ndarray]:
    """Singular values of every head's "qk" or "ov" circuit, falling; [] for "ov" where there is no output matrix."""
    if circuit == "ov" and weights.heads.block.tensor("output") is None:
        return []
    triangles = _Triangles(weights)
    with _small_products():
        return [triangles.singular_values(circuit, head) for head in range(weights.heads.num_heads)]


def circuit_factors(weights: HeadWeights, circuit: str, head: int) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """(left, right) whose product is the circuit: W_Qᵀ and W_K, or W_O and W_V; (None, None) without an output."""
    if circuit == "qk":
        return weights.matrix("query", head).T, weights.matrix("key", head)
    output = weights.matrix("output", head)
    return (None, None) if output is None else (output, weights.matrix("value", head))


def head_numbers(weights: HeadWeights) -> dict[str, np.ndarray]:
    """Every number of every head of one attention.

    Returns: name of `HEAD_NUMBERS` -> (heads,) float64; NaN where it is undefined (no output matrix, zero weights, an
        entry that is not finite). Heads that share keys and values have the same key and value norms.
    """
    with _small_products():
        return _head_numbers(weights)


def _head_numbers(weights: HeadWeights) -> dict[str, np.ndarray]:
    columns = {name: np.full(weights.heads.num_heads, np.nan) for name in HEAD_NUMBERS}
    triangles = _Triangles(weights)
    for head in range(weights.heads.num_heads):
        subjects = {part: weights.matrix(part, head) for part in PARTS}
        has_output = subjects["output"] is not None
        subjects["qk"] = triangles.singular_values("qk", head)
        subjects["ov"] = triangles.singular_values("ov", head) if has_output else None
        for name, number in HEAD_NUMBERS.items():
            if number.function is not None and subjects[number.subject] is not None:
                columns[name][head] = number.function(subjects[number.subject])
        if has_output:
            columns["copying"][head] = circuits.copying(subjects["value"], subjects["output"])
    return columns


_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def _small_products() -> Iterator[None]:
    """One thread of BLAS: heads are too small to gain from more, and lose tenfold where cores are busy.

    The limit belongs to the whole process, so those who set it take turns: else one could restore the other's.
    """
    with _ONE_AT_A_TIME, threadpool_limits(1, user_api="blas"):
        yield


class _Triangles:
    """The triangles of the parts of an attention's heads; of shared keys and values each is made once."""

    def __init__(self, weights: HeadWeights) -> None:
        self._weights = weights
        self._known: dict[tuple[str, int], np.ndarray] = {}

    def singular_values(self, circuit: str, head: int) -> np.ndarray:
        first, second = ("query", "key") if circuit == "qk" else ("output", "value")
        return circuits.joined_singular_values(self._of(first, head), self._of(second, head))

    def _of(self, part: str, head: int) -> np.ndarray:
        key = part, self._weights.heads.kv_head(head) if part in ("key", "value") else head
        if key not in self._known:
            matrix = self._weights.matrix(part, head)
            self._known[key] = circuits.triangle(matrix if part == "output" else matrix.T)
        return self._known[key]
