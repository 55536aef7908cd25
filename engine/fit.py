"""Will it fit? The bytes a model needs to run or to train, part by part, against the room there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ROOMY = 0.8
"""A need up to this share of what is free fits: the rest is for fragmentation and whatever else starts. Ours."""

REACHABLE = 0.9
"""A need up to this share of all there is would fit if other programs made room. Ours."""

UNKNOWN_WORKING_SHARE, UNKNOWN_WORKING_BYTES = 0.1, 10**9
"""For what a run computes where the network's shape is not known: a share of the weights, at most a gigabyte, since
large networks have many layers but compute one at a time. Ours."""

_TOP_FIELDS = ("text_config", "llm_config", "language_config", "thinker_config")
_LARGEST = 10**9


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What a network keeps of each token while it generates.

    Attributes:
        layers: that keep something.
        values: numbers kept for each token and layer: 2 × key-value heads × head width (a key and a value each), or
            the width of the compressed latent where a network caches that (DeepSeek: rank + rotary part).
    """

    layers: int
    values: int

    def num_bytes(self, tokens: int, bytes_per_value: float = 2) -> int:
        """layers × values × tokens × bytes; Llama-2-7B in 16 bits: 2·32·32·128·2 = 524,288 bytes a token."""
        return round(self.layers * self.values * tokens * bytes_per_value)


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """The widths that decide how much a transformer computes at once.

    Attributes: layers, hidden, feed_forward, vocabulary: from its config. cache: None if it does not generate.
    """

    layers: int
    hidden: int
    feed_forward: int
    vocabulary: int
    cache: CacheShape | None


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes needed at the same time, part by part."""

    weights: int
    kv_cache: int = 0
    activations: int = 0
    gradients: int = 0
    moments: int = 0
    master: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.kv_cache + self.activations + self.gradients + self.moments + self.master

    def parts(self) -> list[tuple[str, int]]:
        """(name, bytes) of every part that is not zero, in order."""
        named = (
            ("Weights", self.weights),
            ("KV cache", self.kv_cache),
            ("Activations", self.activations),
            ("Gradients", self.gradients),
            ("AdamW's two moments", self.moments),
            ("Master weights in fp32", self.master),
        )
        return [(name, num_bytes) for name, num_bytes in named if num_bytes]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a need fits a room.

    Attributes: level: "fits", "tight" or "does not fit". reason: why, in one sentence.
    """

    level: str
    reason: str


def needs_to_run(
    num_parameters: int,
    bits: float,
    *,
    shape: NetworkShape | None = None,
    cache: CacheShape | None = None,
    tokens: int = 0,
    bytes_per_value: float = 2,
) -> Needs:
    """What running a model once takes.

    Weights: parameters × bits / 8. KV cache: `CacheShape.num_bytes(tokens)`. Activations: with fused attention a layer
    holds residual, normed input, query, key and value of every token, and both halves of a gated feed-forward:
    tokens × (5·hidden + 2·feed_forward) × bytes; 10 % of the weights, at most a gigabyte, where the
    shape is not known.

    Args:
        num_parameters, bits: of the weights as they will lie in memory.
        shape: from `network_shape`; cache: instead of the shape's own, where only that is known.
        tokens: of context, prompt and answer together. bytes_per_value: of cache and activations, 2 for 16 bits.
    """
    weights = round(num_parameters * bits / 8)
    cache = cache or (shape.cache if shape else None)
    if shape is None:
        working = min(round(weights * UNKNOWN_WORKING_SHARE), UNKNOWN_WORKING_BYTES)
    else:
        working = round(tokens * (5 * shape.hidden + 2 * shape.feed_forward) * bytes_per_value)
    return Needs(weights, cache.num_bytes(tokens, bytes_per_value) if cache else 0, working)


def needs_to_train(
    num_parameters: int, bits: float, *, shape: NetworkShape | None = None, tokens: int = 0, batch: int = 1
) -> Needs:
    """What training all weights with AdamW takes.

    Mixed precision (16 bits): 2 + 2 bytes a parameter for weights and gradients, 4 + 4 for the moments, 4 for the
    master copy, 16 together. In 32 bits: 4 + 4 + 8, 16 as well, without a copy. Activations with fused attention and
    nothing recomputed: 34 · tokens · batch · hidden bytes a layer, and the logits with their gradient in fp32; as
    much as the weights where the shape is not known.

    Args: bits: 16 or 32, of weights and gradients. tokens: of one sequence. batch: sequences at once.
    Source: Rajbhandari et al. 2020 (ZeRO), section 3.1; Korthikanti et al. 2022, equation 2 without the score terms.
    """
    bits = 32 if bits > 16 else 16  # nothing narrower is trained in full
    weights = num_parameters * bits // 8
    if shape is None:
        working = weights
    else:
        working = 34 * tokens * batch * shape.hidden * shape.layers * bits // 16
        working += 8 * tokens * batch * shape.vocabulary
    return Needs(
        weights=weights,
        activations=working,
        gradients=weights,
        moments=8 * num_parameters,
        master=4 * num_parameters if bits == 16 else 0,
    )


