"""How models lay queries, keys and values into one fused matrix: one row per habit."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FusedLayout:
    """The order of the output features of a fused matrix.

    It is cut into equal groups, and each group holds its share of the query heads, key heads and value heads, kind
    after kind.

    Attributes:
        families: words for `model_type`; "" for any. module: what the tensor's name must match; "" for any.
        needs: a key that the config must have, not empty; "" for none.
        groups: how many; None for one per key/value head.
        order: of the kinds in a group: q, k, v.
        is_certain: whether the model's own code says so; False where it is only the usual habit.
    """

    families: str
    groups: int | None
    module: str = ""
    needs: str = ""
    order: str = "qkv"
    is_certain: bool = True

    @property
    def description(self) -> str:
        """In words, for people."""
        kinds = {"q": "queries", "k": "keys", "v": "values"}
        words = ", ".join(kinds[letter] for letter in self.order)
        if self.groups == 1:
            return f"{words}, one after another"
        per = "key/value head" if self.groups is None else "group"
        return f"{words} of each {per} together"


LAYOUTS: tuple[FusedLayout, ...] = (
    FusedLayout("", 1, module=r"attn_qkv"),  # llama.cpp's converter brings all models to this order
    FusedLayout("", 1, module=r"in_proj_(weight|bias)$"),  # torch.nn.MultiheadAttention
    FusedLayout("codegen", 4, order="qvk"),
    FusedLayout("chatglm", 1, needs="multi_query_attention"),
    FusedLayout(
        "gpt_neox gpt_neox_japanese bloom falcon refinedweb refinedwebmodel gpt_bigcode persimmon internlm2 deberta "
        "chatglm",
        None,
    ),
    FusedLayout(
        "gpt2 openai-gpt imagegpt decision_transformer phi3 phi4mm qwen mpt dbrx openelm modernbert nomic_bert vit "
        "swin beit data2vec-vision sam clip",
        1,
    ),
    FusedLayout("", None, module=r"query_key_value", is_certain=False),
    FusedLayout("", 1, is_certain=False),
)
"""The first row that fits counts. Sources: transformers' modelling files, llama.cpp's convert_hf_to_gguf.py, timm."""


def fused_layout(family: str, name: str, config: dict) -> FusedLayout:
    """The layout of a fused matrix.

    Args: family: `engine.naming.family`. name: of the tensor. config: of the model.
    """
    return next(
        row
        for row in LAYOUTS
        if (not row.families or family in row.families.split())
        and re.search(row.module, name)
        and (not row.needs or config.get(row.needs))
    )


def fused_start(layout: FusedLayout, kind: str, head: int, heads: int, kv_heads: int, width: int) -> int:
    """Where a head's features begin in a fused matrix.

    Args:
        kind: "q", "k" or "v". head: among the heads of that kind. heads, kv_heads: of queries, and of keys and values,
            both multiples of the number of groups. width: of a head.
    """
    groups = layout.groups or kv_heads
    in_group = {"q": heads // groups, "k": kv_heads // groups, "v": kv_heads // groups}
    group, place = divmod(head, in_group[kind])
    before = sum(in_group[other] for other in layout.order[: layout.order.index(kind)])
    return (group * sum(in_group.values()) + before + place) * width
