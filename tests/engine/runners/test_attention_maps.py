"""Attention on a prompt: the model's own probabilities, for encoders, decoders and encoder-decoders."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers

from engine.errors import RunnerError
from engine.runners import LoadedModels
from engine.runners.attention_maps import MOST_TOKENS, attention_obstacle, lease_attention


@pytest.fixture
def read():
    """read(folder, prompt) -> its maps, from a cache of the test's own."""
    models = LoadedModels(1 << 30)

    def read_(folder, prompt, **options):
        with lease_attention(folder, models) as reader:
            return reader.read(prompt, **options)

    yield read_
    models.release_all()


def check_maps(maps, heads, queries, keys):
    for layer in maps:
        assert layer.shape == (heads, queries, keys) and layer.dtype == np.float32
        np.testing.assert_allclose(layer.sum(-1), 1, atol=1e-5)


def test_an_encoder_gives_its_own_probabilities_and_names_its_tokens(bert_folder, read):
    folder = bert_folder("MaskedLM")
    found = read(folder, "the cat sat on the mat")
    assert found.tokens == ("[CLS]", "the", "cat", "sat", "on", "the", "mat", "[SEP]")
    assert found.maps.keys() == {"self"} and len(found.maps["self"]) == 2 and found.num_cut == 0
    check_maps(found.maps["self"], 4, 8, 8)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        theirs = model(**tokenizer("the cat sat on the mat", return_tensors="pt"), output_attentions=True).attentions
    for ours, layer in zip(found.maps["self"], theirs, strict=True):
        np.testing.assert_allclose(ours, layer[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_decoder_never_looks_ahead_and_shows_its_spaces(family, decoder_folder, read):
    found = read(decoder_folder(family), "The cat sat\ndown")
    count = len(found.tokens)
    assert "".join(found.tokens) == "The cat sat\ndown" and any(token.startswith(" ") for token in found.tokens)
    check_maps(found.maps["self"], 4, count, count)
    for layer in found.maps["self"]:
        assert not np.triu(layer, 1).any()


def test_an_encoder_decoder_answers_and_gives_three_kinds_of_maps(decoder_folder, read):
    found = read(decoder_folder("t5"), "The cat sat down")
    prompt, answer = len(found.tokens), len(found.answer)
    assert found.maps.keys() == {"encoder", "decoder", "cross"} and 1 <= answer <= 33
    check_maps(found.maps["encoder"], 4, prompt, prompt)
    check_maps(found.maps["decoder"], 4, answer, answer)
    check_maps(found.maps["cross"], 4, answer, prompt)
    assert found.labels("cross") == (found.answer, found.tokens) and found.labels("encoder")[0] == found.tokens


def test_a_gguf_file_runs_decoded(real_dir, read):
    found = read(real_dir / "stories260K-gguf" / "stories260K.gguf", "Once upon a time")
    assert found.tokens[0] == "<s>" and found.facts.backend == "gguf"
    check_maps(found.maps["self"], 8, len(found.tokens), len(found.tokens))


def test_a_long_prompt_is_cut_and_the_rest_counted(bert_folder, read):
    folder = bert_folder("MaskedLM")
    found = read(folder, "cat " * 20, most_tokens=10)
    assert len(found.tokens) == 10 and found.num_cut == 12 and found.tokens[-1] == "[SEP]"
    found = read(folder, "cat " * 500)  # the model sees 64 tokens
    assert len(found.tokens) == 64 < MOST_TOKENS


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_refused(prompt, bert_folder, read):
    with pytest.raises(RunnerError, match="no prompt"):
        read(bert_folder("MaskedLM"), prompt)


def test_a_model_without_attention_says_so(decoder_folder, read):
    with pytest.raises(RunnerError) as error:
        read(decoder_folder("mamba"), "The cat")
    assert error.value.hint


def test_the_reader_is_another_copy_than_the_one_that_chats(bert_folder):
    """What is switched for looking must not slow down or change what generates."""
    models = LoadedModels(1 << 30)
    folder = bert_folder("MaskedLM")
    with lease_attention(folder, models) as first, lease_attention(folder, models) as second:
        assert first is second and first.model.config._attn_implementation == "eager"
    assert [model.key[1] for model in models.loaded()] == ["attention"]
    models.release_all()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("silero-vad/silero_vad_16k_op15.onnx", "ONNX"),
        ("bert-tiny-sst2-encoder", "no tokenizer"),
        ("resnet-cifar10/resnet20-12fca82f.th", "no config.json"),
        ("nowhere", "no file or folder"),
    ],
)
def test_what_cannot_run_says_why(path, words, real_dir):
    message, hint = attention_obstacle(real_dir / path)
    assert words in message and hint
    with pytest.raises(RunnerError, match=words), lease_attention(real_dir / path):
        pass


def test_what_can_run_has_no_obstacle(bert_folder, decoder_folder, real_dir):
    places = (bert_folder("MaskedLM"), decoder_folder("t5"), real_dir / "stories260K-gguf" / "stories260K.gguf")
    assert [attention_obstacle(place) for place in places] == [None] * 3


def test_asking_whether_it_can_run_imports_no_torch(starter):
    code = f"""
import sys
from engine.runners.attention_maps import attention_obstacle
assert attention_obstacle({str(starter)!r}) is None
assert not {{"torch", "transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=starter.parent.parent)
