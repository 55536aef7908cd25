"""Which tasks a checkpoint can run, from its config and files alone: no torch, no weights."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from engine.errors import RunnerError
from engine.runners.checkpoint import GGUF, ONNX, TRANSFORMERS, Checkpoint, checkpoint_at
from engine.runners.contract import (
    ARRAYS,
    CLASSIFICATION,
    EMBEDDINGS,
    FILL_MASK,
    IMAGE_CLASSIFICATION,
    QUESTION_ANSWERING,
    SPEECH_TO_TEXT,
    TEXT_GENERATION,
    ZERO_SHOT,
)
from engine.runners.gguf_architecture import gguf_architecture
from engine.sources.base import Source

_ENCODER = (EMBEDDINGS, ZERO_SHOT)

_BY_HEAD: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ForCausalLM", (TEXT_GENERATION, EMBEDDINGS)),
    ("LMHeadModel", (TEXT_GENERATION, EMBEDDINGS)),
    ("MTModel", (TEXT_GENERATION,)),
    ("ForMaskedLM", (FILL_MASK, *_ENCODER)),
    ("WithLMHeadModel", (FILL_MASK, *_ENCODER)),
    ("ForSequenceClassification", (CLASSIFICATION,)),
    ("ForQuestionAnswering", (QUESTION_ANSWERING,)),
    ("ForSpeechSeq2Seq", (SPEECH_TO_TEXT,)),
    ("ForCTC", (SPEECH_TO_TEXT,)),
    ("ForImageClassification", (IMAGE_CLASSIFICATION,)),
)
"""The end of an architecture's name, and what a model with that head does; the first match counts."""

_TEXT_TO_TEXT = frozenset(
    """
    t5 mt5 umt5 longt5 byt5 switch_transformers bart mbart blenderbot blenderbot-small pegasus pegasus_x led marian
    m2m_100 nllb-moe prophetnet fsmt plbart bigbird_pegasus mvp t5gemma
    """.split()  # noqa: SIM905 - names read better as words
)
_SPEECH = frozenset({"whisper", "speech_to_text", "moonshine", "speecht5"})
_DISCRIMINATORS = frozenset({"electra"})
"""Pre-trained without a head that names words."""

_TEXT_ENCODERS = frozenset(
    """
    albert bert big_bird camembert canine convbert data2vec-text deberta deberta-v2 distilbert electra ernie esm
    eurobert flaubert funnel ibert layoutlm longformer luke mega megatron-bert mobilebert modernbert mpnet mra
    nomic_bert nystromformer rembert roberta roberta-prelayernorm roformer squeezebert t5 umt5 xlm xlm-roberta
    xlm-roberta-xl xmod yoso
    """.split()  # noqa: SIM905 - as above
)
"""Model types whose bare network makes embeddings of text."""

_GGUF_ENCODERS = frozenset({"bert", "nomic-bert", "jina-bert-v2", "t5encoder", "clip", "whisper"})
"""Architectures of GGUF files that generate no text."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a checkpoint can do here.

    Attributes:
        tasks: in the order of TASKS; () if it cannot run.
        kind: "transformers", "gguf" or "onnx".
        obstacle: why it cannot run, one sentence; "" if it can.
        hint: what to do about that.
    """

    tasks: tuple[str, ...]
    kind: str
    obstacle: str = ""
    hint: str = ""


def tasks_of(place: str | Path | Source, config: dict | None = None) -> tuple[str, ...]:
    """The tasks that a checkpoint can run; () for none, see `abilities_of` for the reason.

    Args: as `checkpoint_at`. Imports neither torch nor transformers, reads no weights.
    """
    return abilities_of(place, config).tasks


def abilities_of(place: str | Path | Source, config: dict | None = None) -> Abilities:
    """What a checkpoint can run, and if nothing, why."""
    try:
        checkpoint = checkpoint_at(place, config)
    except RunnerError as error:
        return Abilities((), TRANSFORMERS, error.message, error.hint)
    return abilities(checkpoint)


def abilities(checkpoint: Checkpoint) -> Abilities:
    """The same of a checkpoint that was looked up."""
    if checkpoint.kind == GGUF:
        return _of_gguf(checkpoint)
    if checkpoint.kind == ONNX:
        return _of_onnx(checkpoint)
    return _of_folder(checkpoint)


def tasks_of_config(config: dict) -> tuple[str, ...]:
    """What the network is made for, whatever files are there: from `architectures`, else from `model_type`."""
    model_type = str(config.get("model_type") or "")
    architectures = config.get("architectures")
    names = [name for name in architectures if isinstance(name, str)] if isinstance(architectures, list) else []
    for name in names:
        tasks = _tasks_of_architecture(name, model_type)
        if tasks:
            return (*tasks, ZERO_SHOT) if tasks == (CLASSIFICATION,) and has_entailment(config) else tasks
    return _ENCODER if not names and model_type in _TEXT_ENCODERS else ()


