"""The job that measures many models unattended: a tier of the catalogue, folders, lists; one failing stops no other."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import Cancelled, JobError, SourceError, WeightscopeError
from storage.batches import BatchModel, BatchRecord
from storage.store import Store
from workflows.extract import ExtractSettings, extract
from workflows.locations import locations, resolve
from workflows.reports import Progress, Report
from workflows.runs import RunFolder

MOST_LIST_BYTES, MOST_MODELS = 1 << 20, 1000

STEPS: dict[str, str] = {
    "measure": "Statistics of every tensor",
    "spectra": "Singular values (slow)",
    "health": "Broken, dead, repeated and odd weights",
    "forensics": "What was never trained",
    "signatures": "Signatures, to find what resembles what",
    "suggestions": "Ideas for compression",
}
"""Step -> what it gives, in the order in which they are done; the first one always is."""

USUAL = ("measure", "health", "forensics", "signatures")


@dataclass(frozen=True)
class BatchRequest:
    """What to measure, and how.

    Attributes:
        what: folders (every checkpoint in and below them), lists (a text file with a model in each line), models.
        tier: of the catalogue, beside these; 0 for none.
        steps: keys of STEPS. is_local: leave out models of the tier that are only on the hub.
        threads: at most so many; None for all cores.
    """

    what: tuple[str, ...] = ()
    tier: int = 0
    steps: tuple[str, ...] = USUAL
    is_local: bool = False
    threads: int | None = None

    def check(self) -> BatchRequest:
        """Itself, with the steps in order. Raises: JobError where it asks for nothing, or for what there is not."""
        unknown = set(self.steps) - STEPS.keys()
        if unknown:
            raise JobError(f"A batch has no step {', '.join(sorted(unknown))}.", f"Steps are: {', '.join(STEPS)}.")
        if self.tier not in (0, 1, 2, 3):
            raise JobError(f"The catalogue has no tier {self.tier}.", "Tiers are 1, 2 and 3.")
        if not self.what and not self.tier:
            raise JobError(
                "A batch needs models, got none.", "Give folders, lists, models, or a tier of the catalogue."
            )
        wanted = {"measure", *self.steps}
        return replace(self, steps=tuple(step for step in STEPS if step in wanted))

    @property
    def title(self) -> str:
        names = [Path(one).name or one for one in self.what[:3]]
        names += [f"{len(self.what) - 3} more"] if len(self.what) > 3 else []
        names += [f"tier {self.tier} of the catalogue"] if self.tier else []
        return ", ".join(names)


@dataclass(frozen=True)
class BatchOutcome:
    """How a batch went: state -> number of models, and the run under which its summary is stored."""

    run: str
    title: str
    counts: dict[str, int]
    failures: dict[str, str]
    num_resumed: int
    elapsed_s: float


def batch(
    request: BatchRequest, *, store: Store, run: RunFolder | None = None, report: Report | None = None
) -> BatchOutcome:
    """Do the steps for one model after the other, and keep a summary that is whole after each of them.

    A model or step that fails becomes a line with its reason. A run that goes on after an interruption passes over the
    models that were done, and takes up the one in hand where its own steps can.

    Args: run: where unfinished parts are kept; None to keep none. report: hears progress; may stop the work.
    Raises: JobError if there is nothing to measure; SourceError for a folder or list that is not there; Cancelled.
    """
    begin_s = time.monotonic()
    report, request = report or Report(), request.check()
    key = run.id if run else _key(request)
    record = store.batch(key) if run else None
    before_s = record.elapsed_s if record else 0.0
    if record is None:
        models = targets(store, request, report)
        settings = {"what": list(request.what), "tier": request.tier, "steps": list(request.steps)}
        record = BatchRecord(key, request.title, settings | {"is_local": request.is_local}, tuple(models))
        store.save_batch(record)
        record = store.batch(key)
    num_resumed = sum(model.state == "done" for model in record.models)
    for place, model in enumerate(record.models):
        if model.state == "done":
            continue
        told = _Told(report, f"{place + 1} of {len(record.models)} · {model.name}")
        found = _one(model, request, store, run, told)
        models = (*record.models[:place], found, *record.models[place + 1 :])
        record = replace(record, models=models, elapsed_s=before_s + time.monotonic() - begin_s)
        store.save_batch(record)
        report.log(f"{found.name}: {found.state}. {found.words}")
    record = replace(record, is_finished=True, elapsed_s=before_s + time.monotonic() - begin_s)
    store.save_batch(record)
    states = [model.state for model in record.models]
    return BatchOutcome(
        run=key,
        title=record.title,
        counts={state: states.count(state) for state in ("done", "partly", "failed")},
        failures={model.name: model.words for model in record.models if model.state != "done"},
        num_resumed=num_resumed,
        elapsed_s=record.elapsed_s,
    )


def targets(store: Store, request: BatchRequest, report: Report | None = None) -> list[BatchModel]:
    """The models that a request means, each once, in order; those of a list that are nowhere are there as well.

    Raises: JobError if there are none or too many; SourceError for a folder or list that cannot be read.
    """
    found: dict[str, BatchModel] = {}
    for one in request.what:
        for name, uri in _meant(store, one, report or Report()):
            found.setdefault(uri, BatchModel(name, uri))
    for name, uri in _of_tier(store, request) if request.tier else ():
        found.setdefault(uri, BatchModel(name, uri))
    if not found:
        raise JobError(f"There is nothing to measure in {request.title}.", "Check the folder, or take another tier.")
    if len(found) > MOST_MODELS:
        raise JobError(f"A batch takes {MOST_MODELS:,} models at most, got {len(found):,}.", "Divide it.")
    return list(found.values())


def _meant(store: Store, one: str, report: Report) -> list[tuple[str, str]]:
    """(name, uri) of the checkpoints of a folder, of a list, or of a model."""
    from workflows.folder_scan import scan_folder

    path = Path(one).expanduser()
    if path.is_dir():
        scan = scan_folder(store, path)
        for skipped, reason in scan.skipped:
            report.log(f"{skipped}: {reason}")
        found = sorted((*scan.added, *scan.known), key=lambda location: location.uri)
        return [(location.name, location.uri) for location in found]
    if path.suffix.lower() == ".txt" and path.is_file():
        return [(Path(line).name or line, line) for line in _lines(path)]
    known = next((place for place in locations(store) if one in (place.name, place.uri)), None)
    return [(known.name, known.uri) if known else (path.name or one, one)]


def _lines(path: Path) -> list[str]:
    """The models of a list; relative paths are meant from its folder, # begins a comment."""
    if path.stat().st_size > MOST_LIST_BYTES:
        raise SourceError(f"The list {path} is longer than {MOST_LIST_BYTES:,} bytes.", "Divide it.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise SourceError(f"The list {path} cannot be read: {error}.", "It must be UTF-8 text.") from error
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [str(path.parent / line) if (path.parent / line).exists() else line for line in lines if line]


def _of_tier(store: Store, request: BatchRequest) -> list[tuple[str, str]]:
    """(name, uri) of the models of a tier: those here, and, unless only these are wanted, the others on the hub."""
    from workflows.catalogue.entry import catalogue
    from workflows.catalogue.standing import standings

    entries = [entry for entry in catalogue() if entry.tier == request.tier]
    here = standings([entry.hub_id for entry in entries], locations(store))
    found = []
    for entry in entries:
        known = here[entry.hub_id].location
        if known is not None:
            found.append((known.name, known.uri))
        elif not request.is_local:
            found.append((entry.name, entry.uri))
    return found


def _one(model: BatchModel, request: BatchRequest, store: Store, run: RunFolder | None, report: Report) -> BatchModel:
    """A model after its steps; the others go on after one that fails, unless it could not even be measured."""
    begin_s = time.monotonic()
    done, words, problems, content_hash, name = [], [], [], "", model.name
    for step in request.steps:
        try:
            outcome, said = _DO[step](model.uri, store, run, request.threads, report)
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 — one broken model must not end the measuring of the others
            report.log(traceback.format_exc())
            reason = str(error) if isinstance(error, WeightscopeError) else f"{type(error).__name__}: {error}"
            problems.append(f"{step}: {reason}")
            if step == "measure":
                break
        else:
            done.append(step)
            words += [said] if said else []
            content_hash, name = outcome.content_hash, outcome.name
    state = "failed" if not done else "partly" if problems else "done"
    elapsed_s = time.monotonic() - begin_s
    return BatchModel(name, model.uri, content_hash, state, tuple(done), " · ".join(problems + words), elapsed_s)


def _measure(uri, store, run, threads, report):
    outcome = extract(resolve(store, uri).uri, store=store, run=run, settings=ExtractSettings(threads), report=report)
    unread = f", {len(outcome.failures):,} of them unreadable" if outcome.failures else ""
    return outcome, f"{outcome.num_tensors:,} tensors{unread}"


def _spectra(uri, store, run, threads, report):
    from workflows.spectra import SpectraSettings, spectra

    outcome = spectra(uri, store=store, run=run, settings=SpectraSettings(threads), report=report)
    return outcome, f"{outcome.num_matrices:,} spectra"


def _health(uri, store, _run, _threads, report):
    from workflows.health import examine

    outcome = examine(uri, store=store, report=report)
    counts = [f"{count:,} {severity}{'' if count == 1 else 's'}" for severity, count in outcome.counts.items() if count]
    return outcome, ", ".join(counts) or "healthy"


def _forensics(uri, store, _run, _threads, report):
    from workflows.forensics import examine_mantissas

    outcome = examine_mantissas(uri, store=store, report=report)
    if outcome.is_upcast:
        return outcome, "only widened from a shorter type"
    return outcome, f"{outcome.num_rows_never:,} rows never updated" if outcome.num_rows_never else ""


def _signatures(uri, store, run, threads, report):
    from workflows.signatures import SignaturesSettings, signatures

    outcome = signatures(uri, store=store, run=run, settings=SignaturesSettings(threads), report=report)
    return outcome, f"{outcome.num_matrices:,} signatures"


def _suggestions(uri, store, _run, _threads, report):
    from workflows.suggestions import suggest

    outcome = suggest(uri, store=store, report=report)
    return outcome, f"{outcome.counts.get('found', 0):,} suggestions"


_DO: dict[str, Callable] = {
    "measure": _measure,
    "spectra": _spectra,
    "health": _health,
    "forensics": _forensics,
    "signatures": _signatures,
    "suggestions": _suggestions,
}


class _Told(Report):
    """Hands everything on, with the model in hand before the phase."""

    def __init__(self, report: Report, model: str) -> None:
        self._report, self._model = report, model

    def progress(self, progress: Progress) -> None:
        self._report.progress(replace(progress, phase=f"{self._model}: {progress.phase}"))

    def log(self, text: str) -> None:
        self._report.log(text)

    def check(self) -> None:
        self._report.check()


def _key(request: BatchRequest) -> str:
    """The name under which a batch that is no job is stored: the same request replaces its summary."""
    text = json.dumps([request.what, request.tier, request.steps, request.is_local])
    return f"batch-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
