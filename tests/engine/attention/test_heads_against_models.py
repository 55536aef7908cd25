"""Heads as we split them against what transformers computes with the very same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.attention.blocks import attention_blocks
from engine.attention.heads import HeadWeights, read_bias, read_head, split_heads
from tests.engine.attention.conftest import MODELS, TOKENS

SCALES = {"t5": 1.0}
"""Times q·k; elsewhere 1/√d."""

PIXELS = torch.linspace(-2, 2, 3 * 8 * 8).reshape(1, 3, 8, 8).sin()


def forward(model, **options):
    """One pass over fixed inputs with every token at position 0, where rotary positions change nothing."""
    kind = model.config.model_type
    given = {"attention_mask": torch.ones_like(TOKENS), "input_ids": TOKENS}
    if kind == "vit":
        given = {"pixel_values": PIXELS}
    elif kind == "clip":
        given |= {"pixel_values": PIXELS}
    elif model.config.is_encoder_decoder:
        given |= {"decoder_input_ids": TOKENS.flip(1)[:, :5]}
    elif kind in ("llama", "qwen2", "gpt_neox", "falcon", "persimmon", "phi3", "codegen"):
        given |= {"position_ids": torch.zeros_like(TOKENS)}
    with torch.inference_mode():
        return model(**given, **options)


def parameter_of(model, info):
    """(name, parameter) of a stored tensor; found by its random numbers, since files and modules differ in names."""
    stored = torch.from_numpy(np.array(model.stored[info.name]))
    return next((n, p) for n, p in model.named_parameters() if p.shape == stored.shape and torch.equal(p, stored))


def module_of(model, info):
    return model.get_submodule(parameter_of(model, info)[0].rpartition(".")[0])


class Watched:
    """What goes into and comes out of some modules during one pass."""

    def __init__(self, model, *infos):
        self.inputs, self.outputs = {}, {}
        handles = []
        for info in infos:

            def hook(_module, arguments, output, name=info.name):
                self.inputs[name] = arguments[0].detach().double().numpy()
                self.outputs[name] = (output[0] if isinstance(output, tuple) else output).detach().double().numpy()

            handles.append(module_of(model, info).register_forward_hook(hook))
        self.result = forward(model, output_attentions=True)
        for handle in handles:
            handle.remove()


def blocks_of(name, source):
    """The attentions of the last layer of each stack."""
    blocks = attention_blocks(source.infos())
    assert len(blocks) == {"t5": 6, "bart": 6, "clip": 4}.get(name, 2)
    return [block for block in blocks if block.layer == 1]


@pytest.mark.parametrize("name", MODELS)
def test_zeroing_the_value_rows_of_a_head_silences_exactly_the_output_columns_of_its_heads(name, made_model):
    model, source = made_model(name)
    for block in blocks_of(name, source):
        heads = split_heads(source, block)
        output = heads.block.weights["output"]
        before = Watched(model, output).inputs[output.name]
        for kv in range(heads.num_kv_heads):
            readers = [head for head in range(heads.num_heads) if heads.kv_head(head) == kv]
            kept = []
            for where in (heads.slice("value", readers[0]), heads.bias_slice("value", readers[0])):
                if where is not None:
                    parameter = parameter_of(model, where.info)[1].detach()
                    kept.append((parameter, parameter.clone()))
                    run = slice(where.start, where.stop)
                    parameter[(slice(None), run) if where.axis and parameter.ndim > 1 else run] = 0
            after = Watched(model, output).inputs[output.name]
            for parameter, values in kept:
                parameter.copy_(values)
            silent = np.zeros(before.shape[-1], bool)
            for head in readers:
                columns = heads.slice("output", head)
                silent[columns.start : columns.stop] = True
            assert np.abs(before[..., silent]).max() > 1e-3
            assert not after[..., silent].any()
            np.testing.assert_array_equal(after[..., ~silent], before[..., ~silent])


@pytest.mark.parametrize("name", MODELS)
def test_outputs_of_all_heads_add_up_to_what_the_output_projection_gives(name, made_model):
    model, source = made_model(name)
    for block in blocks_of(name, source):
        heads = split_heads(source, block)
        info = block.weights["output"]
        seen = Watched(model, info)
        z, total = seen.inputs[info.name], 0.0
        for head in range(heads.num_heads):
            where = heads.slice("output", head)
            total = total + z[..., where.start : where.stop] @ read_head(source, heads, "output", head).T
        bias = block.biases.get("output")
        total = total + (source.read(bias.name).astype(np.float64) if bias is not None else 0.0)
        np.testing.assert_allclose(total, seen.outputs[info.name], atol=2e-5 * max(1.0, np.abs(total).max()))


def map_of(name, block, result):
    """The model's own attention probabilities of a block: (heads, queries, keys)."""
    if name == "clip":
        result = result.vision_model_output if block.stack == "vision" else result.text_model_output
    if name in ("t5", "bart"):
        kind = "cross_attentions" if block.is_cross else f"{block.stack}_attentions"
        return getattr(result, kind)[block.layer][0].double().numpy()
    return result.attentions[block.layer][0].double().numpy()


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("bloom", "deberta")])
def test_queries_and_keys_of_a_head_give_the_models_own_attention(name, made_model):
    model, source = made_model(name)
    for parameter_name, parameter in model.named_parameters():
        if "relative_attention_bias" in parameter_name:
            parameter.detach().zero_()
    for block in blocks_of(name, source):
        heads = split_heads(source, block)
        infos = (block.tensor("query"), block.tensor("key"))
        seen = Watched(model, *infos)
        theirs = map_of(name, block, seen.result)
        x, y = (seen.inputs[info.name].reshape(-1, seen.inputs[info.name].shape[-1]) for info in infos)
        for head in range(heads.num_heads):
            q, k = projected(source, heads, "query", head, x), projected(source, heads, "key", head, y)
            scores = q @ k.T * SCALES.get(name, heads.width**-0.5)
            ours = softmax(np.where(theirs[head] > 0, scores, -np.inf))
            np.testing.assert_allclose(ours, theirs[head], atol=1e-5)


def test_scores_of_bloom_differ_from_its_attention_only_by_its_position_bias(made_model):
    """ALiBi adds a number that depends on the key's position alone: log p − s has the same differences in every row."""
    model, source = made_model("bloom")
    for block in attention_blocks(source.infos()):
        heads = split_heads(source, block)
        seen = Watched(model, block.tensor("query"))
        x = seen.inputs[block.tensor("query").name][0]
        for head in range(heads.num_heads):
            scores = projected(source, heads, "query", head, x) @ projected(source, heads, "key", head, x).T
            with np.errstate(divide="ignore"):
                rest = np.log(map_of("bloom", block, seen.result)[head]) - scores * heads.width**-0.5
            last = rest[-1] - rest[-1, 0]
            for i in range(1, len(rest)):
                np.testing.assert_allclose(rest[i, : i + 1] - rest[i, 0], last[: i + 1], atol=1e-3)


@pytest.mark.parametrize("name", ["llama", "gpt2", "falcon-40b"])
def test_a_head_read_alone_is_the_head_of_the_whole_matrices(name, made_model):
    _, source = made_model(name)
    heads = split_heads(source, attention_blocks(source.infos())[1])
    weights = HeadWeights(source, heads)
    for part in ("query", "key", "value", "output"):
        for head in range(heads.num_heads):
            np.testing.assert_array_equal(read_head(source, heads, part, head), weights.matrix(part, head))


def projected(source, heads, part, head, x):
    bias = read_bias(source, heads, part, head)
    return x @ read_head(source, heads, part, head).T + (0.0 if bias is None else bias)


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