def has_entailment(config: dict) -> bool:
    """Whether a classifier's labels are those of natural language inference."""
    labels = config.get("id2label")
    return isinstance(labels, dict) and any(str(label).lower().startswith("entail") for label in labels.values())


def _tasks_of_architecture(name: str, model_type: str) -> tuple[str, ...]:
    if name.endswith("ForConditionalGeneration"):
        if model_type in _SPEECH:
            return (SPEECH_TO_TEXT,)
        return (TEXT_GENERATION,) if model_type in _TEXT_TO_TEXT else ()
    if name.endswith("ForPreTraining"):
        return _ENCODER if model_type in _DISCRIMINATORS else (FILL_MASK, *_ENCODER)
    if name.endswith("WithLMHeadModel"):
        return (FILL_MASK, *_ENCODER)
    for head, tasks in _BY_HEAD:
        if name.endswith(head):
            return tasks
    return _ENCODER if name.endswith("Model") and model_type in _TEXT_ENCODERS else ()


def _of_folder(checkpoint: Checkpoint) -> Abilities:
    if not checkpoint.config:
        return _cannot(
            TRANSFORMERS,
            f"{checkpoint.folder.name} has no config.json, so its architecture is unknown.",
            "Put the model's config.json and tokenizer beside the weights; they can be inspected without.",
        )
    if not checkpoint.weight_files:
        return _cannot(TRANSFORMERS, f"{checkpoint.folder.name} has no weights.", "Download them; then it can run.")
    if _needs_own_code(checkpoint.config):
        return _cannot(
            TRANSFORMERS,
            "This model needs code of its own to run, which Weightscope never runs.",
            "Its weights can be inspected all the same.",
        )
    tasks = tasks_of_config(checkpoint.config)
    if not tasks:
        names = checkpoint.config.get("architectures") or checkpoint.config.get("model_type") or "of no stated type"
        return _cannot(TRANSFORMERS, f"No task is known for the architecture {names}.", "It can be inspected.")
    return _with_files(checkpoint, tasks, TRANSFORMERS)


def _with_files(checkpoint: Checkpoint, tasks: tuple[str, ...], kind: str) -> Abilities:
    """Tasks whose tokenizer and preprocessor are there."""
    if IMAGE_CLASSIFICATION in tasks or SPEECH_TO_TEXT in tasks:
        if not checkpoint.files & {"preprocessor_config.json", "processor_config.json"}:
            return _cannot(
                kind,
                f"{checkpoint.folder.name} has no preprocessor_config.json, which says how its input is prepared.",
                "Put the original model's file beside the weights.",
            )
        if IMAGE_CLASSIFICATION in tasks:
            return Abilities(tasks, kind)
    if not checkpoint.has_tokenizer:
        return _cannot(
            kind,
            f"{checkpoint.folder.name} has no tokenizer, so text cannot become its tokens.",
            "Put the original model's tokenizer.json (or tokenizer.model, or vocab.txt) beside the weights.",
        )
    return Abilities(tasks, kind)


def _of_gguf(checkpoint: Checkpoint) -> Abilities:
    architecture = gguf_architecture(checkpoint.file)
    if architecture in _GGUF_ENCODERS:
        return _cannot(
            GGUF, f"GGUF files of the architecture {architecture!r} generate no text.", "It can be inspected."
        )
    return Abilities((TEXT_GENERATION,), GGUF)


def _of_onnx(checkpoint: Checkpoint) -> Abilities:
    """ONNX graphs with config and tokenizer do their task; any other takes and gives arrays."""
    if importlib.util.find_spec("onnxruntime") is None:
        return _cannot(ONNX, "ONNX Runtime is not installed.", "pip install onnxruntime")
    if not checkpoint.config or not checkpoint.has_tokenizer:
        return Abilities((ARRAYS,), ONNX)
    runnable = (TEXT_GENERATION, EMBEDDINGS, CLASSIFICATION, ZERO_SHOT, FILL_MASK, QUESTION_ANSWERING)
    tasks = tuple(task for task in tasks_of_config(checkpoint.config) if task in runnable)
    if TEXT_GENERATION in tasks:
        tasks = (TEXT_GENERATION,)
    elif FILL_MASK in tasks:
        tasks = (FILL_MASK,) if _exports_logits(checkpoint) else _ENCODER
    return Abilities((*tasks, ARRAYS), ONNX)


def _exports_logits(checkpoint: Checkpoint) -> bool:
    """Whether the graph has an output called logits: masked language models are also exported without their head."""
    with checkpoint.file.open("rb") as file:
        file.seek(max(checkpoint.file.stat().st_size - 65_536, 0))
        return b"logits" in file.read()


def _needs_own_code(config: dict) -> bool:
    """Whether config.json points to Python files, and transformers has no architecture of that type itself."""
    if not isinstance(config.get("auto_map"), dict):
        return False
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return True
    models = Path(spec.submodule_search_locations[0]) / "models"
    return not (models / str(config.get("model_type") or "-").replace("-", "_")).is_dir()


def _cannot(kind: str, obstacle: str, hint: str) -> Abilities:
    return Abilities((), kind, obstacle, hint)
