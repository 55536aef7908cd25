"""Rows of different size: a scale for each."""

from __future__ import annotations

import math

import numpy as np

from engine.discovery.suggestions.facts import ModelFacts, TensorFacts
from engine.discovery.suggestions.registry import idea
from engine.discovery.suggestions.suggestion import Suggestion, TensorGain, most_first

SCALE_BITS = 16
LEAST = 0.05
"""Bits a weight from which it is worth another number for each row; ours."""

_KINDS, _POINTS = 256, 4001


@idea(title="A scale for each row of integers", finding="row norms")
def row_scales(model: ModelFacts) -> Suggestion:
    """Integers need the range of the largest weight: of its own row, if each row has a scale, not of the whole tensor.

    gain = ½·log₂(max² / mean of the rows' max²) bits a weight at the same error, less 16 bits a row.
    """
    gains = _gains(model, integer_gain)
    return _suggestion(
        "row_scales",
        gains,
        "Rows differ in their largest weights: with a scale for each row, integers need fewer bits for the same error.",
        baseline="integers with one scale for each tensor, at the same error",
        limits="Exact for steps that are small against the weights, from about 5 bits on. Beside outliers kept apart "
        "it gains less: both fight the same range.",
        recipe={"codec": "integer", "scale": "row"},
    )


@idea(title="Row norms for the entropy coder", finding="scale mixture")
def row_norms(model: ModelFacts) -> Suggestion:
    """Much of a heavy tail is a mixture of rows of different size: a coder that knows the norms needs fewer bits.

    gain = h(mixture of the rows' Gaussians) − mean of their own h, the information that the norms hold of the weights,
    less 16 bits a row. Rows are taken for Gaussian; rows of zeros are left out.
    """
    gains = _gains(model, entropy_gain)
    return _suggestion(
        "row_norms",
        gains,
        "Row norms explain part of the heavy tail: an entropy coder that knows them saves bits at the same error.",
        baseline="uniform steps with one entropy code for each tensor, at the same error",
        limits="From about 2 bits on; below, most weights are zero and the norms tell less.",
        recipe={"codec": "ecsq", "scale": "row"},
    )


def integer_gain(tensor: TensorFacts) -> float:
    """½·log₂(max² / mean(maxᵢ²)) of the rows' largest magnitudes, less their scales; NaN for a tensor of zeros."""
    largest = tensor.row_abs_max.astype(np.float64)
    mean = np.square(largest).mean()
    if not mean > 0:
        return math.nan
    return 0.5 * math.log2(largest.max() ** 2 / mean) - SCALE_BITS / tensor.num_columns


def entropy_gain(tensor: TensorFacts) -> float:
    """What the row norms tell of the weights, in bits a weight, less their scales; NaN for a tensor of zeros."""
    scales = tensor.row_l2.astype(np.float64) / math.sqrt(tensor.num_columns)
    scales = scales[scales > 0]
    return mixture_information(scales) - SCALE_BITS / tensor.num_columns if len(scales) else math.nan


def mixture_information(scales: np.ndarray) -> float:
    """h(½ mixture) − mean h: bits that knowing the scale saves for each number drawn from Gaussians of these scales.

    The differential entropy of the mixture is integrated over log |x|, with scales of more than 256 rows in as many
    groups of neighbours; accurate to 0.001 bits.

    Args: scales: positive standard deviations.
    """
    logs = np.sort(np.log(scales))
    groups = np.array([part.mean() for part in np.array_split(logs, min(_KINDS, len(logs)))])
    weights = np.array([len(part) for part in np.array_split(logs, len(groups))]) / len(logs)
    u = np.linspace(groups[0] - 12, groups[-1] + 3, _POINTS)
    density = np.zeros(_POINTS)
    for centre, weight in zip(groups, weights, strict=True):
        density += weight * np.exp(-0.5 * np.exp(2 * (u - centre)) - centre) / math.sqrt(2 * math.pi)
    integrand = -density * np.log2(np.maximum(density, 1e-300)) * np.exp(u)
    mixture = 2 * np.trapezoid(integrand, u)
    own = 0.5 * math.log2(2 * math.pi * math.e) + (weights * groups).sum() / math.log(2)
    return max(0.0, float(mixture - own))


def _gains(model: ModelFacts, gain_of) -> list[TensorGain] | None:
    """The gain of every matrix; None where no rows were measured."""
    fit = [t for t in model.tensors if t.is_matrix and t.row_l2 is not None and t.is_finite and _is_float(t)]
    if not fit:
        return None
    return [TensorGain(t.name, t.info.num_elements, gain_of(t), {"rows": float(t.num_rows)}) for t in fit]


def _is_float(tensor: TensorFacts) -> bool:
    return tensor.info.dtype.startswith(("F", "BF"))


def _suggestion(name: str, gains: list[TensorGain] | None, words: str, **given) -> Suggestion:
    if gains is None:
        return Suggestion(name, "nothing", "No floating-point matrix has rows to scale.")
    found = [gain for gain in gains if gain.gain_bits > LEAST]
    best = max((gain.gain_bits for gain in gains if not math.isnan(gain.gain_bits)), default=math.nan)
    if not found:
        return Suggestion(
            name, "nothing", f"Its rows are too much alike: at best {best:+.2f} bits.", evidence={"best": best}
        )
    return Suggestion(name, "found", words, most_first(found), confidence="formula", evidence={"best": best}, **given)
