"""A fresh decoder has the shape asked for and is saved as an ordinary checkpoint."""

from __future__ import annotations

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.training.decoder import DecoderShape, new_decoder, num_parameters, save_checkpoint


def test_the_parameters_are_those_of_the_formula(tokenizer):
    shape = DecoderShape(width=24, layers=3, heads=2, ffn_width=40, context=16)
    per_layer = 4 * 24 * 24 + 3 * 24 * 40 + 2 * 24
    assert num_parameters(new_decoder(shape, tokenizer)) == 270 * 24 + 3 * per_layer + 24


def test_fresh_weights_repeat_with_the_seed_and_leave_the_generator_alone(tokenizer):
    shape = DecoderShape(width=16, layers=1, heads=2, ffn_width=32, context=16)
    state = torch.get_rng_state()
    one, same, other = (new_decoder(shape, tokenizer, seed).model.embed_tokens.weight for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_embedding_begins_at_zero_or_is_cut_off_from_learning(model, tokenizer):
    assert (model.model.embed_tokens.weight.abs().amax(dim=1) > 0).all()
    model.lm_head = torch.nn.Identity()  # untied: only the look-up can pass a gradient on
    model(input_ids=torch.tensor([[tokenizer.eos_token_id, 5]])).logits.square().sum().backward()
    assert model.model.embed_tokens.weight.grad[tokenizer.eos_token_id].abs().max() > 0


def test_what_is_saved_is_bf16_and_exactly_what_training_begins_with(model, tokenizer, tmp_path):
    save_checkpoint(model, tokenizer, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
    assert "lm_head.weight" not in saved  # tied to the embedding
    for name, tensor in saved.items():
        assert torch.equal(tensor.float(), model.state_dict()[name]), name
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_saved_checkpoint_loads_with_equal_logits_and_tokens(model, tokenizer, tokens, tmp_path):
    save_checkpoint(model, tokenizer, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    inputs = tokens[None, :16]
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=inputs).logits, model.eval()(input_ids=inputs).logits)
    text = "the cat — 猫\n"
    assert AutoTokenizer.from_pretrained(tmp_path)(text).input_ids == tokenizer(text).input_ids
    assert loaded.generation_config.eos_token_id == tokenizer.eos_token_id
