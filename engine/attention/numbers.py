"""Numbers of heads: how large their parts are, and what their circuits are like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

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


def circuit_singular_values(weights: HeadWeights, circuit: str, head: int) -> np.ndarray | None:
    """Singular values of a head's "qk" or "ov" circuit, falling; None for "ov" where there is no output matrix."""
    left, right = circuit_factors(weights, circuit, head)
    return None if left is None else circuits.product_singular_values(left, right)


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
    columns = {name: np.full(weights.heads.num_heads, np.nan) for name in HEAD_NUMBERS}
    for head in range(weights.heads.num_heads):
        subjects = _subjects(weights, head)
        for name, number in HEAD_NUMBERS.items():
            if number.function is not None and subjects[number.subject] is not None:
                columns[name][head] = number.function(subjects[number.subject])
        if subjects["output"] is not None:
            columns["copying"][head] = circuits.copying(subjects["value"], subjects["output"])
    return columns


def _subjects(weights: HeadWeights, head: int) -> dict[str, np.ndarray | None]:
    subjects = {part: weights.matrix(part, head) for part in PARTS}
    for circuit in ("qk", "ov"):
        subjects[circuit] = circuit_singular_values(weights, circuit, head)
    return subjects
