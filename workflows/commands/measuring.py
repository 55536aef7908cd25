"""`extract`: measure checkpoints, here or as jobs."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from engine.errors import Cancelled, JobError, WeightscopeError
from workflows.reports import Report, StoppableReport
from workflows.wording import bytes_text, duration_text


def extract(arguments: argparse.Namespace) -> int:
    """Measure every model asked for; one that fails does not keep the others from being measured."""
    if arguments.run_folder:
        return _extract_as_job(arguments)
    if arguments.background:
        return _start_jobs(arguments)
    outcomes, num_failed = [], 0
    for model in arguments.models:
        try:
            outcome = _extract_here(model, arguments)
        except Cancelled:
            raise
        except WeightscopeError as error:
            num_failed += 1
            outcomes.append({"model": model, "error": error.message, "hint": error.hint})
            print(f"error: {error.message}", f"hint: {error.hint}" if error.hint else "", sep="\n", file=sys.stderr)
        else:
            outcomes.append({"model": model} | asdict(outcome))
            if not arguments.json:
                print(_sentence(outcome), flush=True)
    if arguments.json:
        print(json.dumps(outcomes, ensure_ascii=False, indent=1))
    return 1 if num_failed else 0


def _extract_here(model: str, arguments: argparse.Namespace):
    from storage.store import Store
    from workflows.extract import extract as extract_model
    from workflows.terminal_bar import BarReport

    is_silent = arguments.json or arguments.quiet or not sys.stderr.isatty()
    report = StoppableReport() if is_silent else BarReport()
    with stopped_by_control_c(report):
        try:
            return extract_model(model, store=Store(arguments.data), settings=_settings(arguments), report=report)
        finally:
            report.close()


@contextmanager
def stopped_by_control_c(report: StoppableReport) -> Iterator[None]:
    """The first Ctrl-C stops the work between two steps, where nothing is half-done; the second one at once."""

    def stop(*_) -> None:
        report.ask_to_stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _extract_as_job(arguments: argparse.Namespace) -> int:
    from workflows.job_process import run_job
    from workflows.runs import RunFolder

    run = RunFolder(Path(arguments.run_folder).absolute())
    run.read_request()
    if len(arguments.models) != 1:
        raise JobError(f"A run measures one model, got {len(arguments.models)}.", "Leave --run away.")

    def work(report: Report) -> dict:
        from storage.store import Store
        from workflows.extract import extract as extract_model

        settings, store = _settings(arguments), Store(arguments.data)
        outcome = extract_model(arguments.models[0], store=store, run=run, settings=settings, report=report)
        print(_sentence(outcome), flush=True)
        return asdict(outcome)

    return run_job(run, arguments.data / "locks", work)


def _start_jobs(arguments: argparse.Namespace) -> int:
    from storage.store import Store
    from workflows.jobs import Jobs
    from workflows.locations import resolve

    if arguments.threads:
        raise JobError("A job in the background takes no --threads.", "Measure in the foreground.")
    store, board = Store(arguments.data), Jobs(arguments.data)
    known = [resolve(store, model) for model in arguments.models]
    started = [board.start("extract", {"model": one.uri, "name": one.name}) for one in known]
    if arguments.json:
        print(json.dumps([{"id": job.id, "title": job.title, "state": job.state} for job in started], indent=1))
    else:
        print(*(f"{job.id}  {job.title}" for job in started), sep="\n")
    return 0


def _settings(arguments: argparse.Namespace):
    from workflows.extract import ExtractSettings

    return ExtractSettings(threads=arguments.threads)


def _sentence(outcome) -> str:
    if outcome.was_stored:
        return f"{outcome.name}: measured already, nothing to do ({outcome.content_hash[:12]})."
    sentence = (
        f"{outcome.name}: {outcome.num_tensors:,} tensors, {bytes_text(outcome.num_bytes)} "
        f"in {duration_text(outcome.elapsed_s)} ({outcome.content_hash[:12]})."
    )
    failures = [f"\n  {name}: {reason}" for name, reason in outcome.failures.items()]
    return sentence + (f" {len(failures)} could not be measured:{''.join(failures)}" if failures else "")
