"""The job that compares two checkpoints, tensor by tensor, and stores what changed, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import engine.sources
from engine.compare import lineage
from engine.compare.comparison import ComparisonSettings, TensorComparison, compare_one
from engine.compare.delta_spectrum import DeltaSpectrum
from engine.compare.difference import Difference
from engine.compare.lora import is_adapter, merge_adapter
from engine.compare.matching import Match, Matching, match_tensors
from engine.compare.summary import summary
from engine.errors import SourceError
from engine.sources.base import Source
from storage.comparisons import ComparisonRecord, LineageRecord
from storage.store import Store
from workflows.extract import ExtractSettings, extract
from workflows.locations import location
from workflows.reports import Meter, Report
from workflows.runs import RunFolder

VERSION = 1
"""Raised when the same two checkpoints would give other rows."""


@dataclass(frozen=True)
class CompareSettings:
    """How to compare two checkpoints.

    Attributes:
        comparison: how each pair of tensors is compared. with_lineage: also judge whether one comes from the other.
    """

    comparison: ComparisonSettings = field(default_factory=ComparisonSettings)
    with_lineage: bool = True

    @property
    def hash(self) -> str:
        """16 hex digits that change with the version and with every setting that changes the numbers."""
        numbers = (VERSION, self.comparison.tolerance, self.comparison.with_spectrum)
        return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class CompareOutcome:
    """What comparing two checkpoints did.

    Attributes:
        name_a, name_b: the locations'. hash_a, hash_b: the models' identities, by which the store finds the rows.
        was_stored: True if the database had it already and nothing was compared.
        num_tensors: pairs of tensors. sentences: what changed, in words. notes: what was ambiguous.
        verdict, lineage: whether one comes from the other, in a word and in words; "" if nobody looked.
        num_resumed: pairs taken from an earlier, unfinished run. elapsed_s: how long it took.
    """

    name_a: str
    name_b: str
    hash_a: str
    hash_b: str
    was_stored: bool
    num_tensors: int
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    verdict: str
    lineage: str
    num_resumed: int
    elapsed_s: float


def compare(
    name_a: str,
    name_b: str,
    *,
    store: Store,
    run: RunFolder | None = None,
    settings: CompareSettings | None = None,
    report: Report | None = None,
) -> CompareOutcome:
    """Compare B with A and store the rows; a comparison that is stored already is not made again.

    A model that was not measured yet is measured first. A LoRA adapter is merged onto the other one while it is read.

    Args:
        name_a, name_b: as `extract` takes them. run: where finished pairs are kept for resuming; None to keep none.
        report: hears phases, bytes done, rate and time left; may stop the work.
    Raises: SourceError if one cannot be opened or changes meanwhile; Cancelled; StorageError. Nothing is stored then.
    """
    begin_s = time.monotonic()
    settings, report = settings or CompareSettings(), report or Report()
    measuring = ExtractSettings(threads=settings.comparison.threads)
    a, b = (extract(name, store=store, run=run, settings=measuring, report=report) for name in (name_a, name_b))
    num_resumed, was_stored = 0, _is_stored(store, a.content_hash, b.content_hash, settings)
    if not was_stored:
        with opened_pair(*(location(store, each.name).uri for each in (a, b))) as (source_a, source_b):
            fingerprints = source_a.fingerprint, source_b.fingerprint
            Meter(report, "matching tensors")
            matching = match_tensors(source_a, source_b)
            finished = run and _Finished(run.checkpoints, (a.content_hash, b.content_hash, settings.hash))
            rows, num_resumed = _rows(source_a, source_b, matching, settings, finished, report)
            judged = _lineage(source_a, source_b, matching, report) if settings.with_lineage else None
            if (source_a.fingerprint, source_b.fingerprint) != fingerprints:
                raise SourceError("A checkpoint changed while it was being compared; nothing was stored.", "Try again.")
        Meter(report, "storing")
        record = ComparisonRecord(
            matching,
            tuple(rows),
            tuple(summary(matching, rows)),
            settings.comparison.tolerance,
            VERSION,
            settings.hash,
            time.monotonic() - begin_s,
        )
        store.save_comparison(a.content_hash, b.content_hash, record, judged)
        if finished:
            finished.clear()
    stored = store.comparison(a.content_hash, b.content_hash)
    kept = store.lineage(a.content_hash, b.content_hash)
    return CompareOutcome(
        a.name,
        b.name,
        a.content_hash,
        b.content_hash,
        was_stored,
        int(store.comparison_stats(a.content_hash, b.content_hash)["matched_by"].notna().sum()),
        stored.sentences,
        stored.notes,
        kept.verdict if kept else "",
        kept.words if kept else "",
        num_resumed,
        time.monotonic() - begin_s,
    )


def compare_versions(
    names: Sequence[str],
    *,
    store: Store,
    against: Literal["first", "previous"] = "first",
    settings: CompareSettings | None = None,
    report: Report | None = None,
) -> list[CompareOutcome]:
    """Versions of one model over time, each compared with the first or with the one before it.

    Args: names: in order of time; at least two.
    Returns: one outcome for each version but the first.
    """
    pairs = pairwise(names) if against == "previous" else ((names[0], name) for name in names[1:])
    return [compare(a, b, store=store, settings=settings, report=report) for a, b in pairs]


@contextmanager
def opened_pair(uri_a: str, uri_b: str) -> Iterator[tuple[Source, Source]]:
    """Two checkpoints, opened side by side; a LoRA adapter is merged onto the other one.

    Raises: SourceError if one cannot be opened, or an adapter does not fit the other.
    """
    with engine.sources.open(uri_a) as a, engine.sources.open(uri_b) as b:
        yield laid_over(a, b)


def laid_over(a: Source, b: Source) -> tuple[Source, Source]:
    """Both as they are, but a LoRA adapter merged onto the other one. Raises: SourceError if it does not fit."""
    are_adapters = is_adapter(a), is_adapter(b)
    if are_adapters == (False, True):
        return a, merge_adapter(a, b)
    if are_adapters == (True, False):
        return merge_adapter(b, a), b
    return a, b


def _is_stored(store: Store, hash_a: str, hash_b: str, settings: CompareSettings) -> bool:
    """Whether the store has all that would be found, taken in the same way."""
    stored = store.comparison(hash_a, hash_b)
    if stored is None or stored.settings_hash != settings.hash:
        return False
    judged = store.lineage(hash_a, hash_b)
    return not settings.with_lineage or (judged is not None and judged.version == lineage.VERSION)


def _lineage(a: Source, b: Source, matching: Matching, report: Report) -> LineageRecord:
    begin_s, meter = time.monotonic(), Meter(report, "judging lineage")
    found = lineage.lineage(a, b, matching, lambda _: meter.say())
    return LineageRecord(
        found.verdict,
        found.agreement.share,
        found.p_value,
        found.effect_size,
        found.words,
        found.evidence,
        lineage.VERSION,
        time.monotonic() - begin_s,
    )


def _rows(
    a: Source, b: Source, matching: Matching, settings: CompareSettings, finished: _Finished | None, report: Report
) -> tuple[list[TensorComparison], int]:
    """Every pair's numbers in the matching's order, and how many came from an earlier run."""
    sizes = [a.info(match.name_a).num_bytes + b.info(match.name_b).num_bytes for match in matching.matches]
    meter = Meter(report, "comparing", sum(sizes))
    rows, num_resumed, end = [], 0, 0
    for match, size in zip(matching.matches, sizes, strict=True):
        end += size
        row = finished.take(match) if finished else None
        if row is not None:
            num_resumed += 1
            meter.skip(size)
        else:
            # Bytes are counted as stored: what a decoded type takes in memory only shows that the work goes on.
            row = compare_one(
                a, b, matching, match, settings.comparison, lambda _, name=match.name_a: meter.advance(0, name)
            )
            meter.reach(end, match.name_a)
            if finished and row.error is None:
                finished.keep(row)
        rows.append(row)
    return rows, num_resumed


class _Finished:
    """Finished pairs of an unfinished comparison: one line of JSON each, in a file named after all they depend on."""

    def __init__(self, checkpoints: Path, dependencies: tuple[str, ...]) -> None:
        key = hashlib.sha256(json.dumps(("compare", *dependencies)).encode()).hexdigest()[:32]
        checkpoints.mkdir(parents=True, exist_ok=True)
        self._path = checkpoints / f"{key}.jsonl"
        self._kept: dict[tuple[str, str], dict] = {}
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                self._read(line)

    def _read(self, line: str) -> None:
        try:
            kept = json.loads(line)
            self._kept[kept["name_a"], kept["name_b"]] = kept
        except (ValueError, KeyError, TypeError):  # torn by a kill: that pair is compared again
            return

    def keep(self, row: TensorComparison) -> None:
        kept = {"name_a": row.match.name_a, "name_b": row.match.name_b, "difference": asdict(row.difference)}
        kept["spectrum"] = asdict(row.spectrum) if row.spectrum else None
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(kept) + "\n")

    def take(self, match: Match) -> TensorComparison | None:
        kept = self._kept.get((match.name_a, match.name_b))
        if kept is None:
            return None
        try:
            spectrum = DeltaSpectrum(**kept["spectrum"]) if kept["spectrum"] else None
            return TensorComparison(match, Difference(**kept["difference"]), spectrum)
        except (KeyError, TypeError):  # of another program version
            return None

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)
