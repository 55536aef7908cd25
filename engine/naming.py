"""Where a tensor sits in its network, read from its name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from engine.naming_rows import FAMILY_ROWS, PART_WORDS, ROLE_ROWS, ROLE_TITLES


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor's place in the network.

    Attributes:
        layer: block number, from 0; None outside the stack (embeddings, final norm, head).
        role: what it does, in the field's terms: "token_embedding", "query", "key", "value", "qkv", "output", "ffn_in",
            "ffn_gate", "ffn_out", "attention_norm", "ffn_norm", "final_norm", "lm_head", "convolution", "other", …
        part: "weight", "bias", "running_mean", … (the last dotted name).
        stack: "encoder", "decoder", "vision", "text", … where a model has several stacks; "" otherwise.
    """

    layer: int | None
    role: str
    part: str
    stack: str = ""


ROLES: tuple[str, ...] = tuple(ROLE_TITLES)
"""Every role that is known by name, in reading order: embeddings, attention, feed-forward, the rest, the head."""


def role_title(role: str) -> str:
    """A role as a person reads it: "ffn_in" is "Feed-forward in"; an unknown role is its own name, capitalised."""
    return ROLE_TITLES.get(role) or role.replace("_", " ").strip().capitalize() or ROLE_TITLES["other"]


def place(name: str, shape: tuple[int, ...] | None = None) -> Place:
    """The layer, role, part and stack that a tensor's name tells.

    Known names come from a table (`engine.naming_rows`). For others the layer is the first number after a container
    such as `blocks`, or the only number there is, and the role is the last word of the name. GPT-2's `c_attn`, `c_fc`
    and `c_proj` store (in, out), transposed to all others: the role is the same, the axes are not. Gemma 2 and OLMo 2
    call the norm after attention `post_attention_layernorm`, which elsewhere is the norm before the feed-forward: one
    name alone cannot tell, and gives "ffn_norm".

    Args:
        name: any text.
        shape: helps only where the name says nothing: four dimensions are a convolution.
    Returns: a Place; never raises.
    """
    words = [word for word in re.split(r"[./]", name) if word and word not in _WRAPPERS]
    module, part = _split_part(words)
    layer, stage = _layer(module)
    path = ".".join(module)
    role = _role(module, ("#" if layer is not None else "") + path, part, shape)
    recurrent = _RECURRENT.search(part)
    if recurrent is not None:
        role = "recurrent_input" if recurrent["kind"] == "ih" else "recurrent_hidden"
        layer = int(recurrent["layer"]) if recurrent["layer"] else layer
        part = recurrent["part"]
    return Place(layer, role, _SHORT_PARTS.get(part, part), stage or _stack(path))


def family(names: Iterable[str], config: dict | None = None) -> str:
    """The model's architecture: `model_type` of its config, else what its tensor names look like, else "unknown".

    Args:
        names: all tensor names. config: the model's config.json.
    """
    said = (config or {}).get("model_type")
    if isinstance(said, str) and re.fullmatch(r"[\w.-]{1,64}", said):
        return said.lower()
    text = "\n".join(names)
    return next((name for name, pattern in _FAMILIES if pattern.search(text)), "unknown")


_WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer"})
_PARTS = frozenset(PART_WORDS.split())
"""Last words that name a module's tensor, not the module."""

_SHORT_PARTS = {
    "in_proj_weight": "weight",
    "in_proj_bias": "bias",
    "gate_up_proj_bias": "bias",
    "down_proj_bias": "bias",
    "dt_bias": "bias",
    "q_bias": "bias",
    "k_bias": "bias",
    "v_bias": "bias",
    "qkv_bias": "bias",
}
_TRANSPARENT = frozenset({"default", "parametrizations", "original", "original0", "original1", "self"})
"""Modules that only wrap the one that matters."""

_CONTAINER = re.compile(r"(^|_)(h|blk|layer|block|stage|cell|unit|resblock|\w*(layers|blocks|stages|cells|units))$")
_NO_CONTAINER = re.compile(r"experts?$|heads?$|adapters?$|parametrizations$")
_NUMBERED = re.compile(r"(?:layers?|blocks?|h|encoderblock|decoderblock|resblock|stages?)[_-]?(\d{1,6})")
_STAGES = frozenset({"stages", "layers", "blocks", "down_blocks", "up_blocks"})
_RECURRENT = re.compile(r"^(?P<part>weight|bias)_(?P<kind>ih|hh)(?:_l(?P<layer>\d{1,6}))?(?:_reverse)?$")
_STACKS = (
    ("vision", re.compile(r"(^|\.)(vision_model|vision_tower|visual|image_encoder|vision_encoder)\.|^v\.blk\.")),
    ("audio", re.compile(r"(^|\.)(audio_model|audio_tower|audio_encoder)\.|^a\.blk\.")),
    ("text", re.compile(r"(^|\.)(text_model|language_model|text_encoder|text_tower)\.")),
    ("decoder", re.compile(r"(^|\.)decoder\.(?!layer\.|weight|bias)|^dec\.")),
    ("encoder", re.compile(r"(^|\.)encoder\.(?!layer\.)|^enc\.")),
)
_ONNX_VALUE = re.compile(r"^onnx::(\w+)_\d+$")
"""How PyTorch's exporter calls a weight that it changed, after the operator that takes it: `onnx::MatMul_1234`."""

