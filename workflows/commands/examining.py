"""`health`: examine checkpoints, here or as jobs."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from workflows.commands.measuring import stopped_by_control_c
from workflows.reports import Report, StoppableReport


def health(arguments: argparse.Namespace) -> int:
    """Examine one model and print what was found."""
    if arguments.run_folder:
        return _as_job(arguments)
    from storage.store import Store
    from workflows.health import examine
    from workflows.terminal_bar import BarReport

    is_silent = arguments.json or arguments.quiet or not sys.stderr.isatty()
    report, store = StoppableReport() if is_silent else BarReport(), Store(arguments.data)
    with stopped_by_control_c(report):
        try:
            outcome = examine(arguments.model, store=store, report=report)
        finally:
            report.close()
    found = store.findings(outcome.content_hash)
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in found], ensure_ascii=False, indent=1, default=str))
        return 0
    print(_sentence(outcome))
    for finding in found:
        print(f"  {finding.severity:8}{finding.tensor or 'model'}: {finding.words}")
    return 0


def _as_job(arguments: argparse.Namespace) -> int:
    from workflows.job_process import run_job
    from workflows.runs import RunFolder

    run = RunFolder(Path(arguments.run_folder).absolute())
    run.read_request()

    def work(report: Report) -> dict:
        from storage.store import Store
        from workflows.health import examine

        outcome = examine(arguments.model, store=Store(arguments.data), report=report)
        print(_sentence(outcome), flush=True)
        return asdict(outcome)

    return run_job(run, arguments.data / "locks", work)


def _sentence(outcome) -> str:
    counts = [f"{count:,} {severity}{'' if count == 1 else 's'}" for severity, count in outcome.counts.items() if count]
    words = ", ".join(counts) or "nothing found"
    return f"{outcome.name}: {words}." + ("" if outcome.has_spectra else " (Without spectra: two rules had no data.)")
