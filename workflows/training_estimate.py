"""What a training will cost: parameters, memory, disk, text, and time by a probe of two seconds in another process."""

from __future__ import annotations

import functools
import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import engine.sources
from engine.errors import TrainingError
from engine.machine import machine
from engine.training.footprint import num_matrix_parameters, num_parameters, training_memory
from engine.training.llama_config import settings_of
from engine.training.settings import CorpusChoice, ModelSettings, SelfPlaySettings, TrainingSettings
from storage.store import Store
from workflows.checkpoint_record import MOST_CELLS
from workflows.folders import PROJECT
from workflows.locations import resolve
from workflows.training_request import TrainingRequest

PROGRAM_BYTES = 400_000_000
"""The process itself with torch and a tokenizer, as `engine.training.footprint.Footprint` says."""

PROBE_S = 2.0
_PROBE_TIMEOUT_S = 180.0

BYTES_A_TOKEN = (
    (256, 1.0),
    (300, 1.45),
    (512, 2.15),
    (1024, 2.85),
    (2048, 3.4),
    (4096, 3.9),
    (8192, 4.2),
    (16384, 4.4),
)
"""(vocabulary, bytes of text in one token), measured on the two bundled corpora, English and code; interpolated over
the logarithm of the vocabulary. The true number is known once the tokenizer is made."""

_FP32, _TOKEN_BYTES, _MEASURED_BYTES = 4, 2, 40 * 40


@dataclass(frozen=True)
class Estimate:
    """What a run will cost, as far as can be said before it.

    Attributes:
        num_parameters: exact for a new model whose text fills its vocabulary.
        memory_bytes, free_memory_bytes: at the peak, and of the processor or graphics card that will compute.
        disk_bytes, free_disk_bytes: with all checkpoints that are kept at once.
        text_bytes, text_tokens: of all corpora, about; None where one is not here yet (a hub data set).
        tokens: that the model will see in the supervised phase. passes: the same as times through the text; None
            where its size is unknown.
        tokens_per_s, device, precision: as the probe found them; in self-play, `iteration_s` an iteration.
        elapsed_s: of both phases, without looks at held-out text and checkpoints.
    """

    num_parameters: int
    memory_bytes: int
    free_memory_bytes: int
    disk_bytes: int
    free_disk_bytes: int
    text_bytes: int | None
    text_tokens: int | None
    tokens: int
    passes: float | None
    tokens_per_s: float
    iteration_s: float
    elapsed_s: float
    device: str
    precision: str


def estimate(store: Store, request: TrainingRequest) -> Estimate:
    """What a request will cost here; takes some seconds the first time, and is then remembered by its settings.

    Raises: TrainingError for settings that make no sense, or if the probe fails; SourceError for a model to go on from
        that cannot be opened.
    """
    shape = shape_of(store, request)
    text_bytes = corpora_bytes(store, request)
    probe = speed(shape, request.training, request.self_play)
    training = request.training
    tokens = training.steps * training.batch_size * shape.context if training else 0
    text_tokens = None if text_bytes is None else int(text_bytes / bytes_a_token(shape.vocabulary_size))
    learnt = None if text_tokens is None else max(text_tokens * (1 - 2 * request.held_out_share), 1)
    here = machine(store.folder)
    iterations = request.self_play.iterations if request.self_play else 0
    return Estimate(
        num_parameters=num_parameters(shape),
        memory_bytes=memory_bytes(shape, request),
        free_memory_bytes=free_memory(store, request),
        disk_bytes=disk_bytes(shape, request, text_tokens or 0),
        free_disk_bytes=here.disk_free_bytes,
        text_bytes=text_bytes,
        text_tokens=text_tokens,
        tokens=tokens,
        passes=None if learnt is None or not tokens else tokens / learnt,
        tokens_per_s=probe["tokens_per_s"],
        iteration_s=probe["iteration_s"],
        elapsed_s=tokens / probe["tokens_per_s"] + iterations * probe["iteration_s"],
        device=probe["device"],
        precision=probe["precision"],
    )


def shape_of(store: Store, request: TrainingRequest) -> ModelSettings:
    """The shape of the model: as asked for, or of the one to go on from. Raises: TrainingError, SourceError."""
    if request.model is not None:
        return request.model
    known = resolve(store, request.start_from)
    with engine.sources.open(known.uri) as source:
        return settings_of(source.config, Path(known.uri))


def memory_bytes(shape: ModelSettings, request: TrainingRequest) -> int:
    """At the peak of the dearer phase, the program included."""
    phases = [0]
    if request.training is not None:
        phases.append(training_memory(shape, request.training).total)
    if request.self_play is not None:  # model, reference, gradients, and two numbers of AdamW for each parameter
        play = request.self_play
        length = min(play.prompt_tokens + play.new_tokens, shape.context)
        written = replace(shape, context=max(length, 2))
        texts = TrainingSettings(batch_size=min(play.prompts * play.group, 32), precision="fp32", optimizer="adamw")
        phases.append(training_memory(written, texts).total + _FP32 * num_parameters(shape))
    return PROGRAM_BYTES + max(phases)