def verdict(need: int, available: int, total: int, where: str = "memory") -> Verdict:
    """Whether a need fits.

    "fits": at most 80 % of what is free. "tight": it is free but leaves little, or other programs would have to make
    room for it. "does not fit": more than 90 % of all there is, and more than is free.

    Args: need, available, total: bytes. where: of what, for the sentence.
    """
    words = f"It needs {_size(need)}; {_size(available)} of {_size(total)} {where} are free"
    if need <= ROOMY * available:
        return Verdict("fits", f"{words}.")
    if need <= available:
        return Verdict("tight", f"{words}, which leaves little for anything else.")
    if need <= REACHABLE * total:
        return Verdict("tight", f"{words}: something else would have to make room first.")
    if need <= total:
        return Verdict("does not fit", f"{words}, and the system needs the rest.")
    return Verdict("does not fit", f"{words}: {need / max(total, 1):,.1f} times all there is.")


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes < 1e9 else f"{num_bytes / 1e9:,.3g} GB"


def network_shape(config: Mapping) -> NetworkShape | None:
    """The widths that a config.json names under any of their usual names; None if it is no transformer's."""
    config = language_part(config)
    layers = _number(config, "num_hidden_layers", "n_layer", "num_layers", "decoder_layers", "n_layers")
    hidden = _number(config, "hidden_size", "n_embd", "d_model", "dim")
    if layers is None or hidden is None:
        return None
    wide = _number(config, "intermediate_size", "n_inner", "ffn_dim", "decoder_ffn_dim", "d_ff", "hidden_dim")
    return NetworkShape(
        layers, hidden, wide or 4 * hidden, _number(config, "vocab_size") or 0, _cache_shape(config, layers, hidden)
    )


def context_length(config: Mapping) -> int | None:
    """The most tokens the network takes, as its config says it; None if it does not."""
    names = ("max_position_embeddings", "n_positions", "n_ctx", "max_target_positions", "seq_length", "max_seq_len")
    return _number(language_part(config), *names)


def language_part(config: Mapping) -> Mapping:
    """The part of a multimodal config that describes its language model, over the rest; else the config itself."""
    for field in _TOP_FIELDS:
        inner = config.get(field)
        if isinstance(inner, Mapping):
            kept = {"architectures": config.get("architectures")} if "architectures" not in inner else {}
            return {**kept, **inner}
    return config


def _cache_shape(config: Mapping, layers: int, hidden: int) -> CacheShape | None:
    """What is cached a token and layer: grouped, multi-query, latent (DeepSeek), or cross-attention as well (T5)."""
    if not _generates(config):
        return None
    rank, rotary = _number(config, "kv_lora_rank"), _number(config, "qk_rope_head_dim")
    if rank and rotary:
        return CacheShape(layers, rank + rotary)
    is_pair = config.get("is_encoder_decoder") is True
    heads = _number(
        config,
        *(("decoder_attention_heads",) if is_pair else ()),
        "num_attention_heads",
        "n_head",
        "num_heads",
        "n_heads",
    )
    if heads is None:
        return None
    width = _number(config, "head_dim", "d_kv") or hidden // heads
    groups = _number(config, "num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads") or heads
    if config.get("multi_query") is True and config.get("new_decoder_architecture") is not True:
        groups = 1
    if is_pair:  # cross-attention keeps as much of every token read as self-attention of every token written
        return CacheShape(_number(config, "decoder_layers", "num_decoder_layers") or layers, 4 * groups * width)
    return CacheShape(layers, 2 * groups * width)


_GENERATING = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForSpeechSeq2Seq")


def _generates(config: Mapping) -> bool:
    names = config.get("architectures")
    if isinstance(names, list) and names:
        return any(isinstance(name, str) and name.endswith(_GENERATING) for name in names)
    return bool(config.get("is_decoder") or config.get("is_encoder_decoder") or "num_key_value_heads" in config)


def _number(config: Mapping, *names: str) -> int | None:
    """The first of the names that holds a sensible whole number; configs are written by anyone."""
    for name in names:
        value = config.get(name)
        if type(value) is int and 0 < value <= _LARGEST:
            return value
    return None
