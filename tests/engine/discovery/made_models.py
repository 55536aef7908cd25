"""Small decoders made of noise, and their relatives: children, siblings, and the same model in another order."""

from __future__ import annotations

import numpy as np

LAYERS, WIDTH, HEADS, HIDDEN, VOCABULARY, SCALE = 2, 96, 4, 256, 400, 0.02
SIZE = WIDTH // HEADS
CONFIG = {
    "model_type": "llama",
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "initializer_range": SCALE,
}
Arrays = dict[str, np.ndarray]


def decoder(seed: int, groups: int = HEADS) -> Arrays:
    """Weights that are nothing but noise; norms at 1."""
    random = np.random.default_rng(seed)
    shapes = {"self_attn.q_proj": (WIDTH, WIDTH), "self_attn.o_proj": (WIDTH, WIDTH)}
    shapes |= dict.fromkeys(("self_attn.k_proj", "self_attn.v_proj"), (groups * SIZE, WIDTH))
    shapes |= {"mlp.gate_proj": (HIDDEN, WIDTH), "mlp.up_proj": (HIDDEN, WIDTH), "mlp.down_proj": (WIDTH, HIDDEN)}
    named = {f"model.layers.{i}.{name}.weight": shape for i in range(LAYERS) for name, shape in shapes.items()}
    named["model.embed_tokens.weight"] = (VOCABULARY, WIDTH)
    found = {name: (random.standard_normal(shape) * SCALE).astype(np.float32) for name, shape in named.items()}
    for i in range(LAYERS):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            found[f"model.layers.{i}.{norm}.weight"] = np.ones(WIDTH, np.float32)
    return found | {"model.norm.weight": np.ones(WIDTH, np.float32)}


def mixed(parent: Arrays, correlation: float, seed: int, tail: float = 0.0) -> Arrays:
    """A child whose weights correlate so with the parent's; `tail`: degrees of freedom of what it learnt, 0 normal."""
    random, found = np.random.default_rng(seed), dict(parent)
    for name, each in parent.items():
        if each.ndim == 2:
            noise = random.standard_t(tail, each.shape) if tail else random.standard_normal(each.shape)
            own = SCALE * noise / noise.std()
            found[name] = (correlation * each + np.sqrt(1 - correlation**2) * own).astype(np.float32)
    return found


def reordered(model: Arrays, seed: int, groups: int = HEADS, with_stream: bool = True) -> Arrays:
    """The same model with heads, value channels, feed-forward units and, if asked, the stream in another order."""
    random = np.random.default_rng(seed)
    stream, share = random.permutation(WIDTH) if with_stream else np.arange(WIDTH), HEADS // groups
    found = {"model.embed_tokens.weight": model["model.embed_tokens.weight"][:, stream]}
    for name, each in model.items():
        if each.ndim == 1:
            found[name] = each[stream]
    for i in range(LAYERS):
        at = f"model.layers.{i}."
        units, order = random.permutation(HIDDEN), random.permutation(groups)
        heads = np.concatenate([g * share + random.permutation(share) for g in order])
        inside = {g: random.permutation(SIZE) for g in range(groups)}
        rows = {
            "self_attn.q_proj": np.concatenate([head * SIZE + np.arange(SIZE) for head in heads]),
            "self_attn.k_proj": np.concatenate([g * SIZE + np.arange(SIZE) for g in order]),
            "self_attn.v_proj": np.concatenate([g * SIZE + inside[g] for g in order]),
            "mlp.gate_proj": units,
            "mlp.up_proj": units,
        }
        for name, which in rows.items():
            found[f"{at}{name}.weight"] = model[f"{at}{name}.weight"][which][:, stream]
        columns = np.concatenate([head * SIZE + inside[head // share] for head in heads])
        found[f"{at}self_attn.o_proj.weight"] = model[f"{at}self_attn.o_proj.weight"][stream][:, columns]
        found[f"{at}mlp.down_proj.weight"] = model[f"{at}mlp.down_proj.weight"][stream][:, units]
    return found


def shuffled(model: Arrays, seed: int) -> Arrays:
    """Every matrix with its entries in random places."""
    random = np.random.default_rng(seed)
    return {
        n: random.permutation(each.ravel()).reshape(each.shape) if each.ndim == 2 else each for n, each in model.items()
    }
