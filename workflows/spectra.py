"""The job that takes the spectra of a checkpoint: every matrix's singular values, stored whole or not at all."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

from threadpoolctl import threadpool_limits

import engine.sources
from engine.errors import Cancelled, HubError, SourceError, WeightscopeError
from engine.folding import matrix_shape
from engine.measures.spans import num_threads
from engine.sources.base import Source, TensorInfo
from engine.spectra.reading import has_spectrum, measure_spectrum, no_reading, reading_of, warm_up
from engine.spectra.registry import settings_hash
from engine.spectra.results import SpectralReading
from engine.spectra.settings import SpectrumSettings
from storage.spectra import SpectrumRecord
from storage.store import Store
from workflows.extract import ExtractSettings, extract
from workflows.locations import location
from workflows.reports import Meter, Report
from workflows.runs import RunFolder
from workflows.spectra_staging import SpectraStaging

LARGE_SIDE, LARGE_ELEMENTS = 2048, 1 << 26
"""Matrices beyond either are taken one at a time with all threads, the others side by side with one thread each: a
small decomposition gains nothing from more threads, and several large ones at once would fill the memory. Ours."""

POLL_S = 0.2
"""How often the work looks whether it should stop while matrices are under way."""


@dataclass(frozen=True)
class SpectraSettings:
    """How to take a model's spectra: at most so many threads (None: all cores), and how each spectrum is taken."""

    threads: int | None = None
    spectrum: SpectrumSettings = field(default_factory=SpectrumSettings)


@dataclass(frozen=True)
class SpectraOutcome:
    """What taking the spectra of a model did.

    Attributes:
        name: the location's. content_hash: the model's identity.
        was_stored: True if the database had them already and nothing was taken.
        num_matrices: tensors that have a spectrum. num_estimates: of how many only the largest values were estimated.
        problems: tensor -> why it has none. num_resumed: taken from an earlier, unfinished run.
        elapsed_s: how long it took.
    """

    name: str
    content_hash: str
    was_stored: bool
    num_matrices: int
    num_estimates: int
    problems: dict[str, str]
    num_resumed: int
    elapsed_s: float


def spectra(
    name_or_path: str,
    *,
    store: Store,
    run: RunFolder | None = None,
    settings: SpectraSettings | None = None,
    report: Report | None = None,
) -> SpectraOutcome:
    """Take the spectra of a checkpoint's matrices and store them; those that are stored already are not taken again.

    A model that was not measured yet is measured first. A matrix without a spectrum becomes a row with its reason.

    Args:
        name_or_path: as `extract` takes it. run: where finished spectra are kept for resuming; None to keep none.
        report: hears phases, work done, rate and time left; may stop the work.
    Raises: SourceError if the checkpoint cannot be opened or changes meanwhile; Cancelled; StorageError. No spectrum is
        stored then.
    """
    begin_s = time.monotonic()
    settings, report = settings or SpectraSettings(), report or Report()
    measured = extract(name_or_path, store=store, run=run, settings=ExtractSettings(settings.threads), report=report)
    key = settings_hash(settings.spectrum)
    records, num_resumed = [], 0
    was_stored = store.has_spectra(measured.content_hash, key)
    if not was_stored:
        with engine.sources.open(location(store, measured.name).uri) as source:
            fingerprint = source.fingerprint
            _check_content(source, measured.content_hash)
            staging = run and SpectraStaging(run.checkpoints, (measured.content_hash, fingerprint, key))
            work = _Work(source, settings, staging, report)
            records, num_resumed = work.done()
            if source.fingerprint != fingerprint:
                raise _changed(source)
        Meter(report, "storing")
        store.save_spectra(measured.content_hash, records, key)
        if staging:
            staging.clear()
    stored = store.spectral_stats(measured.content_hash)
    problems = stored.dropna(subset="problem")
    return SpectraOutcome(
        name=measured.name,
        content_hash=measured.content_hash,
        was_stored=was_stored,
        num_matrices=len(stored) - len(problems),
        num_estimates=int(stored["is_estimate"].sum()),
        problems=dict(zip(problems["tensor"], problems["problem"], strict=True)),
        num_resumed=num_resumed,
        elapsed_s=time.monotonic() - begin_s,
    )


