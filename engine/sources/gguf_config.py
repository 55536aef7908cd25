"""What a GGUF file says of its model's architecture, under the names that a `config.json` uses."""

from __future__ import annotations

from engine.sources.gguf_header import Items, Value

_NAMES: dict[str, str] = {
    # key after "ARCHITECTURE." -> transformers' name
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "vocab_size": "vocab_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "attention.layer_norm_epsilon": "layer_norm_eps",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
    "expert_count": "num_local_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
    "ssm.state_size": "state_size",
    "ssm.conv_kernel": "conv_kernel",
}
_TOKENS: dict[str, str] = {
    "tokenizer.ggml.bos_token_id": "bos_token_id",
    "tokenizer.ggml.eos_token_id": "eos_token_id",
    "tokenizer.ggml.padding_token_id": "pad_token_id",
}
_NO_TOKEN = 2**32 - 1


def config_of(values: dict[str, Value]) -> dict:
    """The architecture of a GGUF file as a config: `model_type`, `num_hidden_layers`, `hidden_size`, …

    Args: values: the metadata. Returns: only what the file says; {} without `general.architecture`. A number given for
        each layer is a list. `vocab_size` is the length of the vocabulary where no key says it.
    Source: gguf.md, "Standardized key-value pairs", against transformers' names.
    """
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        return {}
    config: dict = {"model_type": architecture}
    tokens = values.get("tokenizer.ggml.tokens")
    if isinstance(tokens, Items):
        config["vocab_size"] = tokens.count
    for key, name in _NAMES.items():
        found = _plain(values.get(f"{architecture}.{key}"))
        if found is not None:
            config[name] = found
    for key, name in _TOKENS.items():
        found = values.get(key)
        if type(found) is int and found != _NO_TOKEN:
            config[name] = found
    return config


def _plain(value: Value | None) -> int | float | list | None:
    """A number, or a list of numbers that was kept whole; None for anything else."""
    if isinstance(value, Items):
        is_whole = len(value.head) == value.count > 0
        return list(value.head) if is_whole and not isinstance(value.head[0], str) else None
    return value if isinstance(value, int | float) else None
