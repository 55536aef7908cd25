"""The decoder that is trained: its shape, fresh weights from a seed, and saving as an ordinary checkpoint."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """Sizes of a small Llama: RoPE, RMSNorm, SwiGLU, tied embeddings. Defaults chosen by us, see the model card.

    Attributes:
        width: size of the residual stream. layers: blocks. heads: attention heads; width is a multiple of 2 · heads.
        ffn_width: hidden units of a feed-forward block. context: tokens it can see.
        initializer_range: standard deviation of fresh weights (normal, mean 0); norms begin at 1.
    """

    width: int = 128
    layers: int = 6
    heads: int = 4
    ffn_width: int = 384
    context: int = 256
    initializer_range: float = 0.05


def new_decoder(shape: DecoderShape, tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> LlamaForCausalLM:
    """A decoder with fresh weights, the same for the same seed; the state of torch's own generator is left alone.

    The fp32 weights are rounded to bf16, so that what is saved is exactly what training begins with.
    """
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.ffn_width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.context,
        initializer_range=shape.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,  # named here, its embedding would begin at zero and never learn, and it is END_OF_TEXT too
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))
    return model


def num_parameters(model: LlamaForCausalLM) -> int:
    """Numbers learnt; the embedding and the output head that share one matrix count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def save_checkpoint(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write weights (bf16 safetensors), configuration, sampling defaults and tokenizer into an existing folder.

    The model itself keeps its type and weights.
    """
    saved = copy.deepcopy(model).to(torch.bfloat16)
    saved.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.8,
        top_k=50,
        max_new_tokens=200,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    saved.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
