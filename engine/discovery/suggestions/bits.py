"""One pass over the bits of a tensor: its exponents, and what lies far out."""

from __future__ import annotations

import math

import numpy as np

from engine.discovery.suggestions.facts import BitFacts
from engine.folding import matrix_shape
from engine.sources.base import ByteCallback, Source, TensorInfo

FIELDS: dict[str, tuple[int, int, int]] = {
    "F64": (64, 52, 11),
    "F32": (32, 23, 8),
    "F16": (16, 10, 5),
    "BF16": (16, 7, 8),
    "F8_E5M2": (8, 2, 5),
    "F8_E4M3": (8, 3, 4),
}
"""Type -> bits of a weight, of its mantissa, of its exponent."""

OUTLIER_SIGMAS = 8.0
"""Beyond it a weight is kept apart: in a Gaussian of any size none lies there, a trained matrix has a few."""

STRIP = 1 << 22
"""Weights looked at at a time."""


def bit_facts(
    source: Source, info: TensorInfo, mean: float, std: float, on_bytes: ByteCallback | None = None
) -> BitFacts | None:
    """Count a tensor's exponents, exactly, and its outliers; in bounded memory.

    Args: mean, std: of its finite weights. on_bytes: told of bytes as they are read; may raise Cancelled.
    Returns: None for types without an exponent and for empty tensors.
    """
    if info.dtype not in FIELDS or not info.num_elements:
        return None
    bits, mantissa, exponent = FIELDS[info.dtype]
    counts = np.zeros(1 << exponent, np.int64)
    num_outliers, largest, inside = 0, 0.0, 0.0
    rows, columns = matrix_shape(info.shape)
    step = max(1, STRIP // columns)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        block = source.read(info.name) if len(info.shape) < 2 else source.read_rows(info.name, start, stop)
        flat = np.ascontiguousarray(block).reshape(-1)
        patterns = (flat.view(f"u{bits // 8}") >> np.uint8(mantissa)).astype(np.int64) & ((1 << exponent) - 1)
        counts += np.bincount(patterns, minlength=len(counts))
        found = _far_out(flat, mean, std)
        num_outliers, largest, inside = num_outliers + found[0], max(largest, found[1]), max(inside, found[2])
        if on_bytes is not None:
            on_bytes(flat.nbytes)
    return BitFacts(counts, num_outliers, largest, inside)


def entropy(counts: np.ndarray) -> float:
    """−Σ p·log₂ p in bits, of counts; 0 for none."""
    present = counts[counts > 0].astype(np.float64)
    if not len(present):
        return 0.0
    shares = present / present.sum()
    return max(0.0, float(-(shares * np.log2(shares)).sum()))


def mask_entropy(share: float) -> float:
    """Bits a place to say which places are marked, of which that share is: −p·log₂ p − (1 − p)·log₂(1 − p)."""
    if not 0 < share < 1:
        return 0.0
    return -share * math.log2(share) - (1 - share) * math.log2(1 - share)


def _far_out(flat: np.ndarray, mean: float, std: float) -> tuple[int, float, float]:
    """(outliers, largest magnitude, largest magnitude of the others) of finite weights."""
    values = flat if flat.dtype == np.float64 else flat.astype(np.float32)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0, 0.0, 0.0
    magnitudes = np.abs(values)
    if not std > 0:
        return 0, float(magnitudes.max()), float(magnitudes.max())
    is_far = np.abs(values - values.dtype.type(mean)) > OUTLIER_SIGMAS * std
    inside = magnitudes[~is_far]
    return int(is_far.sum()), float(magnitudes.max()), float(inside.max()) if len(inside) else 0.0
