"""What is saved is a Llama that transformers computes the same with, and what is loaded is what was saved."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from engine.errors import TrainingError
from engine.training.llama_folder import load_llama, save_llama
from engine.training.model import Decoder
from engine.training.settings import ModelSettings


def _settings(**changes):
    usual = {"vocabulary_size": 280, "width": 32, "layers": 2, "heads": 4, "context": 16}
    return ModelSettings(**(usual | changes))


@pytest.fixture
def saved(tokenizer, tmp_path):
    """A model with norms that are not 1, and the folder it was saved to."""

    def save(dtype="fp32", **changes):
        torch.manual_seed(0)
        model = Decoder(_settings(**changes)).eval()
        for block in model.layers:
            torch.nn.init.uniform_(block.input_layernorm.weight, 0.5, 1.5)
        save_llama(model, tokenizer, tmp_path, dtype)
        return model, tmp_path

    return save


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("key_value_heads", [0, 2, 1])
def test_transformers_computes_equal_logits(saved, tied, key_value_heads):
    model, folder = saved(tied=tied, key_value_heads=key_value_heads, rope_theta=500.0, norm_epsilon=1e-3, ffn_width=40)
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    assert isinstance(theirs, LlamaForCausalLM)
    ids = torch.randint(280, (3, 16))
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(ids).logits, rtol=0, atol=1e-4)
        torch.testing.assert_close(load_llama(folder)[0](ids), model(ids), rtol=0, atol=0)


def test_the_folder_holds_what_others_expect(saved, tokenizer):
    _, folder = saved(dtype="bf16")
    weights = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    assert "lm_head.weight" not in weights and "model.layers.1.self_attn.q_proj.weight" in weights
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"] and config["dtype"] == "bfloat16"
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == tokenizer.eos_token_id and generation["max_new_tokens"] == 16
    text = "the cat — 猫\n"
    assert AutoTokenizer.from_pretrained(folder)(text).input_ids == tokenizer(text).input_ids
    assert load_llama(folder)[1](text).input_ids == tokenizer(text).input_ids


def test_saving_as_bf16_rounds_the_file_and_not_the_model(saved):
    model, folder = saved(dtype="bf16")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    loaded, _ = load_llama(folder)
    for name, tensor in before.items():
        assert model.state_dict()[name].dtype == torch.float32
        assert torch.equal(loaded.state_dict()[name], tensor.to(torch.bfloat16).float()), name
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_shards_written_by_transformers_load_back(tokenizer, tmp_path):
    config = LlamaConfig(
        vocab_size=280,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=16,
        tie_word_embeddings=False,
    )
    theirs = LlamaForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="40KB")
    tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    ours, _ = load_llama(tmp_path)
    ids = torch.randint(280, (2, 16))
    with torch.no_grad():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "qwen3"}, "model_type is 'qwen3'"),
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"head_dim": 16}, "head_dim is 16"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "rope_type is 'llama3'"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"vocab_size": None}, "does not describe"),
        ({"num_attention_heads": 0}, "head"),
        ({"intermediate_size": 41}, "gate_proj.weight has shape"),
        ({"num_hidden_layers": 3}, "model.layers.2"),
        ({"num_hidden_layers": 1}, "is not expected"),
        ({"vocab_size": 200}, "embed_tokens.weight has shape"),
    ],
)
def test_a_folder_of_another_kind_is_refused_and_says_what_differs(saved, changes, words):
    _, folder = saved()
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrainingError, match=words):
        load_llama(folder)


def test_missing_or_broken_parts_are_named(saved):
    _, folder = saved()
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(TrainingError, match="tokenizer"):
        load_llama(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(TrainingError, match=r"no tokenizer\.json"):
        load_llama(folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(TrainingError, match=r"model\.norm\.weight is missing"):
        load_llama(folder)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(saved):
    _, folder = saved(vocabulary_size=260)
    with pytest.raises(TrainingError, match="270 tokens"):
        load_llama(folder)


def test_a_folder_that_is_not_there_cannot_be_written(saved, tokenizer, tmp_path):
    model, _ = saved()
    with pytest.raises(TrainingError, match="cannot be written"):
        save_llama(model, tokenizer, tmp_path / "absent")
