"""GGUF files through transformers' loader, and through llama.cpp where its binding is installed."""

import importlib.util
import struct

import numpy as np
import pytest
import torch
import transformers

from engine.errors import RunnerError
from engine.runners import GenerationSettings, load
from engine.runners.registry import RUNNERS

STORY = ", there was a little girl named Lily. She loved to play outside in the park"
GREEDY = GenerationSettings(temperature=0, top_k=0, max_new_tokens=40)

pytestmark = pytest.mark.real


@pytest.fixture
def without_llama_cpp(monkeypatch):
    """The runners as they are where llama.cpp is not installed."""
    rows = tuple(row for row in RUNNERS if row.requires != "llama_cpp")
    monkeypatch.setattr("engine.runners.registry.RUNNERS", rows)


def text_of(tokens) -> str:
    return "".join(token.text for token in tokens)


def test_greedy_text_is_the_known_story(real_dir, without_llama_cpp):
    runner = load(real_dir / "stories260K-gguf", "text-generation", device="cpu")
    assert text_of(runner.stream("Once upon a time", GREEDY)).startswith(STORY)
    assert (runner.facts.backend, runner.facts.context) == ("gguf", 2048)
    assert "decoded to float32" in runner.facts.notes[0]


@pytest.mark.parametrize("name", ["stories260K-Q8_0.gguf", "stories260K-Q4_0.gguf"])
def test_quantised_files_write_a_story_too(real_dir, without_llama_cpp, name):
    runner = load(real_dir / "stories260K-gguf-derived" / name, "text-generation", device="cpu")
    assert text_of(runner.stream("Once upon a time", GREEDY)).startswith(", there was a little girl named Lily.")


def test_the_gguf_and_the_safetensors_of_one_model_score_alike(real_dir, without_llama_cpp):
    """The folder in the hub's layout has no tokenizer, so it cannot run by itself; its network can be compared."""
    runner = load(real_dir / "stories260K-gguf", "text-generation", device="cpu")
    ids = torch.tensor([runner.prepare("Once upon a time, there was").token_ids])
    other = transformers.AutoModelForCausalLM.from_pretrained(real_dir / "stories260K-hf", dtype=torch.float32)
    with torch.inference_mode():
        found, expected = (model(ids).logits.numpy() for model in (runner.decoder.model, other))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_tokenizer_in_the_file_cuts_as_the_vocabulary_says(real_dir, without_llama_cpp):
    runner = load(real_dir / "stories260K-gguf", "text-generation", device="cpu")
    tokenizer = runner.tokenizer
    ids = runner.prepare("Once upon a time").token_ids
    assert tokenizer.convert_ids_to_tokens(list(ids)) == ["<s>", "▁Once", "▁upon", "▁a", "▁time"]
    for text in ("Lily's ball — é", "two  spaces\nand a line"):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert tokenizer.pad_token is None, "2^32 - 1 stands for no such token"


def test_a_damaged_file_is_an_error_with_a_hint(tmp_path, real_dir, without_llama_cpp):
    data = (real_dir / "stories260K-gguf" / "stories260K.gguf").read_bytes()
    version_9 = data[:4] + struct.pack("<I", 9) + data[8:]
    for number, broken in enumerate((data[: len(data) // 2], data[:100], version_9, b"GGUF")):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(broken)
        with pytest.raises(RunnerError) as caught:
            load(path, "text-generation", device="cpu")
        assert caught.value.hint


@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")
def test_llama_cpp_writes_the_same_story_also_in_turns(real_dir):
    runner = load(real_dir / "stories260K-gguf", "text-generation", device="cpu")
    assert runner.facts.backend == "llama.cpp"
    alone = text_of(runner.stream("Once upon a time", GREEDY))
    assert alone.startswith(STORY)
    pairs = zip(runner.stream("Once upon a time", GREEDY), runner.stream("The dog", GREEDY), strict=False)
    assert "".join(first.text for first, _ in pairs) == alone
