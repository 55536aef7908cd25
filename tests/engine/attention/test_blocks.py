"""Which tensors make an attention, and how many heads it has, from names, shapes and config alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import engine.sources
from engine.attention.blocks import attention_blocks, has_compressed_attention
from engine.attention.counts import HeadCounts, head_counts
from engine.attention.heads import guessed_counts, read_bias, read_head, split_heads
from engine.attention.layouts import LAYOUTS, fused_layout, fused_start
from engine.errors import MeasureError
from engine.sources.base import TensorInfo


def infos(**shapes):
    return [TensorInfo(name.replace("__", "."), shape, "F32", 0, "m") for name, shape in shapes.items()]


def checkpoint(shapes, config=None):
    """Headers without data, as far as splitting looks at them."""
    found = [TensorInfo(name, shape, "F32", 0, "m") for name, shape in shapes.items()]
    return SimpleNamespace(infos=lambda: found, config=config or {})


def split(shapes, config=None, asked=None):
    source = checkpoint(shapes, config)
    (block,) = attention_blocks(source.infos())
    return split_heads(source, block, asked)


SEPARATE = {f"layers.0.self_attn.{p}_proj.weight": (64, 64) for p in "qkvo"}

NAMES = [
    ("encoder.layer.3.attention.self.query.weight", "encoder.layer.3.attention.output.dense.weight", "qkv"),
    ("h.3.attn.c_attn.weight", "h.3.attn.c_proj.weight", "f"),
    ("blk.3.attn_qkv.weight", "blk.3.attn_output.weight", "f"),
    ("blocks.3.attn.qkv.weight", "blocks.3.attn.proj.weight", "f"),
    ("transformer.resblocks.3.attn.in_proj_weight", "transformer.resblocks.3.attn.out_proj.weight", "f"),
    ("encoder.layers.encoder_layer_3.self_attention.in_proj_weight", "", "f"),
    ("down.0.attentions.1.transformer_blocks.3.attn1.to_q.weight", "", "qkv"),
]


@pytest.mark.parametrize(("first", "output", "kind"), NAMES)
def test_an_attention_is_found_under_every_naming_with_its_output(first, output, kind):
    shapes = {first: (192 if kind == "f" else 64, 64)}
    if kind == "qkv":
        for old, other in (("query", "key"), ("query", "value"), ("to_q", "to_k"), ("to_q", "to_v")):
            if old in first:
                shapes[first.replace(old, other)] = (64, 64)
    if output:
        shapes[output] = (64, 64)
    source = checkpoint(shapes)
    (block,) = attention_blocks(source.infos())
    assert block.layer == 3 or "encoder_layer_3" in first
    assert (block.tensor("output") is not None) == bool(output)


def test_attentions_come_in_reading_order_with_cross_attention_beside_its_layer():
    names = [
        f"decoder.layers.{k}.{a}.{p}_proj.weight" for k in (10, 2) for a in ("encoder_attn", "self_attn") for p in "qkv"
    ]
    names += [f"encoder.layers.0.self_attn.{p}_proj.weight" for p in "qkv"]
    blocks = attention_blocks(infos(**{name.replace(".", "__"): (8, 8) for name in names}))
    assert [block.title for block in blocks] == [
        "Encoder layer 0",
        "Decoder layer 2",
        "Decoder layer 2, cross-attention",
        "Decoder layer 10",
        "Decoder layer 10, cross-attention",
    ]


def test_two_attentions_of_one_layer_stay_apart():
    names = [f"transformer_blocks.0.attn{n}.to_{p}.weight" for n in (1, 2) for p in "qkv"]
    blocks = attention_blocks(infos(**{name.replace(".", "__"): (8, 8) for name in names}))
    assert len(blocks) == 2 and len({(block.path, block.is_cross) for block in blocks}) == 2


def test_a_model_without_attention_has_no_blocks(real_dir):
    for path in ("silero-vad/silero_vad_16k.safetensors", "resnet-cifar10/resnet20-12fca82f.th", "g2p-en"):
        assert attention_blocks(engine.sources.open(real_dir / path).infos()) == ()


def test_queries_without_values_are_no_attention():
    assert attention_blocks(infos(layers__0__attn__q_proj__weight=(8, 8), layers__0__attn__k_proj__weight=(8, 8))) == ()


def test_compressed_attention_is_recognised_and_not_split():
    names = ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
    found = infos(**{f"layers__0__self_attn__{name}__weight": (8, 8) for name in names})
    assert has_compressed_attention(found) and attention_blocks(found) == ()


@pytest.mark.parametrize(
    ("config", "stack", "layer", "expected"),
    [
        ({"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 16}, "", 0, (8, 2, 16)),
        ({"n_head": 12}, "", 5, (12, None, None)),
        ({"num_heads": 4, "d_kv": 5}, "encoder", 0, (4, None, 5)),
        ({"encoder_attention_heads": 4, "decoder_attention_heads": 6}, "decoder", 0, (6, None, None)),
        ({"text_config": {"num_attention_heads": 8}, "vision_config": {"num_heads": 3}}, "vision", 0, (3, None, None)),
        ({"text_config": {"num_attention_heads": 8}, "vision_config": {"num_heads": 3}}, "", 0, (8, None, None)),
        ({"num_heads": [3, 6, 12]}, "stage1", 4, (6, None, None)),
        ({"num_attention_heads": [4, 8]}, "", 1, (8, None, None)),
        ({"num_attention_heads": [4, 8]}, "", 2, (None, None, None)),
        ({"num_attention_heads": True, "head_dim": "64", "num_heads": 0}, "", 0, (None, None, None)),
        ({}, "", 0, (None, None, None)),
    ],
)
def test_numbers_of_heads_are_read_from_every_usual_key(config, stack, layer, expected):
    counts = head_counts(config, stack, layer)
    assert (counts.heads, counts.kv_heads, counts.width) == expected


def test_without_a_config_the_width_is_guessed_and_said_to_be():
    heads = split(SEPARATE)
    assert (heads.num_heads, heads.width, heads.origin) == (1, 64, "guess")
    heads = split(SEPARATE, asked=HeadCounts(width=16, origin="asked"))
    assert (heads.num_heads, heads.width, heads.origin) == (4, 16, "asked")
    heads = split(SEPARATE, {"num_attention_heads": 2}, HeadCounts(width=16, origin="asked"))
    assert (heads.num_heads, heads.origin) == (2, "config")


def test_a_guess_fits_queries_and_keys_of_different_size():
    shapes = SEPARATE | {f"layers.0.self_attn.{p}_proj.weight": (48, 64) for p in "kv"}
    (block,) = attention_blocks(checkpoint(shapes).infos())
    assert guessed_counts(block).width == 16


@pytest.mark.parametrize(
    ("change", "config", "words"),
    [
        ({"layers.0.self_attn.q_proj.weight": (64,)}, {}, "expected a matrix, got 64"),
        ({"layers.0.self_attn.v_proj.weight": (64, 64, 1, 1)}, {}, "got 64 × 64 × 1 × 1"),
        ({"layers.0.self_attn.k_proj.weight": (0, 64)}, {}, "got 0 × 64"),
        ({}, {"num_attention_heads": 5}, "cannot be split into 5 heads"),
        ({}, {"num_attention_heads": 4, "head_dim": 8}, "4 heads of width 8"),
        ({"layers.0.self_attn.q_proj.weight": (128, 64)}, {"num_attention_heads": 4, "head_dim": 16}, "128 query"),
        ({"layers.0.self_attn.o_proj.weight": (64, 60)}, {"num_attention_heads": 4}, "cannot be split"),
        ({f"layers.0.self_attn.{p}_proj.weight": (48, 64) for p in "kv"}, {"num_attention_heads": 4}, "48 key"),
        ({"layers.0.self_attn.q_proj.qweight": (8, 64)}, {}, "packed integers"),
    ],
)
def test_shapes_that_cannot_be_heads_are_refused_with_their_numbers(change, config, words):
    with pytest.raises(MeasureError, match=words) as error:
        split(SEPARATE | change, config)
    assert error.value.hint


def test_a_head_that_is_not_there_is_refused():
    with pytest.raises(MeasureError, match="no head 1"):
        split(SEPARATE).slice("query", 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("heads", "kv_heads"), [(8, 8), (8, 4), (4, 4)])
def test_every_layout_gives_every_feature_to_exactly_one_head(layout, heads, kv_heads):
    if layout.groups and (heads % layout.groups or kv_heads % layout.groups):
        pytest.skip("such a model does not exist")
    width = 3
    starts = [fused_start(layout, "q", head, heads, kv_heads, width) for head in range(heads)]
    starts += [fused_start(layout, kind, head, heads, kv_heads, width) for kind in "kv" for head in range(kv_heads)]
    assert sorted(starts) == list(range(0, (heads + 2 * kv_heads) * width, width))


@pytest.mark.parametrize(
    ("family", "name", "config", "description", "is_certain"),
    [
        ("gpt2", "h.0.attn.c_attn.weight", {}, "queries, keys, values, one after another", True),
        ("gpt_neox", "layers.0.attention.query_key_value.weight", {}, "of each key/value head together", True),
        ("gpt_neox", "blk.0.attn_qkv.weight", {}, "one after another", True),
        ("chatglm", "query_key_value.weight", {"multi_query_attention": True}, "one after another", True),
        ("chatglm", "query_key_value.weight", {}, "of each key/value head together", True),
        ("someone", "layers.0.query_key_value.weight", {}, "of each key/value head together", False),
        ("someone", "layers.0.attn.qkv.weight", {}, "one after another", False),
        ("codegen", "h.0.attn.qkv_proj.weight", {}, "queries, values, keys of each group together", True),
    ],
)
def test_a_fused_matrix_is_read_as_its_family_writes_it(family, name, config, description, is_certain):
    layout = fused_layout(family, name, config)
    assert description in layout.description and layout.is_certain == is_certain


def test_fused_matrices_of_torch_and_timm_split_like_their_own_chunks(tmp_path, write_safetensors):
    rng = np.random.default_rng(0)
    w, b, o = rng.normal(size=(36, 12)), rng.normal(size=36), rng.normal(size=(12, 12))
    for fused, out, bias in (("in_proj_weight", "out_proj", "in_proj_bias"), ("qkv.weight", "proj", "qkv.bias")):
        arrays = {f"blocks.0.attn.{fused}": w, f"blocks.0.attn.{out}.weight": o, f"blocks.0.attn.{bias}": b}
        source = engine.sources.open(write_safetensors(tmp_path / fused / "model.safetensors", arrays))
        (block,) = attention_blocks(source.infos())
        heads = split_heads(source, block, HeadCounts(width=4, origin="asked"))
        for k, part in enumerate(("query", "key", "value")):
            np.testing.assert_array_equal(read_head(source, heads, part, 2), np.split(w, 3)[k][8:12])
            np.testing.assert_array_equal(read_bias(source, heads, part, 1), np.split(b, 3)[k][4:8])
        np.testing.assert_array_equal(read_head(source, heads, "output", 1), o[:, 4:8])


def test_fused_keys_and_values_are_taken_apart(tmp_path, write_safetensors):
    rng = np.random.default_rng(1)
    q, kv = rng.normal(size=(8, 8)), rng.normal(size=(16, 8))
    arrays = {"blocks.0.attn.q.weight": q, "blocks.0.attn.kv.weight": kv, "blocks.0.attn.kv.bias": kv[:, 0]}
    source = engine.sources.open(write_safetensors(tmp_path / "model.safetensors", arrays))
    (block,) = attention_blocks(source.infos())
    heads = split_heads(source, block, HeadCounts(width=4))
    np.testing.assert_array_equal(read_head(source, heads, "key", 1), kv[4:8])
    np.testing.assert_array_equal(read_head(source, heads, "value", 1), kv[12:16])
    np.testing.assert_array_equal(read_bias(source, heads, "value", 0), kv[8:12, 0])
    assert read_bias(source, heads, "query", 0) is None and read_head(source, heads, "output", 0) is None


def test_the_region_of_a_head_is_where_the_heatmap_shows_it():
    heads = split(SEPARATE, {"num_attention_heads": 4})
    assert heads.slice("query", 1).region == (16, 32, 0, 64)
    assert heads.slice("output", 1).region == (0, 64, 16, 32)
    turned = split({"h.0.attn.c_attn.weight": (8, 24), "h.0.attn.c_proj.weight": (8, 8)}, {"n_head": 2})
    assert turned.is_turned
    assert turned.slice("value", 1).region == (0, 8, 20, 24)
    assert turned.slice("output", 1).region == (4, 8, 0, 8)
