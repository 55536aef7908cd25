"""Whether a checkpoint's configuration is one that can be trained on here; no torch."""

from __future__ import annotations

from pathlib import Path

from engine.errors import TrainingError
from engine.training.settings import ModelSettings


def settings_of(config: dict, folder: Path) -> ModelSettings:
    """The shape that a Llama's config.json describes.

    Raises: TrainingError that lists everything in the configuration that this decoder cannot be.
    """
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    try:
        width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        settings = ModelSettings(
            vocabulary_size=int(config["vocab_size"]),
            width=width,
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            key_value_heads=int(config.get("num_key_value_heads") or heads),
            ffn_width=int(config["intermediate_size"]),
            context=int(config["max_position_embeddings"]),
            tied=bool(config.get("tie_word_embeddings", False)),
            rope_theta=float(theta),
            norm_epsilon=float(config.get("rms_norm_eps", 1e-6)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{folder / 'config.json'} does not describe a Llama: {error!r} is missing or is no number.",
            "Choose a folder with the config.json of a LlamaForCausalLM.",
        ) from error
    expected = {
        "model_type": (config.get("model_type"), "llama"),
        "hidden_act": (config.get("hidden_act", "silu"), "silu"),
        "attention_bias": (bool(config.get("attention_bias")), False),
        "mlp_bias": (bool(config.get("mlp_bias")), False),
        "head_dim": (config.get("head_dim") or width // max(heads, 1), width // max(heads, 1)),
        "rope_type": (rope.get("rope_type", rope.get("type", "default")), "default"),
        "quantization_config": (config.get("quantization_config"), None),
    }
    differences = [
        f"{name} is {found!r} instead of {wanted!r}" for name, (found, wanted) in expected.items() if found != wanted
    ]
    if differences:
        raise TrainingError(
            f"The model in {folder} cannot be trained on here: {'; '.join(differences)}.",
            "Choose a plain LlamaForCausalLM, such as one that was trained here.",
        )
    return settings
