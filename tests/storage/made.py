"""Small models with readings of every kind, made without any weights."""

from __future__ import annotations

import hashlib

import numpy as np

from engine.measures.registry import MEASURES
from engine.measures.results import AxisProfile, Distribution, TensorReading
from engine.naming import Place
from engine.sources.base import TensorInfo
from storage.records import Location, ModelRecord, TensorRecord, Thumbnail

SETTINGS = "0123456789abcdef"


def content_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_distribution(rng: np.random.Generator, count: int) -> Distribution:
    """Numbers of the right kinds; their values need not fit together."""
    low, high = sorted(rng.normal(size=2).tolist())
    moments = rng.normal(size=6).tolist()
    return Distribution(
        count=count,
        num_nan=1,
        num_posinf=2,
        num_neginf=3,
        num_zero=4,
        minimum=low,
        maximum=high,
        mean=moments[0],
        m2=moments[1],
        m3=moments[2],
        m4=moments[3],
        l1=moments[4],
        l2=moments[5],
        quantiles=np.sort(rng.normal(size=15)),
        bin_counts=rng.integers(0, 1 << 40, 256),
        bin_low=low,
        bin_high=high,
    )


def make_profile(rng: np.random.Generator, length: int) -> AxisProfile:
    floats = rng.normal(size=(2, length)).astype(np.float32)
    return AxisProfile(floats[0], floats[1], rng.integers(0, 9, length), rng.integers(0, 9, length))


def make_tensor(name: str, position: int, seed: int = 0, shape: tuple[int, ...] = (5, 7)) -> TensorRecord:
    rng = np.random.default_rng([seed, position])
    values = dict(zip(MEASURES, rng.normal(size=len(MEASURES)).tolist(), strict=True))
    is_matrix = len(shape) >= 2
    reading = TensorReading(
        make_distribution(rng, int(np.prod(shape))),
        make_profile(rng, shape[0]) if is_matrix else None,
        make_profile(rng, int(np.prod(shape[1:]))) if is_matrix else None,
        values,
    )
    info = TensorInfo(name, shape, "F32", 4 * int(np.prod(shape)), "model.safetensors", 0, 4 * int(np.prod(shape)))
    thumbnail = Thumbnail(rng.normal(size=(min(shape[0], 32), 3)).astype(np.float32)) if is_matrix else None
    return TensorRecord(info, Place(position // 2, "query" if position % 2 else "key", "weight"), reading, thumbnail)


def make_model(name: str = "small", content: str | None = None, num_tensors: int = 6, seed: int = 0) -> ModelRecord:
    return ModelRecord(
        content_hash=content_hash(content or name),
        name=name,
        uri=f"/models/{name}",
        format="safetensors",
        family="llama",
        config={"hidden_size": 8, "nested": {"text": "it's “ünïcode”"}},
        metadata={"format": "pt"},
        tensors=tuple(make_tensor(f"layers.{i // 2}.part{i}.weight", i, seed) for i in range(num_tensors)),
        elapsed_s=1.25,
    )


def make_location(name: str = "small", uri: str | None = None, **changes: object) -> Location:
    facts = {"origin": "added", "fingerprint": "f1", "format": "safetensors"}
    numbers = {"num_tensors": 6, "num_parameters": 210, "num_bytes": 840}
    return Location(name=name, uri=uri or f"/models/{name}", **(facts | numbers | changes))
