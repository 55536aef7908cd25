"""What a checkpoint can run, told without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import engine.sources
from engine.errors import RunnerError
from engine.runners import RUNNERS, TASKS, abilities_of, load, tasks_of, tasks_of_config
from engine.runners.gguf_architecture import gguf_architecture

ROOT = Path(__file__).resolve().parents[3]

CONFIGS = [
    ("LlamaForCausalLM", "llama", ("text-generation", "embeddings")),
    ("GPT2LMHeadModel", "gpt2", ("text-generation", "embeddings")),
    ("T5ForConditionalGeneration", "t5", ("text-generation",)),
    ("MarianMTModel", "marian", ("text-generation",)),
    ("BertModel", "bert", ("embeddings", "zero-shot")),
    ("BertForMaskedLM", "bert", ("fill-mask", "embeddings", "zero-shot")),
    ("BertForPreTraining", "bert", ("fill-mask", "embeddings", "zero-shot")),
    ("ElectraForPreTraining", "electra", ("embeddings", "zero-shot")),
    ("MobileBertForMaskedLM", "mobilebert", ("fill-mask", "embeddings", "zero-shot")),
    ("FlaubertWithLMHeadModel", "flaubert", ("fill-mask", "embeddings", "zero-shot")),
    ("EsmForMaskedLM", "esm", ("fill-mask", "embeddings", "zero-shot")),
    ("DistilBertForSequenceClassification", "distilbert", ("classification",)),
    ("BertForQuestionAnswering", "bert", ("question-answering",)),
    ("WhisperForConditionalGeneration", "whisper", ("speech-to-text",)),
    ("Wav2Vec2ForCTC", "wav2vec2", ("speech-to-text",)),
    ("ViTForImageClassification", "vit", ("image-classification",)),
    ("LlavaForConditionalGeneration", "llava", ()),
    ("ViTModel", "vit", ()),
    ("SomethingNobodyHasSeen", "strange", ()),
]


@pytest.mark.parametrize(("architecture", "model_type", "tasks"), CONFIGS)
def test_tasks_follow_from_the_architecture(architecture, model_type, tasks):
    assert tasks_of_config({"architectures": [architecture], "model_type": model_type}) == tasks


def test_a_classifier_of_inferences_is_also_zero_shot():
    config = {
        "architectures": ["BartForSequenceClassification"],
        "model_type": "bart",
        "id2label": {"0": "contradiction", "1": "neutral", "2": "entailment"},
    }
    assert tasks_of_config(config) == ("classification", "zero-shot")


@pytest.mark.parametrize(
    "config", [{}, {"architectures": None}, {"architectures": "x"}, {"architectures": [1]}, {"id2label": []}]
)
def test_senseless_configs_have_no_tasks(config):
    assert tasks_of_config(config) == ()


def test_every_task_has_a_runner_and_every_runner_can_be_made():
    assert {row.task for row in RUNNERS} == set(TASKS)
    for row in RUNNERS:
        if row.is_installed:
            assert callable(row.maker), row


def test_nothing_heavy_is_imported_before_a_model_is_loaded(starter):
    script = (
        "import sys, engine.runners as runners\n"
        f"assert runners.tasks_of({str(starter)!r})\n"
        "runners.shared_models().loaded()\n"
        "heavy = {'torch', 'transformers', 'onnxruntime', 'PIL', 'scipy', 'soundfile'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    outcome = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr


def write_config(folder: Path, **config) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_what_is_missing_is_said_with_a_way_out(tmp_path, starter):
    bare = tmp_path / "bare"
    shutil.copytree(starter, bare)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (bare / name).unlink()
    found = abilities_of(bare)
    assert found.tasks == ()
    assert "no tokenizer" in found.obstacle
    assert "tokenizer.json" in found.hint
    with pytest.raises(RunnerError, match="no tokenizer"):
        load(bare, "text-generation")
    (bare / "model.safetensors").unlink()
    assert "no weights" in abilities_of(bare).obstacle
    (bare / "config.json").unlink()
    assert "config.json" in abilities_of(bare).obstacle


def test_a_model_that_needs_its_own_code_says_so(tmp_path, starter):
    folder = tmp_path / "own"
    shutil.copytree(starter, folder)
    own = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.Own"}
    write_config(folder, architectures=["OwnForCausalLM"], model_type="own_thing", auto_map=own)
    assert "code of its own" in abilities_of(folder).obstacle
    write_config(folder, architectures=["LlamaForCausalLM"], model_type="llama", auto_map=own)
    assert "text-generation" in tasks_of(folder), "transformers knows this architecture without the code"


@pytest.mark.parametrize("place", ["/no/such/folder", "nobody/no-such-model", "hf://nobody/no-such-model@main", ""])
def test_places_with_nothing_have_no_tasks_and_a_reason(place):
    found = abilities_of(place)
    assert found.tasks == ()
    assert found.obstacle
    assert found.hint


def test_a_file_an_opened_source_and_its_folder_are_the_same_model(starter):
    with engine.sources.open(starter) as source:
        assert tasks_of(source) == tasks_of(starter) == tasks_of(starter / "model.safetensors")


def test_a_task_that_a_model_does_not_do_is_refused_with_those_it_does(starter):
    with pytest.raises(RunnerError, match=r"fill-mask.*text-generation"):
        load(starter, "fill-mask")


def test_a_folder_of_several_gguf_files_asks_for_one(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    assert "a.gguf" in abilities_of(tmp_path).hint


@pytest.mark.parametrize(
    ("data", "architecture"),
    [
        (b"GGUF" + bytes(20) + b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama", "llama"),
        (b"GGUF" + bytes(20) + b"general.architecture\x04\0\0\0\x05\0\0\0\0\0\0\0llama", ""),
        (b"GGUF" + bytes(20) + b"general.architecture\x08\0\0\0\xff\xff\xff\xff\xff\xff\xff\xffllama", ""),
        (b"GGUF" + bytes(20) + b"general.architecture\x08\0", ""),
        (b"none" + bytes(20) + b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama", ""),
        (b"", ""),
    ],
)
def test_the_architecture_of_a_gguf_file_is_read_from_its_first_bytes(tmp_path, data, architecture):
    (tmp_path / "model.gguf").write_bytes(data)
    assert gguf_architecture(tmp_path / "model.gguf") == architecture


def test_gguf_files_of_encoders_generate_no_text(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"GGUF" + bytes(20) + b"general.architecture\x08\0\0\0\x04\0\0\0\0\0\0\0bert")
    assert "bert" in abilities_of(tmp_path).obstacle


@pytest.mark.real
def test_real_checkpoints_say_what_they_can_do(real_dir):
    assert tasks_of(real_dir / "stories260K-gguf") == ("text-generation",)
    assert tasks_of(real_dir / "silero-vad" / "silero_vad_16k_op15.onnx") == ("arrays",)
    for name in ("stories260K-hf", "bert-tiny-sst2-encoder", "resnet-cifar10", "g2p-en"):
        found = abilities_of(real_dir / name)
        assert (found.tasks, bool(found.obstacle), bool(found.hint)) == ((), True, True), name
    assert "tokenizer" in abilities_of(real_dir / "stories260K-hf").obstacle