class _Work:
    """The matrices of one checkpoint, some side by side, each reported when it is done."""

    def __init__(
        self, source: Source, settings: SpectraSettings, staging: SpectraStaging | None, report: Report
    ) -> None:
        self._source, self._settings, self._staging, self._report = source, settings, staging, report
        self._stop = threading.Event()
        self._infos = [info for info in source.infos() if has_spectrum(info)]
        self._readings: dict[int, SpectralReading] = {}

    def done(self) -> tuple[list[SpectrumRecord], int]:
        """Every record in file order, and how many came from an earlier run."""
        Meter(self._report, "preparing kernels")
        warm_up()
        meter = Meter(self._report, "taking spectra", sum(map(cost, self._infos)), "MFLOP")
        waiting = [position for position in range(len(self._infos)) if not self._is_taken(position, meter)]
        num_resumed = len(self._infos) - len(waiting)
        threads = num_threads(self._settings.threads)
        # The dearest first: the last one then keeps the others waiting for the shortest time.
        waiting.sort(key=lambda position: -cost(self._infos[position]))
        is_large = {position: _is_large(self._infos[position]) for position in waiting}
        if self._source.is_remote:
            self._source.on_fetch = self._check
        for large, workers in ((True, 1), (False, threads)):
            chosen = [position for position in waiting if is_large[position] is large]
            with threadpool_limits(threads // workers, user_api="blas"):
                self._side_by_side(chosen, workers, meter)
        records = [
            SpectrumRecord(info.name, *matrix_shape(info.shape), self._readings[position])
            for position, info in enumerate(self._infos)
        ]
        return records, num_resumed

    def _is_taken(self, position: int, meter: Meter) -> bool:
        """Whether an earlier run has taken this one; it is then among the readings."""
        info = self._infos[position]
        found = self._staging and self._staging.take(position, matrix_shape(info.shape), self._report.log)
        if found is None:
            return False
        self._readings[position] = reading_of(found)
        meter.skip(cost(info))
        return True

    def _side_by_side(self, positions: list[int], workers: int, meter: Meter) -> None:
        with self._pool(workers) as start:
            under_way = {start(self._take, self._infos[position]): position for position in positions}
            while under_way:
                finished, _ = wait(under_way, timeout=POLL_S, return_when=FIRST_COMPLETED)
                meter.say()
                for future in finished:
                    position = under_way.pop(future)
                    reading = self._readings[position] = future.result()
                    if self._staging and reading.singular is not None:
                        self._staging.keep(position, reading.singular)
                    meter.advance(cost(self._infos[position]), self._infos[position].name)

    @contextmanager
    def _pool(self, workers: int) -> Iterator[Callable[..., Future]]:
        """Threads that are told to stop, and waited for, however the work ends."""
        pool = ThreadPoolExecutor(workers, thread_name_prefix="spectrum")
        try:
            yield pool.submit
        finally:
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self._stop.clear()

    def _take(self, info: TensorInfo) -> SpectralReading:
        """One matrix's reading; a failure of any kind becomes its reason, and its traceback goes to the log."""
        try:
            return measure_spectrum(self._source, info, self._settings.spectrum, on_bytes=self._check)
        except (Cancelled, HubError):
            raise
        except Exception as error:  # noqa: BLE001 — one broken tensor must not end the measuring of the others
            self._report.log(traceback.format_exc())
            is_ours = isinstance(error, WeightscopeError)
            return no_reading(str(error) if is_ours else f"{type(error).__name__}: {error}")

    def _check(self, _num_bytes: int) -> None:
        if self._stop.is_set():
            raise Cancelled("The work was cancelled.")


def cost(info: TensorInfo) -> int:
    """About how much work the spectrum of a tensor is, in million multiplications: s²·l + 4·s³/3, at least 1.

    s and l are the shorter and the longer side; the decomposition's steps run at a third of the speed.
    """
    side, length = sorted(matrix_shape(info.shape))
    return max(1, side * side * (length + 4 * side) // 10**6)


def _is_large(info: TensorInfo) -> bool:
    return min(matrix_shape(info.shape)) > LARGE_SIDE or info.num_elements > LARGE_ELEMENTS


def _check_content(source: Source, content_hash: str) -> None:
    if source.content_hash() != content_hash:
        raise _changed(source)


def _changed(source: Source) -> SourceError:
    return SourceError(
        f"{source.uri} changed while its spectra were taken; they were not stored.",
        "Start again when nothing writes to it any more.",
    )
