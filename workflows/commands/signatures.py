"""`signatures`: take the signatures of a model's matrices, here or as a job."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from engine.errors import JobError
from workflows.reports import Report, StoppableReport
from workflows.wording import duration_text


def signatures(arguments: argparse.Namespace) -> int:
    """Take the signatures of one model; it is measured first where it was not."""
    if arguments.run_folder:
        return _as_job(arguments)
    if arguments.background:
        return _start_job(arguments)
    from workflows.commands.measuring import stopped_by_control_c
    from workflows.terminal_bar import BarReport

    is_silent = arguments.json or arguments.quiet or not sys.stderr.isatty()
    report = StoppableReport() if is_silent else BarReport()
    with stopped_by_control_c(report):
        try:
            outcome = _signatures(arguments, report)
        finally:
            report.close()
    print(json.dumps(outcome, ensure_ascii=False, indent=1) if arguments.json else _sentence(outcome))
    return 0


def _signatures(arguments: argparse.Namespace, report: Report, run=None) -> dict:
    from storage.store import Store
    from workflows.signatures import SignaturesSettings
    from workflows.signatures import signatures as signatures_of

    store = Store(arguments.data)
    if arguments.null:
        from workflows.null_signatures import null_signatures

        found = null_signatures(
            arguments.model, arguments.null, store=store, run=run, threads=arguments.threads, report=report
        )
        return asdict(found)
    settings = SignaturesSettings(arguments.threads)
    return asdict(signatures_of(arguments.model, store=store, run=run, settings=settings, report=report))


def _as_job(arguments: argparse.Namespace) -> int:
    from workflows.job_process import run_job
    from workflows.runs import RunFolder

    run = RunFolder(Path(arguments.run_folder).absolute())
    run.read_request()

    def work(report: Report) -> dict:
        outcome = _signatures(arguments, report, run)
        print(_sentence(outcome), flush=True)
        return outcome

    return run_job(run, arguments.data / "locks", work)


def _start_job(arguments: argparse.Namespace) -> int:
    from storage.store import Store
    from workflows.jobs import Jobs
    from workflows.locations import resolve

    if arguments.threads:
        raise JobError("A job in the background takes no --threads.", "Run it in the foreground.")
    known = resolve(Store(arguments.data), arguments.model)
    job = Jobs(arguments.data).start("signatures", {"model": known.uri, "name": known.name, "null": arguments.null})
    if arguments.json:
        print(json.dumps({"id": job.id, "title": job.title, "state": job.state}, indent=1))
    else:
        print(f"{job.id}  {job.title}")
    return 0


def _sentence(outcome: dict) -> str:
    if "null" in outcome:
        words = "are stored already" if outcome["was_stored"] else f"in {duration_text(outcome['elapsed_s'])}"
        return f"{outcome['name']}: signatures of {outcome['null']} nulls {words}."
    if outcome["was_stored"]:
        return f"{outcome['name']}: its {outcome['num_matrices']:,} signatures are stored already, nothing to do."
    words = f"{outcome['name']}: {outcome['num_matrices']:,} signatures in {duration_text(outcome['elapsed_s'])}"
    if outcome["num_estimates"]:
        words += f", {outcome['num_estimates']:,} of them from a sample"
    problems = [f"\n  {name}: {reason}" for name, reason in outcome["problems"].items()]
    return f"{words}." + (f" {len(problems)} have none:{''.join(problems)}" if problems else "")
