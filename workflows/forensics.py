"""The job that reads the mantissas of a checkpoint: what was never trained since it was stored in a shorter type."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import engine.sources
from engine.discovery.mantissa import SHORTER, Forensics, Run, forensics, is_upcast, training_length
from engine.errors import SourceError, WeightscopeError
from engine.health.findings import listed
from engine.naming import place, role_title
from engine.sources.base import Source
from storage.forensics import ModelForensics, TensorForensics, TokenGroup
from storage.store import Store
from workflows.extract import extract
from workflows.locations import resolve
from workflows.model_files import ModelFiles
from workflows.reports import Meter, Report
from workflows.token_names import names_or_none, token_groups

VERSION = 1
"""Raised when the same weights would give other findings."""

MOST_SENTENCES_OF_TENSORS = 8


@dataclass(frozen=True)
class ForensicsOutcome:
    """What a model's mantissas told: as `storage.forensics.ModelForensics`, in numbers and words."""

    name: str
    content_hash: str
    was_stored: bool
    num_tensors: int
    num_rows_never: int
    is_upcast: bool
    training_length: int | None
    sentences: tuple[str, ...]
    elapsed_s: float


def examine_mantissas(name_or_path: str, *, store: Store, report: Report | None = None) -> ForensicsOutcome:
    """Read every mantissa of a checkpoint and store what it tells; a model that was not measured is measured first.

    Args: name_or_path: as for `extract`. report: hears progress; may stop the work, then nothing is stored.
    Raises: SourceError if it cannot be read or changes meanwhile; Cancelled; StorageError.
    """
    begin_s = time.monotonic()
    report = report or Report()
    measured = extract(name_or_path, store=store, report=report)
    found = store.forensics(measured.content_hash)
    was_stored = found is not None and found.version == VERSION
    if not was_stored:
        location = resolve(store, name_or_path)
        with engine.sources.open(location.uri) as source:
            fingerprint = source.fingerprint
            results = _read(source, report)
            groups = _tokens(source, results)
            if source.fingerprint != fingerprint or fingerprint != location.fingerprint:
                raise SourceError(
                    f"{source.uri} changed while its mantissas were read; nothing was stored.",
                    "Start again when nothing writes to it any more.",
                )
        found = summarise(results, groups, time.monotonic() - begin_s)
        store.save_forensics(measured.content_hash, found)
    return ForensicsOutcome(
        name=measured.name,
        content_hash=measured.content_hash,
        was_stored=was_stored,
        num_tensors=len(found.tensors),
        num_rows_never=sum(tensor.num_never for tensor in found.tensors),
        is_upcast=found.is_upcast,
        training_length=found.training_length,
        sentences=found.sentences,
        elapsed_s=time.monotonic() - begin_s,
    )


def summarise(results: Sequence[Forensics], groups: Sequence[TokenGroup] = (), elapsed_s: float = 0.0):
    """The model's findings from those of its tensors.

    Returns: a `ModelForensics`.
    """
    tensors = tuple(_tensor(result) for result in results)
    positions = [result for result in results if place(result.tensor).role == "position_embedding"]
    widened = is_upcast(results)
    length = None if widened or not positions else training_length(positions[0])
    words = _sentences(tensors, groups, widened, length)
    return ModelForensics(widened, length, tuple(words), tuple(groups), tensors, VERSION, elapsed_s)


def _read(source: Source, report: Report) -> list[Forensics]:
    meter = Meter(report, "reading mantissas", source.num_bytes)
    results, end = [], 0
    for info in source.infos():
        meter.say(info.name)
        end += info.num_bytes
        if info.dtype in SHORTER:
            try:
                found = forensics(source, info, lambda size, name=info.name: meter.advance(size, name))
            except WeightscopeError as error:
                if not _is_of_one_tensor(error):
                    raise
                report.log(f"{info.name}: {error}")
                found = None
            if found is not None:
                results.append(found)
        meter.reach(end, info.name)
    return results


def _is_of_one_tensor(error: WeightscopeError) -> bool:
    """Whether the others can still be read: not after a cancel, and not when the network is gone."""
    from engine.errors import Cancelled, HubError

    return isinstance(error, SourceError) and not isinstance(error, Cancelled | HubError)


