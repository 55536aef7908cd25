"""The rows that storage takes and gives, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from engine.measures.results import TensorReading
from engine.naming import Place
from engine.sources.base import TensorInfo


@dataclass(frozen=True)
class Location:
    """A place where a checkpoint was found: what the Zoo lists, measured or not.

    Attributes:
        name: unique short name, used in the URL and in every picker.
        uri: what `engine.sources.open` takes.
        origin: "bundled", "added", "uploaded", "scanned", "trained" or "hub".
        fingerprint: the source's fingerprint when last seen.
        format, num_tensors, num_parameters, num_bytes: from the headers.
        content_hash: the model's content hash once it was measured; None before.
        added_at: when it was first seen (UTC).
    """

    name: str
    uri: str
    origin: str
    fingerprint: str
    format: str
    num_tensors: int
    num_parameters: int
    num_bytes: int
    content_hash: str | None = None
    added_at: datetime | None = None


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A tensor pooled to at most 32 × 32 cells, each the entry of largest magnitude, sign kept; (h, w) float32."""

    values: np.ndarray


@dataclass(frozen=True, eq=False)
class TensorRecord:
    """One measured tensor, as extraction hands it to storage."""

    info: TensorInfo
    place: Place
    reading: TensorReading
    thumbnail: Thumbnail | None


@dataclass(frozen=True, eq=False)
class ModelRecord:
    """One measured checkpoint; stored in one transaction, whole or not at all.

    Attributes:
        content_hash: SHA-256 of the weights; the model's identity.
        name, uri, format: as in its Location. family: "bert", "llama", … or "unknown".
        config: its config.json; metadata: its header's own metadata.
        tensors: all of them, in file order.
        elapsed_s: how long the measuring took.
    """

    content_hash: str
    name: str
    uri: str
    format: str
    family: str
    config: dict = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tensors: tuple[TensorRecord, ...] = ()
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class ModelSummary:
    """A measured model as lists show it."""

    content_hash: str
    name: str
    uri: str
    format: str
    family: str
    num_tensors: int
    num_parameters: int
    num_bytes: int
    measured_at: datetime


@dataclass(frozen=True)
class TensorFailure:
    """A tensor that could not be measured, and why."""

    tensor: str
    reason: str


@dataclass(frozen=True)
class Metric:
    """One number of a running experiment; NaN where undefined. recorded_at: UTC; None means now."""

    step: int
    name: str
    value: float
    recorded_at: datetime | None = None


@dataclass(frozen=True)
class Experiment:
    """A run of training, compression or a scan.

    Attributes:
        id: its key. kind: "pretraining", "compression", "scan", … name: for people.
        settings: what was asked. status: "running", "done", "failed" or "cancelled".
        started_at, finished_at: UTC; finished_at and result are None while it runs.
        result: what came of it. message: why it failed.
    """

    id: str
    kind: str
    name: str
    settings: dict
    status: str
    started_at: datetime
    finished_at: datetime | None = None
    result: dict | None = None
    message: str = ""
