"""Signatures of nulls: one matrix of noise for every matrix of weights, to be laid beside it on every map."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

import engine.sources
from engine.discovery.initialisation import initial_law
from engine.discovery.nulls import NULLS, null_matrix
from engine.discovery.sharing_dividend import seed
from engine.discovery.signature import FEATURES, Signature, SignatureSettings, signature
from engine.discovery.signature.reading import has_signature, head_runs, read_for_null
from engine.errors import MeasureError, SourceError
from engine.naming import family, place
from engine.sources.base import Source
from storage.store import Store
from workflows.extract import ExtractSettings, extract
from workflows.locations import location
from workflows.reports import Meter, Report
from workflows.runs import RunFolder
from workflows.signature_staging import SignatureStaging


@dataclass(frozen=True)
class NullOutcome:
    """What taking the nulls of a model did: the location's name, the null's, how many matrices, and how long."""

    name: str
    null: str
    num_matrices: int
    was_stored: bool
    elapsed_s: float


def null_signatures(
    name_or_path: str,
    null: str,
    *,
    store: Store,
    run: RunFolder | None = None,
    threads: int | None = None,
    report: Report | None = None,
) -> NullOutcome:
    """Make one null of every matrix of a checkpoint, take its signature, and store all at once.

    The noise depends on the content of the model, the tensor's name and nothing else, so that it can be made again.

    Args: name_or_path: as `extract` takes it. null: one of `engine.discovery.nulls.NULLS`. run: for resuming.
    Raises: MeasureError for an unknown null; SourceError; StorageError; Cancelled. Nothing is stored then.
    """
    begin_s, report = time.monotonic(), report or Report()
    if null not in NULLS:
        raise MeasureError(f"There is no null model {null!r}.", f"There are: {', '.join(NULLS)}.")
    measured = extract(name_or_path, store=store, run=run, settings=ExtractSettings(threads), report=report)
    name = store.model(measured.content_hash).name
    if name in store.models_with_null(null):
        return NullOutcome(measured.name, null, 0, True, time.monotonic() - begin_s)
    with engine.sources.open(location(store, measured.name).uri) as source:
        if source.content_hash() != measured.content_hash:
            raise SourceError(f"{source.uri} changed since it was measured.", "Measure it again.")
        settings = SignatureSettings()
        staging = run and SignatureStaging(run.checkpoints, (measured.content_hash, null, settings.hash))
        with threadpool_limits(threads):
            found = _taken(source, measured.content_hash, null, staging, report)
    values = np.array([each.values for each in found.values()]).reshape(len(found), len(FEATURES))
    store.save_null_signatures(measured.content_hash, null, list(found), values)
    if staging:
        staging.clear()
    return NullOutcome(measured.name, null, len(found), False, time.monotonic() - begin_s)


def _taken(
    source: Source, content_hash: str, null: str, staging: SignatureStaging | None, report: Report
) -> dict[str, Signature]:
    """Tensor -> signature of its null; a matrix that no null can be made of, such as one with NaN, has none."""
    infos, heads = [info for info in source.infos() if has_signature(info)], head_runs(source)
    kind = family([info.name for info in source.infos()], source.config)
    meter = Meter(report, f"making nulls: {NULLS[null].title}", len(infos), "matrices")
    found = {}
    for position, info in enumerate(infos):
        taken = staging and staging.take(position, report.log)
        if taken is not None:
            meter.skip(1)
        else:
            law = initial_law(info.shape, source.config, kind, place(info.name, info.shape).role)
            try:
                matrix, runs = read_for_null(source, info, heads.get(info.name, ()))
                noise = null_matrix(null, matrix, seed(f"{content_hash} {info.name}", 0), law)
                taken = signature(noise, heads=runs, on_bytes=lambda _, name=info.name: meter.say(name))
            except MeasureError as error:
                report.log(f"{info.name} has no null: {error}")
            if staging and taken is not None:
                staging.keep(position, taken)
            meter.advance(1, info.name)
        if taken is not None:
            found[info.name] = taken
    return found
