"""The main job: measure every tensor of a checkpoint, and store the whole model at once."""

from __future__ import annotations

import math
import time
import traceback
from dataclasses import dataclass, replace

import engine.sources
from engine.errors import Cancelled, HubError, MalformedHeaderError, SourceError, WeightscopeError
from engine.heatmaps import thumbnail
from engine.measures.reading import measure_tensor, warm_up
from engine.measures.registry import MEASURES, settings_hash
from engine.measures.results import TensorReading
from engine.naming import family, place
from engine.sources.base import Source, TensorInfo
from storage.records import Location, ModelRecord, TensorRecord, Thumbnail
from storage.store import Store
from workflows.locations import describe, resolve
from workflows.reports import Meter, Report
from workflows.runs import RunFolder
from workflows.staging import Staging


@dataclass(frozen=True)
class ExtractSettings:
    """How to measure.

    Attributes:
        threads: at most so many; None for all cores. The numbers do not depend on it.
        thumbnail_size: cells along the longer side of a thumbnail.
    """

    threads: int | None = None
    thumbnail_size: int = 32


@dataclass(frozen=True)
class ExtractOutcome:
    """What an extraction did.

    Attributes:
        name: the location's. content_hash: the model's identity.
        was_stored: True if the database had it already and nothing was measured.
        num_tensors, num_parameters, num_bytes: of the checkpoint.
        failures: tensor -> why it could not be measured.
        num_resumed: tensors taken from an earlier, unfinished run.
        elapsed_s: how long it took.
    """

    name: str
    content_hash: str
    was_stored: bool
    num_tensors: int
    num_parameters: int
    num_bytes: int
    failures: dict[str, str]
    num_resumed: int
    elapsed_s: float


def extract(
    name_or_path: str,
    *,
    store: Store,
    run: RunFolder | None = None,
    settings: ExtractSettings | None = None,
    report: Report | None = None,
) -> ExtractOutcome:
    """Measure a checkpoint and store it, whole or not at all; content that is stored already is not measured again.

    The weights are read one tensor at a time; those of an `hf://` model over the network, without a download. A tensor
    that cannot be measured becomes a row with its reason; a network that fails ends the work, which can be resumed.

    Args:
        name_or_path: a location's name, a path or hf://owner/name; an unknown one is added to the locations.
        run: where finished tensors are kept for resuming; None to keep none.
        report: hears phases, bytes done, rate and time left; may stop the work.
    Raises: SourceError if it cannot be opened or changes meanwhile; Cancelled; StorageError. Nothing is stored then.
    """
    begin_s = time.monotonic()
    settings, report = settings or ExtractSettings(), report or Report()
    location = resolve(store, name_or_path)
    with engine.sources.open(location.uri) as source:
        fingerprint = source.fingerprint
        hashing = Meter(report, "hashing", sum(path.stat().st_size for path in source.files))
        content_hash = source.content_hash(hashing.advance)
        records, num_resumed = (), 0
        is_stored = store.has_model(content_hash, settings_hash())
        if not is_stored:
            staging = run and Staging(run.checkpoints, (content_hash, fingerprint, settings_hash(), repr(settings)))
            records, num_resumed = _measure(source, fingerprint, staging, settings, report)
            _check_unchanged(source, fingerprint)
            Meter(report, "storing")
            measured = {"content_hash": content_hash, "elapsed_s": time.monotonic() - begin_s}
            _store(store, location, source, records, config=_config(source, report), **measured)
            if staging:
                staging.clear()
        seen = describe(source, location.origin, location.name)
        seen = replace(seen, fingerprint=fingerprint, content_hash=content_hash)  # of the files that were hashed
        if seen != replace(location, added_at=None):
            store.add_location(seen)
        return ExtractOutcome(
            name=location.name,
            content_hash=content_hash,
            was_stored=is_stored,
            num_tensors=seen.num_tensors,
            num_parameters=seen.num_parameters,
            num_bytes=seen.num_bytes,
            failures={record.info.name: record.reading.error for record in records if record.reading.error},
            num_resumed=num_resumed,
            elapsed_s=time.monotonic() - begin_s,
        )


def _measure(
    source: Source, fingerprint: str, staging: Staging | None, settings: ExtractSettings, report: Report
) -> tuple[tuple[TensorRecord, ...], int]:
    """Every tensor's record in file order, and how many came from an earlier run."""
    preparing = Meter(report, "preparing kernels")
    warm_up(lambda words: (report.log(words), preparing.say(words)))
    meter = Meter(report, "measuring", source.num_bytes)
    if source.is_remote:  # the network sets the pace, so bytes count when they arrive
        source.on_fetch = meter.advance
    records, num_resumed, end = [], 0, 0
    for position, info in enumerate(source.infos()):
        end += info.num_bytes
        record = staging.take(position, info, report.log) if staging else None
        if record is not None:
            num_resumed += 1
            meter.skip(info.num_bytes)
        else:
            record = _measure_one(source, info, settings, meter, report)
            if not source.is_remote:
                meter.reach(end, info.name)
            _check_unchanged(source, fingerprint)
            if staging and record.reading.error is None:
                staging.keep(position, record)
        records.append(record)
    return tuple(records), num_resumed


def _measure_one(
    source: Source, info: TensorInfo, settings: ExtractSettings, meter: Meter, report: Report
) -> TensorRecord:
    """One tensor's record; a failure of any kind becomes its reason, and its traceback goes to the log."""
    meter.say(info.name)
    where = place(info.name, info.shape)
    try:
        reading = measure_tensor(
            source,
            info,
            threads=settings.threads,
            on_bytes=lambda num_bytes: meter.advance(0 if source.is_remote else num_bytes, info.name),
        )
        picture = None
        if reading.error is None:
            picture = Thumbnail(thumbnail(source, info, settings.thumbnail_size))
        return TensorRecord(info, where, reading, picture)
    except (Cancelled, HubError):
        raise
    except Exception as error:  # noqa: BLE001 — one broken tensor must not end the measuring of the others
        report.log(traceback.format_exc())
        reason = str(error) if isinstance(error, WeightscopeError) else f"{type(error).__name__}: {error}"
        return TensorRecord(info, where, failed_reading(reason), None)


def failed_reading(reason: str) -> TensorReading:
    """The reading of a tensor that could not be measured."""
    return TensorReading(None, None, None, dict.fromkeys(MEASURES, math.nan), error=reason)


def _check_unchanged(source: Source, fingerprint: str) -> None:
    """Raises SourceError if a weight file was replaced since the work began: its numbers would belong to no content."""
    if source.fingerprint != fingerprint:
        raise SourceError(
            f"{source.uri} changed while it was being measured; nothing was stored.",
            "Measure it again when nothing writes to it any more.",
        )


def _config(source: Source, report: Report) -> dict:
    """The checkpoint's config.json; {} where it is broken, which is said: the weights can be measured all the same."""
    try:
        return source.config
    except MalformedHeaderError as error:
        report.log(f"{error} The weights are measured without it.")
        return {}


def _store(
    store: Store, location: Location, source: Source, records: tuple[TensorRecord, ...], *, config: dict, **values
) -> None:
    """Store the model in one transaction."""
    model = ModelRecord(
        name=location.name,
        uri=source.uri,
        format=source.format,
        family=family([info.name for info in source.infos()], config),
        config=config,
        metadata=source.metadata,
        tensors=records,
        **values,
    )
    store.save_model(model, settings_hash())