def _tokens(source: Source, results: Sequence[Forensics]) -> tuple[TokenGroup, ...]:
    vocabulary = next((r for r in results if place(r.tensor).role == "token_embedding" and r.num_rows > 1), None)
    if vocabulary is None or not len(vocabulary.never_updated) or is_upcast(results):
        return ()
    names = names_or_none(ModelFiles(source))
    return token_groups(names, vocabulary.never_updated.tolist(), vocabulary.num_rows) if names else ()


def _tensor(result: Forensics) -> TensorForensics:
    where, runs = place(result.tensor), result.runs
    never = result.states[result.never_updated]
    return TensorForensics(
        tensor=result.tensor,
        layer=where.layer,
        role=where.role,
        dtype=result.dtype,
        shorter=Counter(never.tolist()).most_common(1)[0][0] if len(never) else None,
        num_rows=result.num_rows,
        num_never=len(never),
        num_undecided=len(result.rows("undecided")),
        starts=tuple(run.start for run in runs),
        stops=tuple(run.stop for run in runs),
    )


def runs(tensor: TensorForensics) -> tuple[Run, ...]:
    """The never updated rows of a stored tensor as runs."""
    return tuple(Run(start, stop) for start, stop in zip(tensor.starts, tensor.stops, strict=True))


def never_rows(tensor: TensorForensics) -> np.ndarray:
    """The never updated rows of a stored tensor, increasing."""
    ranges = [np.arange(start, stop) for start, stop in zip(tensor.starts, tensor.stops, strict=True)]
    return np.concatenate(ranges) if ranges else np.zeros(0, np.int64)


def _sentences(
    tensors: Sequence[TensorForensics], groups: Sequence[TokenGroup], widened: bool, length: int | None
) -> list[str]:
    if not tensors:
        return ["No tensor is stored in a type that has a shorter one here, so the mantissas cannot tell anything."]
    touched = [tensor for tensor in tensors if tensor.num_never]
    if not touched:
        return ["Every row uses the whole mantissa: all of it was updated in the type that it is stored in."]
    if widened:
        kinds = " and ".join(sorted({tensor.shorter for tensor in touched}))
        return [
            f"The whole checkpoint was stored as {kinds} and only widened to {touched[0].dtype}: it can be stored in "
            "half the bytes without any loss. Nothing in it tells which rows were trained."
        ]
    words = [_vocabulary(tensor, groups) for tensor in touched if tensor.role == "token_embedding"]
    if length is not None:
        tail = next(t for t in touched if t.role == "position_embedding")
        words.append(
            f"Positions {length:,}–{tail.num_rows - 1:,} were never updated: it was trained on texts of at most "
            f"{length:,} tokens, though {tail.num_rows:,} positions are stored."
        )
    rest = [t for t in touched if t.role != "token_embedding" and not (t.role == "position_embedding" and length)]
    words += [_rows_words(tensor) for tensor in rest[:MOST_SENTENCES_OF_TENSORS]]
    if len(rest) > MOST_SENTENCES_OF_TENSORS:
        words.append(f"The same is true of rows of {len(rest) - MOST_SENTENCES_OF_TENSORS:,} more tensors.")
    return words


def _vocabulary(tensor: TensorForensics, groups: Sequence[TokenGroup]) -> str:
    words = f"{tensor.num_never:,} of {tensor.num_rows:,} vocabulary rows were never updated since {tensor.shorter}"
    if groups:
        named = [f"{_of(group)} {group.group}" for group in groups[:3]]
        words += f": {', '.join(named)}"
        others = sum(group.never for group in groups[3:])
        words += f", {others:,} others" if others else ""
    return f"{words}."


def _of(group: TokenGroup) -> str:
    return f"all {group.total:,}" if group.never == group.total else f"{group.never:,} of {group.total:,}"


def _rows_words(tensor: TensorForensics) -> str:
    title = f"{role_title(tensor.role)} ({tensor.tensor})"
    if tensor.is_whole:
        return f"{title}: never updated at all since {tensor.shorter}."
    rows = listed(never_rows(tensor)) if tensor.num_never > 1 else f"{tensor.starts[0]:,}"
    return (
        f"{title}: {tensor.num_never:,} of {tensor.num_rows:,} rows never updated since {tensor.shorter}: row {rows}."
    )
