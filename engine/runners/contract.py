"""What every runner promises: a loaded model that does one task.

A runner is made by `engine.runners.load` and does its work in its own call (`stream`, `embed`, `classify`, …). Runners
may be shared by threads: each holds a lock for as long as the network computes once, so that two callers take turns
and neither waits for the other's whole work.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

TEXT_GENERATION = "text-generation"
EMBEDDINGS = "embeddings"
CLASSIFICATION = "classification"
ZERO_SHOT = "zero-shot"
FILL_MASK = "fill-mask"
QUESTION_ANSWERING = "question-answering"
SPEECH_TO_TEXT = "speech-to-text"
IMAGE_CLASSIFICATION = "image-classification"
ARRAYS = "arrays"

TASKS: tuple[str, ...] = (
    TEXT_GENERATION,
    EMBEDDINGS,
    CLASSIFICATION,
    ZERO_SHOT,
    FILL_MASK,
    QUESTION_ANSWERING,
    SPEECH_TO_TEXT,
    IMAGE_CLASSIFICATION,
    ARRAYS,
)
"""All tasks, in the order in which a page offers them."""


class Network(Protocol):
    """A loaded network, whatever computes it: named arrays in, named arrays out.

    Attributes:
        inputs: the names it takes. device: "cpu", "cuda", "mps". dtype: what it computes in, "float32", "bfloat16", …
        num_bytes: memory its weights take.
    """

    inputs: frozenset[str]
    device: str
    dtype: str
    num_bytes: int

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One forward pass; inputs that it does not take are left out, float outputs come as float32."""
        ...

    def close(self) -> None:
        """Let go of the weights."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to say of a loaded runner.

    Attributes:
        task: one of TASKS. backend: "transformers", "gguf", "llama.cpp" or "onnx". location: as it was asked for.
        load_s: how long loading took. device, dtype, num_bytes: as in `Network`.
        context: the most tokens (text) it sees at once; None where there is no limit.
        notes: what a person should know of this combination, in whole sentences.
    """

    task: str
    backend: str
    location: str
    device: str
    dtype: str
    num_bytes: int
    load_s: float = 0.0
    context: int | None = None
    notes: tuple[str, ...] = ()


@dataclass
class Runner(ABC):
    """A loaded model that does one task."""

    facts: Facts
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @abstractmethod
    def close(self) -> None:
        """Let go of the weights; the runner is of no use afterwards."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A label with its probability in [0, 1]."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class FilledMask:
    """A candidate for one masked place: the token, its probability, and the whole text with it in place."""

    token: str
    token_id: int
    probability: float
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A stretch of the context: `context[start:stop] == text`; empty where the model says that there is none."""

    text: str
    probability: float
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard: the text, the seconds of sound, and the seconds it took."""

    text: str
    audio_s: float
    elapsed_s: float
