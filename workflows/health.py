"""Examine the health of a checkpoint: gather the evidence, apply the rules, store what they find."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import engine.sources
from engine.errors import Cancelled, HubError, SourceError, WeightscopeError
from engine.health.evidence import ModelEvidence, TensorEvidence
from engine.health.findings import SEVERITIES
from engine.health.marks import TensorMarks, tensor_marks
from engine.health.registry import findings, rules_version
from engine.measures.reading import warm_up
from engine.naming import place
from engine.sources.base import Source, TensorInfo
from storage.store import Store
from workflows.extract import extract
from workflows.locations import resolve
from workflows.reports import Meter, Report


@dataclass(frozen=True)
class HealthOutcome:
    """What an examination found.

    Attributes:
        name: the location's. content_hash: the model's identity.
        counts: severity -> number of findings. has_spectra: whether the spectral rules could work.
        elapsed_s: how long it took.
    """

    name: str
    content_hash: str
    counts: dict[str, int]
    has_spectra: bool
    elapsed_s: float


def examine(name_or_path: str, *, store: Store, report: Report | None = None) -> HealthOutcome:
    """Apply every rule to a checkpoint and store the findings; what is not measured yet is measured first.

    The weights are read once more, for what only bits tell (repeated lines and tensors, subnormal entries). A tensor
    that cannot be read is judged by what is stored of it.

    Args: name_or_path: as for `extract`. report: hears progress; may stop the work, then nothing is stored.
    Raises: SourceError, Cancelled, StorageError, as `extract`.
    """
    begin_s = time.monotonic()
    report = report or Report()
    outcome = extract(name_or_path, store=store, report=report)
    location = resolve(store, name_or_path)
    with engine.sources.open(location.uri) as source:
        fingerprint = source.fingerprint
        evidence = _evidence(store, source, outcome.content_hash, report)
        if source.fingerprint != fingerprint or fingerprint != location.fingerprint:
            raise SourceError(
                f"{source.uri} changed while it was being examined; nothing was stored.",
                "Examine it again when nothing writes to it any more.",
            )
    found = findings(evidence)
    has_spectra = store.has_spectra(outcome.content_hash)
    store.save_findings(outcome.content_hash, found, rules_version(), has_spectra=has_spectra)
    counts = Counter(finding.severity for finding in found)
    return HealthOutcome(
        name=outcome.name,
        content_hash=outcome.content_hash,
        counts={severity: counts[severity] for severity in SEVERITIES},
        has_spectra=has_spectra,
        elapsed_s=time.monotonic() - begin_s,
    )


def _evidence(store: Store, source: Source, content_hash: str, report: Report) -> ModelEvidence:
    values, profiles = store.all_values(content_hash), store.axis_profiles(content_hash)
    warm_up(report.log)
    meter = Meter(report, "examining", source.num_bytes)
    tensors, end = [], 0
    for info in source.infos():
        meter.say(info.name)
        end += info.num_bytes
        tensors.append(
            TensorEvidence(
                info=info,
                place=place(info.name, info.shape),
                values=values.get(info.name, {}),
                rows=profiles.get((info.name, "row")),
                columns=profiles.get((info.name, "column")),
                marks=_marks(source, info, meter, report),
            )
        )
        meter.reach(end, info.name)
    return ModelEvidence(tuple(tensors), store.model_config(content_hash))


def _marks(source: Source, info: TensorInfo, meter: Meter, report: Report) -> TensorMarks | None:
    try:
        return tensor_marks(source, info, lambda num_bytes: meter.advance(num_bytes, info.name))
    except (Cancelled, HubError):
        raise
    except WeightscopeError as error:
        report.log(f"{info.name}: {error}")
        return None
