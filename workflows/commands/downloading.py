"""`download`: fetch a model from the hub, here or as a job."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from workflows.reports import Report, StoppableReport
from workflows.wording import bytes_text, duration_text


def download(arguments: argparse.Namespace) -> int:
    """Fetch what is needed of one model; a second call goes on where the first was stopped."""
    if arguments.run_folder:
        return _download_as_job(arguments)
    if arguments.background:
        return _start_job(arguments)
    from workflows.commands.measuring import stopped_by_control_c
    from workflows.terminal_bar import BarReport

    is_silent = arguments.json or arguments.quiet or not sys.stderr.isatty()
    report = StoppableReport("What arrived is kept.") if is_silent else BarReport()
    with stopped_by_control_c(report):
        try:
            outcome = _download(arguments, report)
        finally:
            report.close()
    print(json.dumps(outcome, ensure_ascii=False, indent=1) if arguments.json else _sentence(outcome))
    return 0


def _download(arguments: argparse.Namespace, report: Report) -> dict:
    from storage.store import Store
    from workflows.download import download as download_model

    return asdict(download_model(arguments.model, store=Store(arguments.data), file=arguments.file, report=report))


def _download_as_job(arguments: argparse.Namespace) -> int:
    from workflows.job_process import run_job
    from workflows.runs import RunFolder

    run = RunFolder(Path(arguments.run_folder).absolute())
    run.read_request()

    def work(report: Report) -> dict:
        outcome = _download(arguments, report)
        print(_sentence(outcome), flush=True)
        return outcome

    return run_job(run, arguments.data / "locks", work)


def _start_job(arguments: argparse.Namespace) -> int:
    from workflows.jobs import Jobs

    job = Jobs(arguments.data).start("download", {"model": arguments.model, "file": arguments.file})
    if arguments.json:
        print(json.dumps({"id": job.id, "title": job.title, "state": job.state}, indent=1))
    else:
        print(f"{job.id}  {job.title}")
    return 0


def _sentence(outcome: dict) -> str:
    return (
        f"{outcome['name']}: {outcome['num_files']} files, {bytes_text(outcome['num_bytes'])}, of which "
        f"{bytes_text(outcome['num_fetched_bytes'])} were fetched in {duration_text(outcome['elapsed_s'])}, "
        f"in {outcome['path']}"
    )
