"""`train`: make a model, here, as a job, or as one of several processes under torchrun."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import TrainingError
from workflows.training_request import TrainingRequest
from workflows.training_words import request_of
from workflows.wording import bytes_text, duration_text

if TYPE_CHECKING:
    from storage.store import Store
    from workflows.jobs import Job, Jobs


def train(arguments: argparse.Namespace) -> int:
    """Train a model; the same command goes on with a run of that name that was paused or interrupted."""
    if arguments.run_folder:
        return _work_on(Path(arguments.run_folder).absolute(), arguments, is_background=True)
    if int(os.environ.get("RANK", "0")) > 0:
        return _help(arguments)
    from storage.store import Store
    from workflows import training
    from workflows.jobs import Jobs
    from workflows.training_check import check_request

    request = request_of(arguments)
    store, jobs = Store(arguments.data), Jobs(arguments.data)
    if arguments.estimate:
        return _print_estimate(store, request, arguments.json)
    known = _resumable(request, jobs)
    if arguments.background:
        job = training.resume(jobs, known.id) if known else training.start(store, jobs, request)
        print(json.dumps({"id": job.id, "state": job.state}) if arguments.json else f"{job.id}  {job.title}")
        return 0
    from workflows.runs import RunFolder

    if known is not None:
        run = RunFolder(known.folder)
        run.cancel.unlink(missing_ok=True)
        training.finish_mark(run).unlink(missing_ok=True)
        print(f"Going on with {run.id}.", file=sys.stderr)
    else:
        checked = check_request(store, jobs, request)
        run = RunFolder.create(arguments.data / "runs", "train", {"request": checked.to_json()})
    return _work_on(run.path, arguments, is_background=False)


def _work_on(folder: Path, arguments: argparse.Namespace, *, is_background: bool) -> int:
    """Do a run's work in this process, until it is done or paused."""
    from workflows.job_process import TRAININGS, RunReport, run_job, share_processors
    from workflows.reports import Report
    from workflows.runs import RunFolder
    from workflows.terminal_bar import BarRunReport

    share_processors()
    run = RunFolder(folder)
    request = TrainingRequest.from_json(run.read_request()["arguments"].get("request"))
    is_silent = is_background or arguments.quiet or arguments.json or not sys.stderr.isatty()

    def work(report: Report) -> dict:
        from storage.store import Store
        from workflows.training_job import train_model

        result = train_model(request, store=Store(arguments.data), run=run, report=report)
        print(json.dumps(result, indent=1) if arguments.json else _sentence(result), flush=True)
        return result

    waits = request.waits and "RANK" not in os.environ  # the other processes of torchrun would not wait so long
    report = RunReport(run) if is_silent else BarRunReport(run)
    try:
        return run_job(run, arguments.data / "locks", work, TRAININGS if waits else None, report)
    finally:
        report.close()


def _help(arguments: argparse.Namespace) -> int:
    """Under torchrun, all processes but the first."""
    from storage.store import Store
    from workflows.job_process import share_processors
    from workflows.training_job import help_first

    share_processors()
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)  # the first process decides when all of them stop
    help_first(request_of(arguments), store=Store(arguments.data))
    return 0


def _resumable(request: TrainingRequest, jobs: Jobs) -> Job | None:
    """The run of that name that did not end well. Raises TrainingError if it was asked for something else."""
    for job in jobs.all():
        if job.kind == "train" and job.is_resumable and job.arguments["request"]["name"] == request.name:
            known = TrainingRequest.from_json(job.arguments["request"])
            if replace(known, start_from=request.start_from, notes=request.notes, waits=request.waits) != request:
                raise TrainingError(
                    f"There is an unfinished run of the name {request.name}, with other settings.",
                    "Give the same settings to go on with it, take another name, or forget the job.",
                )
            return job
    return None


def _print_estimate(store: Store, request: TrainingRequest, is_json: bool) -> int:
    from workflows.training_estimate import estimate

    found = estimate(store, request)
    if is_json:
        print(json.dumps(asdict(found), indent=1))
        return 0
    print(
        f"{found.num_parameters:,} parameters, {bytes_text(found.memory_bytes)} of memory, "
        f"{bytes_text(found.disk_bytes)} on the disk, {found.tokens_per_s:,.0f} tokens/s, "
        f"about {duration_text(found.elapsed_s)}."
    )
    return 0


def _sentence(result: dict) -> str:
    return (
        f"{result['name']}: step {result['best_step']:,} of {result['steps']:,}, {result['bits_per_byte']:.4f} bits "
        f"per byte of held-out text (perplexity {result['perplexity']:.2f}), {duration_text(result['elapsed_s'])}, "
        f"in {result['folder']}"
    )
