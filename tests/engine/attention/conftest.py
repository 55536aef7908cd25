"""Tiny models of many families, with random weights, as transformers makes and saves them."""

from __future__ import annotations

import pytest
import torch
import transformers

import engine.sources

TOKENS = torch.tensor([[5, 17, 3, 9, 28, 11, 2]])
SMALL = {
    "vocab_size": 32,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "initializer_range": 0.5,
    "pad_token_id": 0,
}
GPT = {"vocab_size": 32, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 16, "initializer_range": 0.5}
IMAGE = SMALL | {"image_size": 8, "patch_size": 4}
VISION = {name: value for name, value in IMAGE.items() if name not in ("vocab_size", "pad_token_id")}

MODELS = {
    "bert": lambda t: t.BertModel(t.BertConfig(**SMALL)),
    "distilbert": lambda t: t.DistilBertModel(
        t.DistilBertConfig(vocab_size=32, dim=24, n_layers=2, n_heads=4, hidden_dim=20, initializer_range=0.5)
    ),
    "llama": lambda t: t.LlamaModel(t.LlamaConfig(**SMALL, num_key_value_heads=2)),
    "qwen2": lambda t: t.Qwen2Model(t.Qwen2Config(**SMALL, num_key_value_heads=1)),
    "gpt2": lambda t: t.GPT2Model(t.GPT2Config(**GPT)),
    "gpt_bigcode": lambda t: t.GPTBigCodeModel(t.GPTBigCodeConfig(**GPT, multi_query=True)),
    "gpt_bigcode-heads": lambda t: t.GPTBigCodeModel(t.GPTBigCodeConfig(**GPT, multi_query=False)),
    "gpt_neox": lambda t: t.GPTNeoXModel(t.GPTNeoXConfig(**SMALL)),
    "bloom": lambda t: t.BloomModel(
        t.BloomConfig(vocab_size=32, hidden_size=24, n_layer=2, n_head=4, initializer_range=0.5)
    ),
    "falcon-7b": lambda t: t.FalconModel(t.FalconConfig(**FALCON, multi_query=True)),
    "falcon-40b": lambda t: t.FalconModel(
        t.FalconConfig(**FALCON, new_decoder_architecture=True, num_kv_heads=2, multi_query=True)
    ),
    "falcon-rw": lambda t: t.FalconModel(t.FalconConfig(**FALCON, multi_query=False)),
    "codegen": lambda t: t.CodeGenModel(t.CodeGenConfig(**(GPT | {"n_embd": 32, "n_ctx": 16}), rotary_dim=4)),
    "persimmon": lambda t: t.PersimmonModel(t.PersimmonConfig(**(SMALL | {"hidden_size": 32}), qk_layernorm=False)),
    "phi3": lambda t: t.Phi3Model(t.Phi3Config(**SMALL, num_key_value_heads=2)),
    "deberta": lambda t: t.DebertaModel(t.DebertaConfig(**SMALL, type_vocab_size=0)),
    "opt": lambda t: t.OPTModel(t.OPTConfig(**(SMALL | {"ffn_dim": 20, "word_embed_proj_dim": 24}))),
    "t5": lambda t: t.T5Model(
        t.T5Config(vocab_size=32, d_model=24, d_kv=5, d_ff=20, num_layers=2, num_heads=4, initializer_factor=2.0)
    ),
    "bart": lambda t: t.BartModel(
        t.BartConfig(
            vocab_size=32,
            d_model=24,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=6,
            encoder_ffn_dim=20,
            decoder_ffn_dim=20,
            max_position_embeddings=16,
            init_std=0.5,
        )
    ),
    "vit": lambda t: t.ViTModel(t.ViTConfig(**VISION)),
    "clip": lambda t: t.CLIPModel(
        t.CLIPConfig(
            text_config=SMALL | {"eos_token_id": 2, "bos_token_id": 1},
            vision_config=VISION | {"num_attention_heads": 3},
            projection_dim=8,
        )
    ),
}
FALCON = {
    "vocab_size": 32,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.5,
    "bias": False,
}


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny products gain nothing from threads, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def made_model(tmp_path_factory):
    """made_model("gpt2") -> (the model, its opened checkpoint); each made once."""
    made: dict = {}

    def make(name: str):
        if name not in made:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                model = MODELS[name](transformers).eval()
                for parameter_name, parameter in model.named_parameters():
                    if parameter_name.endswith("bias"):  # made as zeros, which no test of biases would miss
                        torch.nn.init.normal_(parameter, std=0.3)
            folder = tmp_path_factory.mktemp(name)
            model.save_pretrained(folder)
            model = type(model).from_pretrained(folder, attn_implementation="eager").eval()
            model.source = engine.sources.open(folder)
            model.stored = {info.name: model.source.read(info.name) for info in model.source.infos()}
            made[name] = model, model.source
        return made[name]

    return make