def disk_bytes(shape: ModelSettings, request: TrainingRequest, text_tokens: int) -> int:
    """Checkpoints with their states, the finished model, the weights before training, tokens, and the database."""
    weights = _FP32 * num_parameters(shape)
    total, num_saved = 2 * weights + _TOKEN_BYTES * text_tokens, 0
    for part, saved in ((request.training, "steps"), (request.self_play, "iterations")):
        if part is not None:
            is_muon = isinstance(part, TrainingSettings) and part.optimizer == "muon"
            state = 2 * weights - (_FP32 * num_matrix_parameters(shape) if is_muon else 0)
            total += (part.keep_last + 2) * (weights + state)  # the best one too, and the one being written
            num_saved += getattr(part, saved) // part.save_every + 1
    tensors = 9 * shape.layers + 3
    pictures = min(_FP32 * MOST_CELLS, tensors * 64 * 64 * _FP32)
    return total + num_saved * (pictures + tensors * _MEASURED_BYTES)


def free_memory(store: Store, request: TrainingRequest) -> int:
    """Of the graphics card where one will compute, else of this machine."""
    here, device = machine(store.folder), (request.training or request.self_play).device
    cards = [card for card in here.accelerators if card.kind == "cuda"]
    return cards[0].free_bytes if cards and device in ("auto", "cuda") else here.ram_free_bytes


def corpora_bytes(store: Store, request: TrainingRequest) -> int | None:
    """UTF-8 bytes of all text; for a path the size of its files, which is about that. None if nobody knows yet."""
    sizes = [_corpus_bytes(store, choice) for choice in request.corpora]
    return None if None in sizes else sum(sizes)


def bytes_a_token(vocabulary_size: int) -> float:
    """About how many bytes of text one token of a vocabulary of this size holds."""
    import numpy as np

    sizes, found = zip(*BYTES_A_TOKEN, strict=True)
    return float(np.interp(math.log2(vocabulary_size), [math.log2(size) for size in sizes], found))


def speed(shape: ModelSettings, training: TrainingSettings | None, self_play: SelfPlaySettings | None) -> dict:
    """tokens_per_s, iteration_s, device, precision: from a short training in another process, so that no torch is here.

    Raises: TrainingError with what the probe said.
    """
    asked = {"model": asdict(shape), "training": training and asdict(training), "self_play": self_play}
    asked["self_play"] = self_play and asdict(self_play)
    return dict(_probed(json.dumps(_without_what_costs_nothing(asked), sort_keys=True)))


def _without_what_costs_nothing(asked: dict) -> dict:
    """The settings that a probe depends on; with fewer, it is remembered for more requests."""
    free = {"steps", "iterations", "evaluate_every", "save_every", "keep_last", "sample_every", "seed", "patience"}
    free |= {"learning_rate", "muon_rate", "schedule", "warmup_steps", "final_share", "decay_share", "weights"}
    return {part: values and {k: v for k, v in values.items() if k not in free} for part, values in asked.items()}


@functools.lru_cache(maxsize=64)
def _probed(asked: str) -> tuple[tuple[str, object], ...]:
    command = [sys.executable, "-m", "workflows.training_probe", asked]
    try:
        ended = subprocess.run(  # noqa: S603 — our own interpreter and module, an argument list, no shell
            command,
            cwd=PROJECT,
            env=os.environ | {"PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TrainingError(
            f"The speed of such a training could not be tried: {error}.", "Choose a smaller model or batch."
        ) from error
    lines = ended.stdout.strip().splitlines()
    if ended.returncode != 0 or not lines:
        said = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
        raise TrainingError(
            f"The speed of such a training could not be tried: {said[:300]}", "Choose a smaller model or batch."
        )
    return tuple(json.loads(lines[-1]).items())


def _corpus_bytes(store: Store, choice: CorpusChoice) -> int | None:
    kind, _, name = choice.source.partition(":")
    if kind == "hub":
        return None
    if kind == "bundled":
        return _bundled_bytes(name)
    if kind == "library":
        from workflows.corpora import CorpusLibrary

        return CorpusLibrary(store.folder / "corpora").entry(name).num_bytes
    path = Path(choice.source).expanduser()
    if not path.exists():
        raise TrainingError(f"There is no text at {path}.", "Was it moved? Attach it again.")
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


@functools.cache
def _bundled_bytes(name: str) -> int:
    from engine.training.corpora.bundled import bundled
    from engine.training.corpus import num_bytes

    if name not in bundled():
        raise TrainingError(f"No corpus {name!r} comes with Weightscope.", f"There are: {', '.join(bundled())}.")
    return num_bytes(bundled()[name].documents())
