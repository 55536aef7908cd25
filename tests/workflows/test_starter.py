"""The bundled checkpoints are what their cards say, and one command makes them again."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from engine.errors import Cancelled, TrainingError
from engine.training.corpus import Document, flat, language_reference, split, text_hash
from engine.training.events import StepDone
from engine.training.held_out import held_out_loss
from engine.training.settings import ModelSettings
from engine.training.tokenizer import END_OF_TEXT
from workflows import starter
from workflows.starter_checkpoints import NAMES, StarterSettings, make_starters

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "models"
CONTEXT = 256
FILES = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}
TINY = StarterSettings(
    model=ModelSettings(vocabulary_size=300, width=16, layers=1, heads=2, ffn_width=32, context=32, dropout=0.1),
    training=replace(
        StarterSettings().training,
        steps=8,
        learning_rate=1e-2,
        warmup_steps=2,
        evaluate_every=4,
        save_every=4,
        threads=1,
    ),
    held_out_share=0.2,
    prompt="The cat",
    sample_tokens=20,
)


@pytest.fixture(autouse=True)
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, 2))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models() -> dict[str, LlamaForCausalLM]:
    return {name: AutoModelForCausalLM.from_pretrained(BUNDLED / name, dtype=torch.float32) for name in NAMES}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(BUNDLED / "starter")


@pytest.fixture(scope="module")
def reference() -> tuple[Document, ...]:
    return language_reference()


# What is bundled


def test_the_bundled_checkpoints_load_and_write_in_a_fresh_python_without_internet():
    program = (
        "import sys\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast\n"
        "for folder in sys.argv[1:]:\n"
        "    model = AutoModelForCausalLM.from_pretrained(folder)\n"
        "    tokenizer = AutoTokenizer.from_pretrained(folder)\n"
        "    PreTrainedTokenizerFast.from_pretrained(folder)\n"
        "    inputs = tokenizer('The', return_tensors='pt')\n"
        "    print(type(model).__name__, model.dtype, model.generate(**inputs, max_new_tokens=4).shape[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *(str(BUNDLED / name) for name in NAMES)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(NAMES)
    for line in lines:
        kind, dtype, length = line.split()
        assert (kind, dtype) == ("LlamaForCausalLM", "torch.bfloat16")
        assert int(length) > 1


def test_both_are_small(models):
    assert {1_000_000 <= model.num_parameters() <= 2_000_000 for model in models.values()} == {True}
    files = [path for name in NAMES for path in (BUNDLED / name).iterdir()]
    assert sum(path.stat().st_size for path in files) < 8_000_000
    for name in NAMES:
        assert {path.name for path in (BUNDLED / name).iterdir()} == FILES


def test_both_hold_the_same_bf16_tensors_with_different_values():
    before, after = (load_file(BUNDLED / name / "model.safetensors") for name in NAMES)
    assert {name: tensor.shape for name, tensor in before.items()} == {
        name: tensor.shape for name, tensor in after.items()
    }
    for name in before:
        assert before[name].dtype == after[name].dtype == torch.bfloat16
        assert after[name].isfinite().all()
        assert not torch.equal(before[name], after[name]), name


def test_both_have_the_same_configuration_and_tokenizer():
    for file in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (BUNDLED / NAMES[0] / file).read_bytes() == (BUNDLED / NAMES[1] / file).read_bytes()


def test_fresh_weights_spread_as_the_card_says(models):
    model = models["starter-init"]
    for name, parameter in model.named_parameters():
        values = parameter.detach().double().numpy().ravel()
        if parameter.ndim == 1:
            assert (values == 1).all(), name
        else:
            expected = StarterSettings().initial_scale
            assert (parameter.abs().amax(dim=1) > 0).all(), name
            assert abs(values.std() / expected - 1) < 0.02, name
            assert abs(values.mean()) < 5 * expected / np.sqrt(values.size), name


@given(text=st.text().filter(lambda text: END_OF_TEXT not in text))
def test_the_tokenizer_gives_back_any_unicode_text(tokenizer, text):
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_learning_made_held_out_text_much_cheaper(models, tokenizer, reference):
    held_out = [Document(document.name, document.text[:3000]) for document in split(reference).test[:4]]
    before, after = (held_out_loss(models[name], tokenizer, held_out, CONTEXT).bits_per_byte for name in NAMES)
    assert after < 0.65 * before
    assert before > 2.5


@pytest.mark.parametrize("name", NAMES)
def test_the_card_tells_what_the_checkpoint_does(models, tokenizer, reference, name):
    card = ModelCard.load(BUNDLED / name / "README.md")
    assert f"{models[name].num_parameters():,} parameters" in card.text
    if text_hash(reference) not in card.text:
        pytest.skip("another Python's language reference: its text is not the card's")
    told = {result.metric_type: result.metric_value for result in card.data.eval_results}
    held_out = held_out_loss(models[name], tokenizer, split(reference).test, CONTEXT)
    assert held_out.bits_per_byte == pytest.approx(told["bits_per_byte"], abs=2e-3)
    assert held_out.perplexity == pytest.approx(told["perplexity"], rel=5e-3)


def test_no_file_of_the_repository_holds_text_of_the_reference(reference):
    """Any 200 characters in a row would hold one of these blocks of 100."""
    blocks = {}
    for document in reference:
        text = flat(document.text)
        blocks |= {text[start : start + 100]: document.name for start in range(0, len(text) - 99, 100)}
    assert _copied(flat(reference[0].text), blocks)  # the search itself finds what is there
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            copied = _copied(flat((ROOT / name).read_bytes().decode("utf-8", errors="replace")), blocks)
            assert not copied, f"{name} holds text of the topic {copied}"


def _copied(text: str, blocks: dict[str, str]) -> str | None:
    """The name of a document of which a block stands in the text."""
    return next((blocks[run] for start in range(len(text) - 99) if (run := text[start : start + 100]) in blocks), None)


# The command


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    words = ["cat", "dog", "mat", "door", "sat", "ran", "the", "a", "on", "by", "and"]
    draw = np.random.default_rng(0)
    return [Document(f"story {number}", " ".join(draw.choice(words, 80)) + ".") for number in range(20)]


def _files(folder: Path) -> dict[str, bytes]:
    """Contents by relative path; the only line of a card that may differ is how long it took."""
    return {
        path.relative_to(folder).as_posix(): b"".join(
            line for line in path.read_bytes().splitlines(keepends=True) if not line.startswith(b"| time |")
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_two_runs_write_the_same_bits(tmp_path, documents):
    results = [make_starters(tmp_path / run, TINY, documents) for run in ("one", "two")]
    assert results[0] == results[1]
    assert _files(tmp_path / "one") == _files(tmp_path / "two")
    assert set(_files(tmp_path / "one")) == {f"{name}/{file}" for name in NAMES for file in FILES}
    assert results[0][1].nats < results[0][0].nats


def test_another_seed_writes_other_bits(tmp_path, documents):
    for seed in (0, 1):
        make_starters(tmp_path / str(seed), replace(TINY, seed=seed), documents)
    one, other = (_files(tmp_path / str(seed))["starter-init/model.safetensors"] for seed in (0, 1))
    assert one != other


@pytest.mark.parametrize("name", NAMES)
def test_what_is_there_is_not_overwritten_unless_asked(tmp_path, documents, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.txt").write_text("precious")
    with pytest.raises(TrainingError, match="already there"):
        make_starters(tmp_path, TINY, documents)
    assert _files(tmp_path) == {f"{name}/mine.txt": b"precious"}
    make_starters(tmp_path, TINY, documents, overwrite=True)
    assert set(_files(tmp_path)) == {f"{name}/{file}" for name in NAMES for file in FILES}


def test_a_stopped_run_leaves_what_was_there_and_nothing_else(tmp_path, documents):
    (tmp_path / "starter").mkdir()
    (tmp_path / "starter" / "mine.txt").write_text("precious")

    def stop(event):
        if isinstance(event, StepDone) and event.step == 5:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        make_starters(tmp_path, TINY, documents, overwrite=True, on_event=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["starter"]
    assert _files(tmp_path) == {"starter/mine.txt": b"precious"}


def test_the_command_refuses_in_words_and_with_an_exit_code(tmp_path, monkeypatch, capsys):
    (tmp_path / "starter").mkdir()
    monkeypatch.setattr(sys, "argv", ["starter", "--folder", str(tmp_path)])
    assert starter.main() == 1
    assert "already there" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--steps", "0"], ["--threads", "two"], ["--steps", "-3"]])
def test_the_command_takes_only_whole_positive_numbers(wrong):
    parser = argparse.ArgumentParser()
    starter.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(wrong)


def test_the_command_makes_both_checkpoints_and_says_how_good_they_are(tmp_path, documents, monkeypatch, capsys):
    from workflows import starter_checkpoints

    monkeypatch.setattr(starter_checkpoints, "StarterSettings", lambda: TINY)
    monkeypatch.setattr(starter_checkpoints, "language_reference", lambda: tuple(documents))
    parser = argparse.ArgumentParser()
    starter.add_arguments(parser)
    assert starter.run(parser.parse_args(["--folder", str(tmp_path), "--steps", "4", "--threads", "1"])) == 0
    printed = capsys.readouterr().out
    assert "step 4/4" in printed
    assert "tokens/s" in printed
    assert "step 4  validation" in printed
    assert printed.count("bits per byte") == 2
    assert "| steps | 4 of at most 4" in (tmp_path / "starter" / "README.md").read_text(encoding="utf-8")
