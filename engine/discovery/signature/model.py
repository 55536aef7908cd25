"""The signature of a whole model, of one length whatever its number of layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.discovery.signature.registry import FEATURES, transformed
from engine.discovery.signature.standardisation import Standardisation, robust
from engine.naming import Place

KINDS: dict[str, str] = {
    "embedding": "Embeddings",
    "attention_in": "Queries, keys and values",
    "attention_out": "Attention outputs",
    "ffn_in": "Feed-forward in and gate",
    "ffn_out": "Feed-forward out",
    "convolution": "Convolutions",
    "recurrence": "Recurrences and state spaces",
    "other": "Others: heads, poolers, projections",
}
"""Kinds of matrices that a model's signature tells apart, so that models with fused and separate ones compare."""

ASPECTS = ("level", "slope")
"""Of a feature over a kind's matrices: its median, and how it changes from the first layer to the last."""

MODEL_FEATURES: tuple[str, ...] = tuple(
    f"{kind}.{name}.{aspect}" for aspect in ASPECTS for kind in KINDS for name in FEATURES
)
"""What each number of a model's signature is, in order."""

LEAST_DEPTHS = 3
"""Different depths from which on a slope is fitted."""

LEAST_MODELS = 5
"""Models from which on their own medians are the centre: with fewer, what they have in common is the finding."""

_SUFFIXES = (
    ("ffn_gate", "ffn_in"),
    ("ffn_in", "ffn_in"),
    ("ffn_gate_in", "ffn_in"),
    ("ffn_out", "ffn_out"),
)
_KIND_OF_ROLE = {
    **dict.fromkeys(("token_embedding", "position_embedding", "segment_embedding"), "embedding"),
    **dict.fromkeys(("query", "key", "value", "qkv", "key_value"), "attention_in"),
    **dict.fromkeys(("query_down", "query_up", "key_value_down", "key_value_up"), "attention_in"),
    "output": "attention_out",
    **dict.fromkeys(("convolution", "downsample", "patch_embedding", "ssm_convolution"), "convolution"),
    **dict.fromkeys(("recurrent_input", "recurrent_hidden"), "recurrence"),
}


def kind_of(role: str) -> str:
    """The kind of a role of `engine.naming`: one of `KINDS`."""
    plain = role.removeprefix("cross_")
    for suffix, kind in _SUFFIXES:
        if plain == suffix or plain.endswith(f"expert_{suffix}"):
            return kind
    if plain in _KIND_OF_ROLE:
        return _KIND_OF_ROLE[plain]
    return "recurrence" if plain.startswith("ssm_") else "other"


def depths(places: Sequence[Place]) -> np.ndarray:
    """(t,) how deep each tensor lies: layer/(last layer) of its own stack, 0 … 1; NaN outside of the layers."""
    last: dict[str, int] = {}
    for where in places:
        if where.layer is not None:
            last[where.stack] = max(last.get(where.stack, 0), where.layer)
    return np.array([np.nan if w.layer is None else w.layer / max(1, last[w.stack]) for w in places])


def model_signature(places: Sequence[Place], values: np.ndarray) -> np.ndarray:
    """Put the signatures of a model's matrices together.

    For every kind and feature two numbers, both in transformed units: the level, the median over the kind's matrices;
    and the slope, that of the straight line of least squares over depth, from the first layer (0) to the last (1). A
    model with twice the layers and the same course over depth has the same signature.

    Args: places: of t tensors. values: (t, n) their raw features.
    Returns: (2 · kinds · n,) float64, in the order of `MODEL_FEATURES`; NaN for kinds that the model does not have,
        and for slopes over fewer than three depths.
    """
    found, depth = transformed(values), depths(places)
    kinds = np.array([kind_of(where.role) for where in places])
    result = np.full((len(ASPECTS), len(KINDS), len(FEATURES)), np.nan)
    for number, kind in enumerate(KINDS):
        chosen = kinds == kind
        if not chosen.any():
            continue
        own = found[chosen]
        is_known = ~np.isnan(own).all(axis=0)
        result[0, number, is_known] = np.nanmedian(own[:, is_known], axis=0)
        for column in np.flatnonzero(is_known):
            result[1, number, column] = _slope(depth[chosen], own[:, column])
    return result.reshape(-1)


def fit_model_standardisation(values: np.ndarray, tensors: Standardisation) -> Standardisation:
    """Centres and spreads for model signatures.

    A number that at least five models have: median and 1.4826·MAD over the models, the latter at least a quarter of
    the spread over all matrices. Of fewer models, the typical matrix is the centre of a level, 0 that of a slope, and
    the spread over all matrices the unit.

    Args: values: (models, numbers) from `model_signature`. tensors: that of all matrices.
    """
    centre, spread = robust(values)
    is_common = np.count_nonzero(~np.isnan(values), axis=0) >= LEAST_MODELS
    levels = np.tile(tensors.centre, len(KINDS))
    typical = np.concatenate([levels, np.zeros_like(levels)])
    unit = np.tile(tensors.spread, len(KINDS) * len(ASPECTS))
    return Standardisation(
        np.where(is_common, centre, typical), np.where(is_common, np.maximum(spread, unit / 4), unit)
    )


def common_cosine(first: np.ndarray, second: np.ndarray, known_first: np.ndarray, known_second: np.ndarray) -> float:
    """Cosine of two standardised signatures over the numbers that both have; NaN if there is none, or one is all 0.

    Args: first, second: (n,). known_first, known_second: (n,) bool, which are defined.
    """
    both = known_first & known_second
    a, b = first[both].astype(np.float64), second[both].astype(np.float64)
    length = float(np.sqrt(a @ a) * np.sqrt(b @ b))
    return float(a @ b) / length if length > 0 else np.nan


def _slope(depth: np.ndarray, values: np.ndarray) -> float:
    kept = ~np.isnan(depth) & ~np.isnan(values)
    x, y = depth[kept], values[kept]
    if len(np.unique(x)) < LEAST_DEPTHS:
        return np.nan
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))
