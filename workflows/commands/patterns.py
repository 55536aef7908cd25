"""`patterns`: ask whether models share weight patterns, here or as a job."""

from __future__ import annotations

import argparse
import json
import math
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

from engine.errors import JobError
from workflows.reports import Report, StoppableReport
from workflows.text_table import text_table
from workflows.wording import duration_text

EFFECT_COLUMNS = ("question", "feature", "role", "effect", "low", "high", "p_value", "q_value", "num_lineages")
PAIR_COLUMNS = (
    "model_a",
    "model_b",
    "is_related",
    "alignment",
    "gross",
    "null_bits",
    "net",
    "low",
    "high",
    "coded_gain",
)
SUBSPACE_COLUMNS = ("num_directions", "unrelated", "null_share", "mean_only", "left_out", "in_sample")
SHOWN_EFFECTS = 20


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What `patterns` takes beside the shared arguments."""
    command.add_argument("models", nargs="+", metavar="MODEL", help="as for extract; six or more unrelated ones")
    command.add_argument("--null", default="", metavar="NAME", help="row_column_gaussian (default), random_init, …")
    command.add_argument("--draws", type=int, default=0, metavar="N", help="nulls of every matrix and pair (default 3)")
    command.add_argument(
        "--labels",
        default="",
        metavar="FILE",
        help='JSON: {"model": {"data": "…", "seed": "…"}, …}, or the text itself',
    )
    command.add_argument("--no-features", action="store_true", help="only sharing dividends and the subspace test")
    command.add_argument("--no-coding", action="store_true", help="do not really write one model given the other")
    command.add_argument("--no-subspace", action="store_true", help="no leave-one-out subspace test")
    command.add_argument("--cka", action="store_true", help="also run models that can be run on a text")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--background", action="store_true", help="start a job that goes on by itself, and return")
    command.add_argument("--run", metavar="FOLDER", dest="run_folder", help=argparse.SUPPRESS)
    command.set_defaults(run=patterns)


def patterns(arguments: argparse.Namespace) -> int:
    """Test the models, and print the verdict and its tables."""
    if arguments.run_folder:
        return _as_job(arguments)
    if arguments.background:
        return _start_job(arguments)
    from storage.store import Store
    from workflows.commands.measuring import stopped_by_control_c
    from workflows.shared_patterns import patterns as ask
    from workflows.terminal_bar import BarReport

    is_silent = arguments.json or arguments.quiet or not sys.stderr.isatty()
    report, store = StoppableReport() if is_silent else BarReport(), Store(arguments.data)
    with stopped_by_control_c(report):
        try:
            outcome = ask(arguments.models, store=store, settings=_settings(arguments), report=report)
        finally:
            report.close()
    tables = {
        "effects": store.pattern_effects(outcome.test),
        "pairs": store.pattern_pairs(outcome.test),
        "subspace": store.pattern_subspace(outcome.test),
        "variances": store.pattern_variances(outcome.test),
    }
    if arguments.json:
        rows = {name: json.loads(frame.to_json(orient="records")) for name, frame in tables.items()}
        print(json.dumps(asdict(outcome) | rows, ensure_ascii=False, indent=1))
        return 0
    print(_words(outcome))
    for name, columns in (("pairs", PAIR_COLUMNS), ("effects", EFFECT_COLUMNS), ("subspace", SUBSPACE_COLUMNS)):
        frame = tables[name]
        if len(frame):
            print(f"\n{name.capitalize()}")
            print(text_table(list(columns), _cells(frame[list(columns)].head(SHOWN_EFFECTS)), None))
            if len(frame) > SHOWN_EFFECTS:
                print(f"… and {len(frame) - SHOWN_EFFECTS:,} more (--json, or sql)")
    return 0


def _as_job(arguments: argparse.Namespace) -> int:
    from workflows.job_process import run_job
    from workflows.runs import RunFolder

    run = RunFolder(Path(arguments.run_folder).absolute())
    run.read_request()

    def work(report: Report) -> dict:
        from storage.store import Store
        from workflows.shared_patterns import patterns as ask

        settings, store = _settings(arguments), Store(arguments.data)
        outcome = ask(arguments.models, store=store, run=run, settings=settings, report=report)
        print(_words(outcome), flush=True)
        return asdict(outcome)

    return run_job(run, arguments.data / "locks", work)


def _start_job(arguments: argparse.Namespace) -> int:
    from storage.store import Store
    from workflows.jobs import Jobs
    from workflows.locations import resolve

    store = Store(arguments.data)
    known = [resolve(store, model) for model in arguments.models]
    labels = _labels(arguments.labels)
    uris = {model: found.uri for model, found in zip(arguments.models, known, strict=True)}
    job = Jobs(arguments.data).start(
        "patterns",
        {
            "models": [found.uri for found in known],
            "names": [found.name for found in known],
            "null": arguments.null,
            "draws": arguments.draws,
            "without": [name for name in ("features", "coding", "subspace") if getattr(arguments, f"no_{name}")],
            "cka": arguments.cka,
            "labels": {uris.get(model, model): said for model, said in labels.items()},
        },
    )
    print(f"{job.id}  {job.title}")
    return 0


def _settings(arguments: argparse.Namespace):
    from workflows.shared_patterns import PatternSettings

    chosen = {name: value for name, value in (("null", arguments.null), ("draws", arguments.draws)) if value}
    return PatternSettings(
        **chosen,
        with_features=not arguments.no_features,
        with_coding=not arguments.no_coding,
        with_subspace=not arguments.no_subspace,
        with_cka=arguments.cka,
        labels=_labels(arguments.labels),
    )


def _labels(text: str) -> dict[str, dict[str, str]]:
    """Labels from JSON, or from a file of JSON. Raises: JobError if it is neither."""
    if not text:
        return {}
    try:
        found = json.loads(text if text.lstrip().startswith("{") else Path(text).expanduser().read_text("utf-8"))
        return {str(model): {str(k): str(v) for k, v in said.items()} for model, said in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise JobError(
            f"The labels cannot be read: {error}.", 'Write JSON such as {"model": {"data": "books", "seed": "1"}}.'
        ) from error


def _words(outcome) -> str:
    head = f"Test {outcome.test} of {len(outcome.names)} models"
    head += ", stored already." if outcome.was_stored else f" in {duration_text(outcome.elapsed_s)}."
    told = [textwrap.fill(line, 100, subsequent_indent="  ") for line in outcome.sentences]
    limits = [textwrap.fill(f"Limit: {line}", 100, subsequent_indent="  ") for line in outcome.limits]
    return "\n".join([head, "", *told, "", *limits])


def _cells(frame) -> list[list]:
    rows = frame.astype(object).values.tolist()
    return [[None if isinstance(cell, float) and math.isnan(cell) else cell for cell in row] for row in rows]
