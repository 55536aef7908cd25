"""`compare`: say what changed between checkpoints, here or as a job."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from engine.errors import JobError
from workflows.reports import Report, StoppableReport
from workflows.text_table import text_table
from workflows.wording import duration_text

COLUMNS = (
    "tensor_a",
    "changed_fraction",
    "relative_change",
    "one_minus_cosine",
    "max_abs",
    "effective_rank",
    "problem",
)


def compare(arguments: argparse.Namespace) -> int:
    """Compare two checkpoints, or several versions of one; those that were not measured are measured first."""
    if arguments.run_folder:
        return _compare_as_job(arguments)
    if len(arguments.models) < 2:
        raise JobError("A comparison needs two models, got one.", "Give two paths or names: compare A B.")
    if arguments.background:
        return _start_jobs(arguments)
    from storage.store import Store
    from workflows.commands.measuring import stopped_by_control_c
    from workflows.compare import compare_versions
    from workflows.terminal_bar import BarReport

    store = Store(arguments.data)
    is_silent = arguments.json or arguments.quiet or not sys.stderr.isatty()
    report = StoppableReport() if is_silent else BarReport()
    with stopped_by_control_c(report):
        try:
            against, settings = arguments.against, _settings(arguments)
            outcomes = compare_versions(
                arguments.models, store=store, against=against, settings=settings, report=report
            )
        finally:
            report.close()
    if arguments.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], ensure_ascii=False, indent=1))
        return 0
    for outcome in outcomes:
        print(_words(asdict(outcome)))
        if arguments.tensors:
            frame = store.comparison_stats(outcome.hash_a, outcome.hash_b).sort_values(
                "relative_change", ascending=False
            )
            print(text_table(list(COLUMNS), frame[list(COLUMNS)].astype(object).values.tolist(), None))
    return 0


def _compare_as_job(arguments: argparse.Namespace) -> int:
    from workflows.job_process import run_job
    from workflows.runs import RunFolder

    run = RunFolder(Path(arguments.run_folder).absolute())
    run.read_request()
    if len(arguments.models) != 2:
        raise JobError(f"A run compares two models, got {len(arguments.models)}.", "Leave --run away.")

    def work(report: Report) -> dict:
        from storage.store import Store
        from workflows.compare import compare as compare_two

        store, settings = Store(arguments.data), _settings(arguments)
        outcome = asdict(compare_two(*arguments.models, store=store, run=run, settings=settings, report=report))
        print(_words(outcome), flush=True)
        return outcome

    return run_job(run, arguments.data / "locks", work)


def _start_jobs(arguments: argparse.Namespace) -> int:
    from storage.store import Store
    from workflows.jobs import Jobs
    from workflows.locations import resolve

    if arguments.threads or arguments.tolerance is not None or arguments.no_lineage:
        raise JobError(
            "A job in the background takes no --threads, --tolerance or --no-lineage.", "Compare in the foreground."
        )
    store, board = Store(arguments.data), Jobs(arguments.data)
    known = [resolve(store, model) for model in arguments.models]
    before = known[:-1] if arguments.against == "previous" else [known[0]] * (len(known) - 1)
    for a, b in zip(before, known[1:], strict=True):
        job = board.start("compare", {"a": a.uri, "b": b.uri, "name_a": a.name, "name_b": b.name})
        print(f"{job.id}  {job.title}")
    return 0


def _settings(arguments: argparse.Namespace):
    from engine.compare.comparison import ComparisonSettings
    from engine.compare.difference import TOLERANCE
    from workflows.compare import CompareSettings

    tolerance = TOLERANCE if arguments.tolerance is None else arguments.tolerance
    comparison = ComparisonSettings(tolerance=tolerance, threads=arguments.threads)
    return CompareSettings(comparison, with_lineage=not arguments.no_lineage)


def _words(outcome: dict) -> str:
    head = f"{outcome['name_a']} → {outcome['name_b']}: {outcome['num_tensors']:,} pairs of tensors"
    head += ", stored already." if outcome["was_stored"] else f" in {duration_text(outcome['elapsed_s'])}."
    return "\n  ".join([head, *outcome["sentences"], *filter(None, [outcome["lineage"]])])
