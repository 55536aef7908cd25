"""Loading runs nobody's code, reaches no network, and says what is wrong."""

import json
import pickle
import shutil
import socket

import pytest
import torch

from engine.errors import RunnerError
from engine.runners import GenerationSettings, load

GREEDY = GenerationSettings(temperature=0, top_k=0, max_new_tokens=8)


@pytest.fixture
def copy_of_the_starter(starter, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(starter, folder)
    return folder


def text_of(folder) -> str:
    return "".join(token.text for token in load(folder, "text-generation", device="cpu").stream("A class", GREEDY))


class Attack:
    """Pickles as a call that leaves a file."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_weights_in_a_pickle_run_if_they_hold_tensors_only(copy_of_the_starter, starter_model):
    expected = text_of(copy_of_the_starter)
    (copy_of_the_starter / "model.safetensors").unlink()
    torch.save(starter_model.state_dict(), copy_of_the_starter / "pytorch_model.bin")
    assert text_of(copy_of_the_starter) == expected


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_pickle_with_code_in_it_is_refused_and_not_run(copy_of_the_starter, tmp_path, as_zip):
    (copy_of_the_starter / "model.safetensors").unlink()
    trace = tmp_path / "it-ran"
    path = copy_of_the_starter / "pytorch_model.bin"
    if as_zip:
        torch.save({"model.embed_tokens.weight": Attack(trace)}, path)
    else:
        path.write_bytes(pickle.dumps({"model.embed_tokens.weight": Attack(trace)}))
    with pytest.raises(RunnerError, match="safetensors"):
        load(copy_of_the_starter, "text-generation", device="cpu")
    assert not trace.exists()


def test_python_files_in_the_folder_are_never_run(copy_of_the_starter, tmp_path):
    trace = tmp_path / "it-ran"
    config = json.loads((copy_of_the_starter / "config.json").read_text())
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model", "AutoTokenizer": ["own.Tokens", None]}
    (copy_of_the_starter / "config.json").write_text(json.dumps(config | {"auto_map": own}))
    (copy_of_the_starter / "own.py").write_text(f"open({str(trace)!r}, 'w')\n")
    assert text_of(copy_of_the_starter)
    assert not trace.exists()


def test_no_connection_is_tried(copy_of_the_starter, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")

    def refuse(*_arguments):
        pytest.fail("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    (copy_of_the_starter / "generation_config.json").unlink()
    assert text_of(copy_of_the_starter)
    with pytest.raises(RunnerError):
        load("nobody/no-such-model", "text-generation")


def test_damaged_weights_are_an_error_with_a_hint(copy_of_the_starter):
    path = copy_of_the_starter / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(RunnerError, match="damaged"):
        load(copy_of_the_starter, "text-generation", device="cpu")


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "nobody-knows"},
        {"num_attention_heads": 0},
        {"hidden_size": "wide"},
        {"hidden_size": 256},
        {"num_hidden_layers": 7},
        {"rope_parameters": 5},
    ],
)
def test_a_config_that_does_not_fit_is_an_error_with_a_hint(copy_of_the_starter, change):
    config = json.loads((copy_of_the_starter / "config.json").read_text())
    (copy_of_the_starter / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(RunnerError) as caught:
        load(copy_of_the_starter, "text-generation", device="cpu")
    assert caught.value.hint


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"version": "1.0"}'])
def test_a_broken_tokenizer_is_an_error_with_a_hint(copy_of_the_starter, content):
    (copy_of_the_starter / "tokenizer.json").write_text(content)
    with pytest.raises(RunnerError) as caught:
        load(copy_of_the_starter, "text-generation", device="cpu")
    assert caught.value.hint


def test_a_model_beyond_the_free_memory_is_refused_before_it_is_read(starter, monkeypatch):
    monkeypatch.setattr("engine.runners.devices.free_bytes", lambda _device: 1000)
    with pytest.raises(RunnerError, match="GiB"):
        load(starter, "text-generation", device="cpu")


def test_memory_that_runs_out_while_running_is_said(starter, monkeypatch):
    runner = load(starter, "text-generation", device="cpu")

    def full(**_arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(runner.decoder.model, "forward", full)
    with pytest.raises(RunnerError, match="smaller model"):
        list(runner.stream("a", GREEDY))
    assert not runner.lock.locked()
