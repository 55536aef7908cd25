"""Tiny models of each family with random weights, saved as their authors would, and the bundled starter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from tests.engine.runners.made import LIMIT, SIZES, SPECIAL, WORDS, save, seeded, word_tokenizer

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def starter() -> Path:
    folder = ROOT / "models" / "starter"
    if not (folder / "model.safetensors").is_file():
        pytest.skip("the bundled checkpoint is not here")
    return folder


@pytest.fixture(scope="session")
def starter_model(starter):
    """The starter as anyone would load it, in float32, for comparison."""
    return transformers.AutoModelForCausalLM.from_pretrained(starter, dtype=torch.float32, local_files_only=True)


def bert_config(**options) -> transformers.BertConfig:
    """Weights of a scale at which scores differ clearly."""
    return transformers.BertConfig(
        vocab_size=len(SPECIAL + WORDS), max_position_embeddings=LIMIT, initializer_range=0.5, **SIZES, **options
    )


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """bert_folder("SequenceClassification", num_labels=3) -> a folder; each made once."""
    made: dict = {}

    def make(head: str = "", **options) -> Path:
        key = (head, repr(sorted(options.items())))
        if key not in made:
            model_class = getattr(transformers, f"BertFor{head}" if head else "BertModel")
            model = seeded(lambda: model_class(bert_config(**options)))
            made[key] = save(tmp_path_factory.mktemp(f"bert-{head or 'bare'}"), model, word_tokenizer())
        return made[key]

    return make


@pytest.fixture(scope="session")
def starter_tokenizer(starter):
    return transformers.AutoTokenizer.from_pretrained(starter, local_files_only=True)


@pytest.fixture(scope="session")
def decoder_folder(tmp_path_factory, starter_tokenizer):
    """decoder_folder("gpt2") -> a folder with a random decoder of that family and the starter's tokenizer."""
    size = len(starter_tokenizer)
    configs = {
        "gpt2": lambda: transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                vocab_size=size, n_positions=LIMIT, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3
            )
        ),
        "llama": lambda: transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                vocab_size=size, max_position_embeddings=LIMIT, num_key_value_heads=2, initializer_range=0.3, **SIZES
            )
        ),
        "mamba": lambda: transformers.MambaForCausalLM(
            transformers.MambaConfig(vocab_size=size, hidden_size=32, num_hidden_layers=2, state_size=4)
        ),
        "t5": lambda: transformers.T5ForConditionalGeneration(
            transformers.T5Config(
                vocab_size=size, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0
            )
        ),
    }
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in made:
            model = seeded(configs[family])
            model.generation_config.eos_token_id = model.config.eos_token_id = starter_tokenizer.eos_token_id
            model.generation_config.pad_token_id = 0
            made[family] = save(tmp_path_factory.mktemp(family), model, starter_tokenizer)
        return made[family]

    return make


@pytest.fixture(scope="session")
def tone() -> np.ndarray:
    """One second of 440 Hz at 16 kHz."""
    return np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32) * 0.5
