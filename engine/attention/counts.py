"""How many heads an attention has, as the model's config says it."""

from __future__ import annotations

from dataclasses import dataclass

_HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads", "num_query_heads", "attention_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads", "multi_query_group_num", "kv_n_heads")
_WIDTHS = ("head_dim", "d_kv", "kv_channels", "attention_key_value_channels", "d_head")
_BY_STACK = {"encoder": ("encoder_attention_heads",), "decoder": ("decoder_attention_heads", "num_decoder_heads")}
_INNER = {
    "vision": ("vision_config", "vision_config_dict"),
    "audio": ("audio_config", "encoder_config"),
    "text": ("text_config", "llm_config", "text_config_dict"),
    "encoder": ("encoder", "encoder_config"),
    "decoder": ("decoder", "decoder_config"),
    "": ("text_config", "attn_config"),
}
"""Stack -> where its own config lies inside the model's."""


@dataclass(frozen=True, slots=True)
class HeadCounts:
    """What is known of an attention's heads before its matrices are looked at.

    Attributes:
        heads, kv_heads: of queries, and of keys and values; None where it is not said.
        width: entries of a head's query; None where it is not said.
        origin: who says so: "config", "asked" (the person), or "guess".
    """

    heads: int | None = None
    kv_heads: int | None = None
    width: int | None = None
    origin: str = "config"

    @property
    def is_known(self) -> bool:
        return self.heads is not None or self.width is not None


def head_counts(config: dict, stack: str, layer: int | None) -> HeadCounts:
    """What a config says of one layer's heads; all None where it says nothing.

    Args:
        config: of the model (`Source.config`). stack, layer: of the attention; a number given as a list holds one for
            each layer, or one for each stage where layers are counted anew in every stage.
    """
    inner = next((config[name] for name in _INNER.get(stack, ()) if isinstance(config.get(name), dict)), {})
    tables = (inner, config) if stack else (config, inner)
    heads = _first(tables, (*_BY_STACK.get(stack, ()), *_HEADS), stack, layer)
    if heads is None:  # GGUF and others name one width for both
        return HeadCounts(None, None, _first(tables, _WIDTHS, stack, layer))
    return HeadCounts(heads, _first(tables, _KV_HEADS, stack, layer), _first(tables, _WIDTHS, stack, layer))


def _first(tables: tuple[dict, ...], names: tuple[str, ...], stack: str, layer: int | None) -> int | None:
    for table in tables:
        for name in names:
            value = _number(table.get(name), stack, layer)
            if value is not None:
                return value
    return None


def _number(value: object, stack: str, layer: int | None) -> int | None:
    if isinstance(value, list):
        stage = stack.removeprefix("stage")
        at = int(stage) if stage != stack and stage.isdecimal() else layer
        value = value[at] if at is not None and at < len(value) else None
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 20
    return value if is_count else None