_CROSS = re.compile(r"encoder_attn|EncDecAttention|cross_?attn|crossattention|cross_attention|\battn2\b", re.IGNORECASE)
_FAMILIES = tuple((name, re.compile(pattern, re.MULTILINE)) for name, pattern in FAMILY_ROWS)


def _rows_by_module() -> dict[str, list[tuple[re.Pattern[str], str]]]:
    table: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    for role, modules, context in ROLE_ROWS:
        pattern = re.compile(context)
        for module in modules.split():
            table.setdefault(module, []).append((pattern, role))
    return table


_ROWS = _rows_by_module()


def _split_part(words: list[str]) -> tuple[list[str], str]:
    """The module's words and the tensor's own word; a name of one word is both."""
    if not words:
        return [], ""
    is_layer_scale = words[-1] == "gamma" and len(words) > 1 and _is_number(words[-2])
    if not is_layer_scale and (words[-1] in _PARTS or _RECURRENT.match(words[-1])):
        module = words[:-1]
        if module and module[-1] == "default":  # adapters: q_proj.lora_A.default.weight
            module = module[:-1]
        if module and module[-1] in ("lora_A", "lora_B"):
            return module[:-1], module[-1]
        return module, words[-1]
    return words, words[-1]


def _layer(words: list[str]) -> tuple[int | None, str]:
    """The block number, and the stage if blocks are counted anew in each (ResNet, Swin, ConvNeXt)."""
    counted = [(i, int(word)) for i, word in enumerate(words) if _is_number(word)]
    numbered = [(i, int(m[1])) for i, word in enumerate(words) if (m := _NUMBERED.fullmatch(word))]
    if numbered:
        i, number = numbered[0]
        if i + 1 < len(words) and _is_number(words[i + 1]):
            return int(words[i + 1]), f"stage{number}"
        return number, ""
    inside = [(i, n) for i, n in counted if i and _CONTAINER.search(words[i - 1])]
    if not inside:
        free = [n for i, n in counted if not (i and _NO_CONTAINER.search(words[i - 1]))]
        plural = [n for i, n in counted if i and words[i - 1].endswith("s") and not _NO_CONTAINER.search(words[i - 1])]
        return (plural[0] if plural else free[0] if len(free) == 1 else None), ""
    i, number = inside[0]
    if words[i - 1] in _STAGES and len(inside) > 1 and inside[1][0] == i + 2 and words[i + 1] in _STAGES:
        return inside[1][1], f"stage{number}"
    return number, ""


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= 6


def _role(words: list[str], path: str, part: str, shape: tuple[int, ...] | None) -> str:
    meaningful = [word for word in words if not _is_number(word) and word not in _TRANSPARENT]
    if not meaningful:
        return "other"
    module = meaningful[-1]
    role = next((role for pattern, role in _ROWS.get(module, ()) if pattern.search(path)), None)
    if role == "attention_mask" and "bias" not in part:
        role = None
    if role is None:
        role = _generic_role(module, path, shape)
    if _CROSS.search(path) and f"cross_{role}" in ROLE_TITLES:
        return f"cross_{role}"
    if role.startswith("ffn_") and ("shared_expert" in path or module.endswith("_shexp")):
        role = f"shared_expert_{role}"
    elif role.startswith("ffn_") and ("experts" in path or module.endswith("_exps")):
        role = f"expert_{role}"
    return role


_GENERIC = (
    ("convolution_norm", re.compile(r"^bn\d*$|batch_?norm")),
    ("attention_norm", re.compile(r"(attn|attention)\w*norm")),
    ("ffn_norm", re.compile(r"(ffn|mlp|feed_?forward)\w*norm")),
    ("norm", re.compile(r"norm|^ln_?\d*$|_ln$")),
    ("position_embedding", re.compile(r"pos\w*emb")),
    ("segment_embedding", re.compile(r"(type|segment)\w*emb")),
    ("token_embedding", re.compile(r"emb(ed|edding|eddings)?s?$|^(tok|word)\w*emb")),
    ("recurrent_input", re.compile(r"w_ih$|b_ih$")),
    ("recurrent_hidden", re.compile(r"w_hh$|b_hh$")),
    ("convolution", re.compile(r"conv(olution)?\d*[a-z]?$|^conv_?\w*$")),
    ("classifier", re.compile(r"^fc_[wb]$")),
    ("linear", re.compile(r"^(fc|linear|lin|dense|matmul|gemm)_?\d*$")),
)


def _generic_role(module: str, path: str, shape: tuple[int, ...] | None) -> str:
    """For a module that the table does not know: by the words in its name, by its shape, or the name itself."""
    lowered = _ONNX_VALUE.sub(r"\1", module.lower())
    for role, pattern in _GENERIC:
        if pattern.search(lowered):
            return role
    if shape is not None and len(shape) in (4, 5):
        return "convolution"
    return re.sub(r"\W+", "_", lowered)[:64].strip("_") or "other"


def _stack(path: str) -> str:
    return next((stack for stack, pattern in _STACKS if pattern.search(path)), "")
