"""The registry of runners: which task, of which kind of checkpoint, is made by what."""

from __future__ import annotations

import importlib
import importlib.util
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import RunnerError
from engine.runners.abilities import abilities
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
    Runner,
)
from engine.runners.transformers_loading import Loading
from engine.sources.base import Source


@dataclass(frozen=True, slots=True)
class RunnerKind:
    """One way to do one task.

    Attributes:
        task: one of TASKS. kind: of checkpoint, "transformers", "gguf" or "onnx".
        made_by: "module:function"; the module is imported when a runner is wanted. The function takes
            (checkpoint, task, loading) and gives the runner.
        requires: a package that has to be installed for it; "" for none.
    """

    task: str
    kind: str
    made_by: str
    requires: str = ""

    @property
    def maker(self) -> Callable[[Checkpoint, str, Loading], Runner]:
        module, _, function = self.made_by.partition(":")
        return getattr(importlib.import_module(module), function)

    @property
    def is_installed(self) -> bool:
        return not self.requires or importlib.util.find_spec(self.requires) is not None


_MAKING = "engine.runners.making"

RUNNERS: tuple[RunnerKind, ...] = (
    RunnerKind(TEXT_GENERATION, TRANSFORMERS, f"{_MAKING}:text_generator"),
    RunnerKind(TEXT_GENERATION, GGUF, "engine.runners.llama_cpp:llama_cpp_generator", requires="llama_cpp"),
    RunnerKind(TEXT_GENERATION, GGUF, f"{_MAKING}:gguf_generator"),
    RunnerKind(TEXT_GENERATION, ONNX, f"{_MAKING}:onnx_generator", requires="onnxruntime"),
    RunnerKind(EMBEDDINGS, TRANSFORMERS, f"{_MAKING}:embedder"),
    RunnerKind(EMBEDDINGS, ONNX, f"{_MAKING}:embedder", requires="onnxruntime"),
    RunnerKind(CLASSIFICATION, TRANSFORMERS, f"{_MAKING}:classifier"),
    RunnerKind(CLASSIFICATION, ONNX, f"{_MAKING}:classifier", requires="onnxruntime"),
    RunnerKind(ZERO_SHOT, TRANSFORMERS, f"{_MAKING}:zero_shot"),
    RunnerKind(ZERO_SHOT, ONNX, f"{_MAKING}:zero_shot", requires="onnxruntime"),
    RunnerKind(FILL_MASK, TRANSFORMERS, f"{_MAKING}:mask_filler"),
    RunnerKind(FILL_MASK, ONNX, f"{_MAKING}:mask_filler", requires="onnxruntime"),
    RunnerKind(QUESTION_ANSWERING, TRANSFORMERS, f"{_MAKING}:answerer"),
    RunnerKind(QUESTION_ANSWERING, ONNX, f"{_MAKING}:answerer", requires="onnxruntime"),
    RunnerKind(SPEECH_TO_TEXT, TRANSFORMERS, f"{_MAKING}:transcriber"),
    RunnerKind(IMAGE_CLASSIFICATION, TRANSFORMERS, f"{_MAKING}:image_classifier"),
    RunnerKind(ARRAYS, ONNX, f"{_MAKING}:array_runner", requires="onnxruntime"),
)
"""The first that is installed is taken."""


LOADING = threading.Lock()
"""One model is loaded at a time: transformers' lazy modules break when two threads import them for the first time."""


def load(
    place: str | Path | Source, task: str, *, device: str = "auto", dtype: str = "auto", config: dict | None = None
) -> Runner:
    """A checkpoint, loaded for a task.

    Args:
        place: a folder, a file in it (GGUF and ONNX run by themselves), `owner/name` in the hub cache, or a source.
        task: one of `tasks_of(place)`.
        device: "auto", "cpu", "cuda", "mps". dtype: "auto", "float32", "bfloat16", "float16".
        config: instead of the folder's config.json, for finding the task only.
    Returns: the task's runner: TextGenerator, Embedder, Classifier, …
    Raises: RunnerError, with a hint, if it cannot run that task or cannot be loaded. Nothing is fetched from the
        network, and no code of the checkpoint's is run.
    """
    checkpoint = checkpoint_at(place, config)
    able = abilities(checkpoint)
    if task not in able.tasks:
        message = able.obstacle or f"{checkpoint.folder.name} does not do {task}."
        raise RunnerError(message, able.hint or f"It does: {', '.join(able.tasks)}.")
    rows = [row for row in RUNNERS if (row.task, row.kind) == (task, able.kind)]
    row = next((row for row in rows if row.is_installed), None)
    if row is None:
        needed = ", ".join(sorted({row.requires for row in rows})) or "a runner that does not exist yet"
        raise RunnerError(f"{task} from {able.kind} files needs {needed}.", f"pip install {needed}")
    with LOADING:
        started = time.perf_counter()
        runner = row.maker(checkpoint, task, Loading(device, dtype))
    runner.facts = replace(runner.facts, load_s=time.perf_counter() - started)
    return runner
