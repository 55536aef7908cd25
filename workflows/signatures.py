"""The job that takes the signatures of a checkpoint: every matrix's features, stored whole or not at all."""

from __future__ import annotations

import threading
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from threadpoolctl import threadpool_limits

import engine.sources
from engine.discovery.signature import Signature, SignatureSettings
from engine.discovery.signature.reading import has_signature, head_runs, tensor_signature
from engine.errors import Cancelled, HubError, SourceError, WeightscopeError
from engine.folding import matrix_shape
from engine.measures.spans import num_threads
from engine.naming import place
from engine.sources.base import Source, TensorInfo
from engine.spectra.reading import warm_up
from storage.signatures import SignatureRecord
from storage.store import Store
from workflows import spectra
from workflows.extract import ExtractSettings, extract
from workflows.locations import location
from workflows.reports import Meter, Report
from workflows.runs import RunFolder
from workflows.signature_staging import SignatureStaging

LARGE_SIDE, LARGE_ELEMENTS = 2048, 1 << 24
"""Matrices beyond either are taken one at a time with all threads, the others side by side with one thread each: at
most one large matrix, its sorted copy and its singular values are then in memory. Ours."""

POLL_S = 0.2
"""How often the work looks whether it should stop while matrices are under way."""


@dataclass(frozen=True)
class SignaturesSettings:
    """How to take a model's signatures: at most so many threads (None: all cores), and how each is taken."""

    threads: int | None = None
    signature: SignatureSettings = field(default_factory=SignatureSettings)


