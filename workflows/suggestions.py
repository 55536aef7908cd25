"""The job that turns what was found of a checkpoint into ideas for its compression."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

import engine.sources
from engine.discovery.suggestions import (
    BitFacts,
    ModelFacts,
    Relative,
    Spectrum,
    TensorFacts,
    ideas_version,
    suggestions,
)
from engine.discovery.suggestions.bits import bit_facts
from engine.errors import Cancelled, HubError, SourceError, WeightscopeError
from engine.naming import place
from engine.sources.base import Source, TensorInfo
from storage.forensics import ModelForensics
from storage.store import Store
from workflows.extract import extract
from workflows.forensics import examine_mantissas
from workflows.health import examine
from workflows.locations import resolve
from workflows.reports import Meter, Report

RELATED = ("same weights", "derived", "same seed")
"""Verdicts of lineage that make two models relatives."""

MOST_GAIN = 8.0
"""Bits a weight that knowing a relative saves at most: equal weights cost nothing, and alone about so much."""


@dataclass(frozen=True)
class SuggestOutcome:
    """What was suggested.

    Attributes:
        name: the location's. content_hash: the model's identity. counts: state -> number of ideas.
        gain_bytes: idea -> bytes it would save, of those found; they do not add up.
        num_bytes: of the checkpoint. elapsed_s: how long it took.
    """

    name: str
    content_hash: str
    counts: dict[str, int]
    gain_bytes: dict[str, float]
    num_bytes: int
    elapsed_s: float


def suggest(name_or_path: str, *, store: Store, report: Report | None = None) -> SuggestOutcome:
    """Hold every idea against a checkpoint and store what they say.

    What they need is taken first where it is missing: measurements, health, forensics. Spectra and comparisons take
    long, or a second model: they count where they are there. The weights are read once more, for their exponents.

    Args: name_or_path: as for `extract`. report: hears progress; may stop the work, then nothing is suggested.
    Raises: SourceError, Cancelled, StorageError, as `extract`.
    """
    begin_s = time.monotonic()
    report = report or Report()
    measured = extract(name_or_path, store=store, report=report)
    key = measured.content_hash
    if store.health_check(key) is None:
        examine(name_or_path, store=store, report=report)
    examine_mantissas(name_or_path, store=store, report=report)
    location = resolve(store, name_or_path)
    with engine.sources.open(location.uri) as source:
        fingerprint = source.fingerprint
        facts = model_facts(store, key, source, report)
        if source.fingerprint != fingerprint or fingerprint != location.fingerprint:
            raise SourceError(
                f"{source.uri} changed while it was being read; nothing was stored.",
                "Start again when nothing writes to it any more.",
            )
    told = suggestions(facts)
    looked_at = {"spectra": any(t.spectrum for t in facts.tensors), "relatives": facts.relatives is not None}
    store.save_suggestions(key, told, ideas_version(), looked_at, time.monotonic() - begin_s)
    return SuggestOutcome(
        name=measured.name,
        content_hash=key,
        counts=dict(Counter(one.state for one in told)),
        gain_bytes={one.idea: one.gain_bytes for one in told if one.state == "found"},
        num_bytes=measured.num_bytes,
        elapsed_s=time.monotonic() - begin_s,
    )


def model_facts(store: Store, content_hash: str, source: Source, report: Report) -> ModelFacts:
    """Everything the ideas look at, of a measured model."""
    values, profiles = store.all_values(content_hash), store.axis_profiles(content_hash)
    told = store.forensics(content_hash)
    meter = Meter(report, "reading exponents", source.num_bytes)
    tensors, end = [], 0
    for info in source.infos():
        meter.say(info.name)
        end += info.num_bytes
        own = values.get(info.name, {})
        rows = profiles.get((info.name, "row"))
        tensors.append(
            TensorFacts(
                info=info,
                place=place(info.name, info.shape),
                values=own,
                row_l2=rows.l2 if rows else None,
                row_abs_max=rows.abs_max if rows else None,
                bits=_bits(source, info, own, meter, report),
                spectrum=_spectrum(store, content_hash, info, own),
            )
        )
        meter.reach(end, info.name)
    return ModelFacts(
        tensors=tuple(_with_forensics(tensors, told)),
        findings=store.findings(content_hash) if store.health_check(content_hash) else None,
        is_upcast=told.is_upcast if told else None,
        training_length=told.training_length if told else None,
        relatives=relatives(store, content_hash),
    )


def relatives(store: Store, content_hash: str) -> list[Relative] | None:
    """What stored comparisons and shared-pattern tests know of models of common origin; None if there are none."""
    found, was_asked = {}, False
    for summary in store.comparisons(content_hash):
        was_asked = True
        told = store.lineage(summary.hash_a, summary.hash_b)
        if told is None or told.verdict in RELATED:
            is_a = summary.hash_a == content_hash
            other = (summary.name_b, summary.hash_b) if is_a else (summary.name_a, summary.hash_a)
            found[other[1]] = _compared(store, summary, *other)
    for test in store.pattern_tests(content_hash):
        was_asked = True
        hashes = {model.name: model.content_hash for model in test.models}
        for pair in store.pattern_pairs(test.test).to_dict("records"):
            names = (pair["model_a"], pair["model_b"])
            own = [name for name in names if hashes.get(name) == content_hash]
            if own and pair["is_related"]:
                other = names[1] if own[0] == names[0] else names[0]
                if not _is_measured(found.get(hashes[other])):
                    found[hashes[other]] = _paired(pair, other, hashes[other])
    return list(found.values()) if was_asked else None


def _is_measured(relative: Relative | None) -> bool:
    return relative is not None and relative.is_measured


def _paired(pair: Mapping, name: str, content_hash: str) -> Relative:
    coded, predicted = (_number(pair[column]) for column in ("coded_gain", "net"))
    is_measured = not math.isnan(coded)
    gain = coded if is_measured else predicted
    correlation = _number(pair["correlation"])
    return Relative(name, content_hash, correlation, min(gain, MOST_GAIN), is_measured, int(pair["num_weights"]))


def _compared(store: Store, summary, name: str, content_hash: str) -> Relative:
    """From the cosine of every pair of matrices: ½·log₂(1/(1 − cos²)) bits each."""
    stats = store.comparison_stats(summary.hash_a, summary.hash_b)
    stats = stats[(stats["num_compared"] > 0) & stats["one_minus_cosine"].notna() & ~stats["role"].str.contains("norm")]
    distance = stats["one_minus_cosine"].clip(0, 1).to_numpy(np.float64)
    weights = stats["num_compared"].to_numpy(np.float64)
    if not weights.sum():
        return Relative(name, content_hash, math.nan, 0.0, False, 0)
    unlike = np.maximum(distance * (2 - distance), 2.0 ** (-2 * MOST_GAIN))
    bits = np.average(-0.5 * np.log2(unlike), weights=weights)
    correlation = float(np.average(1 - distance, weights=weights))
    return Relative(name, content_hash, correlation, float(bits), False, int(weights.sum()))


def _number(value: object) -> float:
    return math.nan if value is None else float(value)


def _bits(source: Source, info: TensorInfo, values: Mapping, meter: Meter, report: Report) -> BitFacts | None:
    try:
        mean, std = values.get("mean", math.nan), values.get("std", math.nan)
        return bit_facts(source, info, mean, std, lambda size: meter.advance(size, info.name))
    except (Cancelled, HubError):
        raise
    except WeightscopeError as error:
        report.log(f"{info.name}: {error}")
        return None


def _spectrum(store: Store, content_hash: str, info: TensorInfo, values: Mapping) -> Spectrum | None:
    if len(info.shape) < 2:
        return None
    stored = store.spectrum(content_hash, info.name)
    if stored is None or stored.problem is not None or not len(stored.singular_values):
        return None
    energy = values.get("l2_norm", math.nan) ** 2
    return Spectrum(stored.singular_values, energy if math.isfinite(energy) else 0.0)


def _with_forensics(tensors: list[TensorFacts], told: ModelForensics | None) -> list[TensorFacts]:
    if told is None:
        return tensors
    found = {one.tensor: one for one in told.tensors if one.num_never}
    return [
        replace(tensor, shorter=found[tensor.name].shorter, num_never=found[tensor.name].num_never)
        if tensor.name in found
        else tensor
        for tensor in tensors
    ]
