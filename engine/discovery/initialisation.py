"""How a model's weights are drawn before training, as far as its config and family tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["normal", "uniform"]

_RESIDUAL_SCALED = frozenset({"gpt2", "gpt_neo", "imagegpt", "decision_transformer", "openelm"})
"""Families that start the two matrices which write into the residual stream at 1/√(2·layers) of all others."""

_EMBEDDINGS = frozenset({"token_embedding", "position_embedding", "segment_embedding"})
_WRITES = frozenset({"output", "ffn_out"})


@dataclass(frozen=True, slots=True)
class InitialLaw:
    """The law that a matrix's entries are first drawn from, each by itself.

    Attributes:
        kind: "normal" or "uniform". scale: a normal's standard deviation; a uniform's largest magnitude.
        origin: in words, who says so.
    """

    kind: Kind
    scale: float
    origin: str

    @property
    def std(self) -> float:
        """Its standard deviation."""
        return self.scale if self.kind == "normal" else self.scale / math.sqrt(3)

    def draw(self, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
        """Entries of that law: float32 of that shape."""
        if self.kind == "normal":
            return random.standard_normal(shape, np.float32) * np.float32(self.scale)
        return (random.random(shape, np.float32) * np.float32(2) - np.float32(1)) * np.float32(self.scale)


def default_law(shape: tuple[int, ...], role: str = "") -> InitialLaw:
    """What PyTorch gives a layer whose author says nothing: linear layers and convolutions U(−1/√fan_in, 1/√fan_in),
    embeddings N(0, 1), recurrent ones U(−1/√hidden, 1/√hidden).

    Args: shape: (out, in, …): fan_in is the product of all but the first.
    Source: torch.nn.Linear, Embedding, LSTM, _ConvNd.reset_parameters.
    """
    if role in _EMBEDDINGS:
        return InitialLaw("normal", 1.0, "PyTorch's default of embeddings")
    is_recurrent = role.startswith("recurrent")
    fan_in = max(1, shape[0] // 4 if is_recurrent else math.prod(shape[1:]))
    return InitialLaw(
        "uniform", 1 / math.sqrt(fan_in), f"PyTorch's default of {'recurrent' if is_recurrent else 'linear'} layers"
    )


def initial_law(shape: tuple[int, ...], config: dict, family: str = "", role: str = "") -> InitialLaw:
    """The law of a tensor, from the model's config where that says it.

    `initializer_range` (BERT, GPT, Llama, Qwen, ViT, …) and `init_std` (BART, Marian) are the standard deviation of a
    normal; GPT-2 and its kin divide that of the attention output and the second feed-forward matrix by √(2·layers).
    T5 has its own table. Everything else, and convolutions, start from PyTorch's defaults. A truncated normal counts as
    a normal: it is cut at two standard deviations or further.

    Args: shape: of the tensor. config: the model's; {} where there is none. family, role: `engine.naming`.
    Source: `_init_weights` of the models in transformers.
    """
    inner = next((config[key] for key in ("text_config", "vision_config") if isinstance(config.get(key), dict)), {})
    table = {**inner, **config}
    if family in ("t5", "mt5", "umt5") and len(shape) == 2:
        return InitialLaw("normal", _t5_scale(shape, table, role), "T5's own rule")
    if len(shape) > 2 or role == "convolution":
        return default_law(shape)
    for key in ("initializer_range", "init_std"):
        std = _positive(table.get(key))
        if std is None:
            continue
        layers = _positive(table.get("n_layer")) or _positive(table.get("num_hidden_layers"))
        if family in _RESIDUAL_SCALED and role in _WRITES and layers:
            return InitialLaw("normal", std / math.sqrt(2 * layers), f"{key} {std:g} / √(2·{layers:g} layers)")
        return InitialLaw("normal", std, f"{key} {std:g} of the model's config")
    return default_law(shape, role)


def _t5_scale(shape: tuple[int, ...], table: dict, role: str) -> float:
    """Standard deviations of T5: embeddings 1, queries (d_model·d_kv)^−½, all others fan_in^−½."""
    factor = _positive(table.get("initializer_factor")) or 1.0
    if role in _EMBEDDINGS:
        return factor
    fan_in = shape[1] * ((_positive(table.get("d_kv")) or 64) if role.endswith("query") else 1)
    return factor / math.sqrt(max(1, fan_in))


def _positive(value: object) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < math.inf else None