@dataclass(frozen=True)
class SignaturesOutcome:
    """What taking the signatures of a model did.

    Attributes:
        name: the location's. content_hash: the model's identity.
        was_stored: True if the database had them already and nothing was taken.
        num_matrices: tensors that have a signature. num_estimates: of how many only a sample was looked at.
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


def signatures(
    name_or_path: str,
    *,
    store: Store,
    run: RunFolder | None = None,
    settings: SignaturesSettings | None = None,
    report: Report | None = None,
) -> SignaturesOutcome:
    """Take the signatures of a checkpoint's matrices and store them, with that of the model; what is stored stays.

    A model that was not measured yet is measured first. A matrix without a signature becomes a row with its reason.

    Args:
        name_or_path: as `extract` takes it. run: where finished signatures are kept for resuming; None to keep none.
        report: hears phases, work done, rate and time left; may stop the work.
    Raises: SourceError if the checkpoint cannot be opened or changes meanwhile; Cancelled; StorageError. No signature
        is stored then.
    """
    begin_s = time.monotonic()
    settings, report = settings or SignaturesSettings(), report or Report()
    measured = extract(name_or_path, store=store, run=run, settings=ExtractSettings(settings.threads), report=report)
    key, num_resumed = settings.signature.hash, 0
    was_stored = store.has_signatures(measured.content_hash, key)
    if not was_stored:
        with engine.sources.open(location(store, measured.name).uri) as source:
            fingerprint = source.fingerprint
            _check_content(source, measured.content_hash)
            staging = run and SignatureStaging(run.checkpoints, (measured.content_hash, fingerprint, key))
            records, num_resumed = _Work(source, settings, staging, report).done()
            if source.fingerprint != fingerprint:
                raise _changed(source)
        Meter(report, "storing")
        store.save_signatures(measured.content_hash, records, key, time.monotonic() - begin_s)
        if staging:
            staging.clear()
    shares = store.signatures([measured.content_hash]).places["share"]
    return SignaturesOutcome(
        name=measured.name,
        content_hash=measured.content_hash,
        was_stored=was_stored,
        num_matrices=len(shares),
        num_estimates=int((shares < 1).sum()),
        problems=store.signature_problems(measured.content_hash),
        num_resumed=num_resumed,
        elapsed_s=time.monotonic() - begin_s,
    )


class _Work:
    """The matrices of one checkpoint, some side by side, each reported when it is done."""

    def __init__(
        self, source: Source, settings: SignaturesSettings, staging: SignatureStaging | None, report: Report
    ) -> None:
        self._source, self._settings, self._staging, self._report = source, settings, staging, report
        self._stop = threading.Event()
        self._infos = [info for info in source.infos() if has_signature(info)]
        self._heads = head_runs(source)
        self._found: dict[int, tuple[Signature | None, str | None]] = {}

    def done(self) -> tuple[list[SignatureRecord], int]:
        """Every record in file order, and how many came from an earlier run."""
        Meter(self._report, "preparing kernels")
        warm_up()
        meter = Meter(self._report, "taking signatures", sum(map(_cost, self._infos)), "MFLOP")
        waiting = [position for position in range(len(self._infos)) if not self._is_taken(position, meter)]
        num_resumed = len(self._infos) - len(waiting)
        threads = num_threads(self._settings.threads)
        # The dearest first: the last one then keeps the others waiting for the shortest time.
        waiting.sort(key=lambda position: -_cost(self._infos[position]))
        if self._source.is_remote:
            self._source.on_fetch = self._check
        large = [position for position in waiting if _is_large(self._infos[position])]
        small = [position for position in waiting if not _is_large(self._infos[position])]
        for chosen, workers in ((large, 1), (small, threads)):
            with threadpool_limits(threads // workers, user_api="blas"):
                self._side_by_side(chosen, workers, meter)
        records = [
            SignatureRecord(info.name, place(info.name, info.shape), *self._found[position])
            for position, info in enumerate(self._infos)
        ]
        return records, num_resumed

    def _is_taken(self, position: int, meter: Meter) -> bool:
        """Whether an earlier run has taken this one; it is then among those found."""
        found = self._staging and self._staging.take(position, self._report.log)
        if found is None:
            return False
        self._found[position] = found, None
        meter.skip(_cost(self._infos[position]))
        return True

    def _side_by_side(self, positions: list[int], workers: int, meter: Meter) -> None:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="signature")
        try:
            under_way = {pool.submit(self._take, self._infos[position]): position for position in positions}
            while under_way:
                finished, _ = wait(under_way, timeout=POLL_S, return_when=FIRST_COMPLETED)
                meter.say()
                for future in finished:
                    position = under_way.pop(future)
                    signature, _ = self._found[position] = future.result()
                    if self._staging and signature is not None:
                        self._staging.keep(position, signature)
                    meter.advance(_cost(self._infos[position]), self._infos[position].name)
        finally:  # however the work ends, its threads are told to stop, and waited for
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self._stop.clear()

    def _take(self, info: TensorInfo) -> tuple[Signature | None, str | None]:
        """One matrix's signature, or why it has none; the traceback of what is no error of ours goes to the log."""
        heads = self._heads.get(info.name, ())
        try:
            found = tensor_signature(self._source, info, self._settings.signature, heads=heads, on_bytes=self._check)
        except (Cancelled, HubError):  # a network that fails says nothing about the tensor
            raise
        except Exception as error:  # noqa: BLE001 — one broken tensor must not end the measuring of the others
            if isinstance(error, WeightscopeError):
                return None, error.message
            self._report.log(traceback.format_exc())
            return None, f"{type(error).__name__}: {error}"
        return found, None

    def _check(self, _num_bytes: int) -> None:
        if self._stop.is_set():
            raise Cancelled("The work was cancelled.")


def _cost(info: TensorInfo) -> int:
    """About how much work a tensor is, in million multiplications: its spectrum, and some hundred an entry."""
    return spectra.cost(info) + info.num_elements // 10**4


def _is_large(info: TensorInfo) -> bool:
    return min(matrix_shape(info.shape)) > LARGE_SIDE or info.num_elements > LARGE_ELEMENTS


def _check_content(source: Source, content_hash: str) -> None:
    if source.content_hash() != content_hash:
        raise _changed(source)


def _changed(source: Source) -> SourceError:
    return SourceError(
        f"{source.uri} changed while its signatures were taken; they were not stored.",
        "Start again when nothing writes to it any more.",
    )
