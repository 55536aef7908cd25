"""Bytes needed, by closed form on known models; verdicts at their borders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.fit import (
    CacheShape,
    Needs,
    context_length,
    needs_to_run,
    needs_to_train,
    network_shape,
    verdict,
)

LLAMA_2_7B = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "intermediate_size": 11008,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
}


@pytest.mark.parametrize(
    ("config", "num_bytes"),
    [
        (LLAMA_2_7B, 524_288),
        (LLAMA_2_7B | {"num_key_value_heads": 8}, 131_072),  # Llama-3-8B
        (  # GPT-2: 12 layers of width 768
            {"architectures": ["GPT2LMHeadModel"], "n_layer": 12, "n_embd": 768, "n_head": 12},
            2 * 12 * 768 * 2,
        ),
        (  # Qwen2.5-0.5B: the head width is not hidden / heads in every model, but here it is 64
            {
                "architectures": ["Qwen2ForCausalLM"],
                "num_hidden_layers": 24,
                "hidden_size": 896,
                "num_attention_heads": 14,
                "num_key_value_heads": 2,
            },
            2 * 24 * 2 * 64 * 2,
        ),
        (  # Gemma-7B: heads wider than hidden / heads
            {
                "architectures": ["GemmaForCausalLM"],
                "num_hidden_layers": 28,
                "hidden_size": 3072,
                "num_attention_heads": 16,
                "num_key_value_heads": 16,
                "head_dim": 256,
            },
            2 * 28 * 16 * 256 * 2,
        ),
        (  # DeepSeek-V3 keeps one latent of 512 and a rotary key of 64 a layer
            {
                "architectures": ["DeepseekV3ForCausalLM"],
                "num_hidden_layers": 61,
                "hidden_size": 7168,
                "num_attention_heads": 128,
                "kv_lora_rank": 512,
                "qk_rope_head_dim": 64,
            },
            61 * 576 * 2,
        ),
        (  # Falcon-7B: one key-value head for all
            {
                "architectures": ["FalconForCausalLM"],
                "num_hidden_layers": 32,
                "hidden_size": 4544,
                "num_attention_heads": 71,
                "multi_query": True,
            },
            2 * 32 * 64 * 2,
        ),
        (  # T5-small: self- and cross-attention of six decoder layers
            {
                "architectures": ["T5ForConditionalGeneration"],
                "is_encoder_decoder": True,
                "num_layers": 6,
                "num_decoder_layers": 6,
                "d_model": 512,
                "d_kv": 64,
                "num_heads": 8,
            },
            2 * 2 * 6 * 512 * 2,
        ),
        (  # LLaVA: the language model's part counts
            {"architectures": ["LlavaForConditionalGeneration"], "text_config": dict(LLAMA_2_7B)},
            524_288,
        ),
    ],
)
def test_the_kv_cache_of_a_token_is_that_of_the_published_shapes(config, num_bytes):
    assert network_shape(config).cache.num_bytes(1) == num_bytes


def test_an_encoder_keeps_no_cache_and_a_network_without_layers_has_no_shape():
    bert = {"architectures": ["BertModel"], "num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12}
    assert network_shape(bert).cache is None
    assert network_shape({}) is None
    assert network_shape({"hidden_size": 64}) is None


@pytest.mark.parametrize("bad", [-1, 0, True, "32", None, 10**12, 3.0, [32]])
def test_senseless_numbers_in_a_config_are_no_numbers(bad):
    assert network_shape(LLAMA_2_7B | {"num_hidden_layers": bad}) is None
    assert network_shape(LLAMA_2_7B | {"num_attention_heads": bad, "num_key_value_heads": bad}).cache is None


def test_llama_2_7b_at_4096_tokens_takes_13_and_2_gigabytes():
    shape = network_shape(LLAMA_2_7B)
    needs = needs_to_run(6_738_415_616, 16, shape=shape, tokens=4096)
    assert needs.weights == 13_476_831_232
    assert needs.kv_cache == 4096 * 524_288 == 2**31
    assert needs.activations == 4096 * (5 * 4096 + 2 * 11008) * 2
    assert needs.total == sum(size for _, size in needs.parts())
    assert context_length(LLAMA_2_7B) == 4096


@pytest.mark.parametrize(("bits", "expected"), [(16, 16), (32, 16), (8, 16), (4, 16)])
def test_adamw_keeps_sixteen_bytes_a_parameter_in_either_precision(bits, expected):
    needs = needs_to_train(1000, bits, shape=network_shape(LLAMA_2_7B))
    assert needs.total - needs.activations == expected * 1000
    assert bool(needs.master) == (bits <= 16)


def test_training_activations_follow_korthikanti_without_the_score_terms():
    shape = network_shape(LLAMA_2_7B)
    needs = needs_to_train(1000, 16, shape=shape, tokens=2048, batch=4)
    assert needs.activations == 34 * 2048 * 4 * 4096 * 32 + 8 * 2048 * 4 * 32000


def test_a_model_of_unknown_shape_gets_a_share_for_activations_and_its_own_cache():
    needs = needs_to_run(1_000_000, 32, cache=CacheShape(2, 100), tokens=10)
    assert (needs.weights, needs.activations, needs.kv_cache) == (4_000_000, 400_000, 4_000)
    assert needs_to_run(10**12, 8).activations == 10**9


@given(st.integers(1, 10**12), st.integers(0, 4096), st.integers(1, 4096))
def test_more_tokens_never_need_less(num_parameters, tokens, more):
    shape = network_shape(LLAMA_2_7B)
    fewer = needs_to_run(num_parameters, 16, shape=shape, tokens=tokens)
    assert needs_to_run(num_parameters, 16, shape=shape, tokens=tokens + more).total > fewer.total


@pytest.mark.parametrize(
    ("need", "free", "total", "level"),
    [
        (8, 10, 16, "fits"),
        (9, 10, 16, "tight"),
        (10, 10, 16, "tight"),
        (14, 10, 16, "tight"),
        (15, 10, 16, "does not fit"),
        (15, 15, 16, "tight"),
        (1, 0, 0, "does not fit"),
    ],
)
def test_a_verdict_names_need_and_room(need, free, total, level):
    found = verdict(need * 10**9, free * 10**9, total * 10**9)
    assert found.level == level
    assert f"{need} GB" in found.reason and f"{free} " in found.reason


def test_parts_of_nothing_are_left_out():
    assert Needs(5).parts() == [("Weights", 5)]
