"""`forensics`, `suggest`, `batch`, `library`: what was found of models, here or as jobs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from workflows.reports import Report
from workflows.wording import bytes_text, duration_text


def add_arguments(commands, shared) -> None:
    """The commands and what they take."""
    command = commands.add_parser(
        "forensics", parents=[shared], help="read off the mantissas what was never trained since a shorter type"
    )
    command.add_argument("model", metavar="MODEL", help="as for extract; it is measured first if need be")
    _as_usual(command, forensics)
    command = commands.add_parser(
        "suggest", parents=[shared], help="say what of a model could be compressed, by how much, and why"
    )
    command.add_argument("model", metavar="MODEL", help="as for extract; what is missing is measured first")
    _as_usual(command, suggest)
    _add_batch(commands, shared)
    _add_library(commands, shared)


def _as_usual(command: argparse.ArgumentParser, run: Callable) -> None:
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--background", action="store_true", help="start a job that goes on by itself, and return")
    command.add_argument("--run", metavar="FOLDER", dest="run_folder", help=argparse.SUPPRESS)
    command.set_defaults(run=run)


def _add_batch(commands, shared) -> None:
    command = commands.add_parser("batch", parents=[shared], help="measure many models unattended, with a summary")
    command.add_argument("what", nargs="*", metavar="FOLDER|LIST.txt|MODEL", help="what to measure; may be several")
    command.add_argument("--tier", type=int, default=0, choices=(0, 1, 2, 3), help="of the catalogue as well")
    command.add_argument("--local", action="store_true", help="leave out models of the tier that are not here")
    command.add_argument(
        "--steps", default="", metavar="A,B", help="measure, spectra, health, forensics, signatures, suggestions"
    )
    command.add_argument("--threads", type=int, metavar="N", help="use at most N threads")
    _as_usual(command, batch)


def _add_library(commands, shared) -> None:
    command = commands.add_parser("library", parents=[shared], help="kept findings: list, export, import, look up")
    actions = command.add_subparsers(title="actions", metavar="ACTION", dest="action")
    export = actions.add_parser("export", parents=[shared], help="write the library and all signatures as Parquet")
    export.add_argument("file", metavar="FILE.zip")
    load = actions.add_parser("import", parents=[shared], help="take in what somebody else exported")
    load.add_argument("file", metavar="FILE.zip")
    match = actions.add_parser("match", parents=[shared], help="hold a model against the library")
    match.add_argument("model", metavar="MODEL", help="a measured model")
    for one in (command, export, load, match):
        one.set_defaults(run=library)


def forensics(arguments: argparse.Namespace) -> int:
    """Read the mantissas of one model and say what they tell."""

    def work(report: Report, _run) -> dict:
        from storage.store import Store
        from workflows.forensics import examine_mantissas

        return asdict(examine_mantissas(arguments.model, store=Store(arguments.data), report=report))

    def told(outcome: dict) -> str:
        return "\n  ".join([f"{outcome['name']}:", *outcome["sentences"]])

    return _run(arguments, "forensics", work, told)


def suggest(arguments: argparse.Namespace) -> int:
    """Say what could be compressed of one model."""

    def work(report: Report, _run) -> dict:
        from storage.store import Store
        from workflows.suggestions import suggest as suggest_for

        store = Store(arguments.data)
        outcome = asdict(suggest_for(arguments.model, store=store, report=report))
        found = store.suggestions(outcome["content_hash"]).suggestions
        return outcome | {"words": {one.idea: one.words for one in found}}

    def told(outcome: dict) -> str:
        lines = [f"{outcome['name']}, {bytes_text(outcome['num_bytes'])}:"]
        for idea, words in outcome["words"].items():
            size = bytes_text(outcome["gain_bytes"][idea]) if idea in outcome["gain_bytes"] else "–"
            lines.append(f"  {size:>10}  {idea}: {words}")
        return "\n".join(lines)

    return _run(arguments, "suggest", work, told)


def batch(arguments: argparse.Namespace) -> int:
    """Measure many models; exit code 1 if any failed."""
    from workflows.batch import USUAL, BatchRequest

    steps = tuple(step.strip() for step in arguments.steps.split(",") if step.strip()) or USUAL
    request = BatchRequest(tuple(arguments.what), arguments.tier, steps, arguments.local, arguments.threads).check()

    def work(report: Report, run) -> dict:
        from storage.store import Store
        from workflows.batch import batch as measure_all

        return asdict(measure_all(request, store=Store(arguments.data), run=run, report=report))

    def told(outcome: dict) -> str:
        from storage.store import Store

        lines = [f"{outcome['title']}: {_counts(outcome)} in {duration_text(outcome['elapsed_s'])}."]
        record = Store(arguments.data).batch(outcome["run"])
        return "\n".join([*lines, *(f"  {m.state:8}{m.name}: {m.words}" for m in record.models)])

    return _run(arguments, "batch", work, told, _failed)


def _failed(outcome: dict) -> int:
    return 1 if outcome["failures"] else 0


def _counts(outcome: dict) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in outcome["counts"].items() if count) or "nothing"


def library(arguments: argparse.Namespace) -> int:
    """List the library, write it, take one in, or hold a model against it."""
    from storage.store import Store
    from workflows import pattern_library

    store = Store(arguments.data)
    if arguments.action == "export":
        Path(arguments.file).write_bytes(pattern_library.export_library(store))
        print(f"{arguments.file}: {len(store.patterns()):,} patterns and all signatures.")
    elif arguments.action == "import":
        found = pattern_library.import_library(store, Path(arguments.file))
        print(f"{found.num_patterns:,} patterns and {found.num_signatures:,} signatures are new.")
    elif arguments.action == "match":
        print("\n".join(pattern_library.match_words(pattern_library.match(store, arguments.model))))
    elif arguments.json:
        print(json.dumps([asdict(one) for one in store.patterns()], ensure_ascii=False, indent=1, default=str))
    else:
        lines = [f"{one.kind:11}{', '.join(one.model_names)}: {one.words}" for one in store.patterns()]
        print("\n".join(lines) or "Nothing is kept yet.")
    return 0


def _run(
    arguments: argparse.Namespace,
    kind: str,
    work: Callable[[Report, object], dict],
    told: Callable[[dict], str],
    code_of: Callable[[dict], int] = lambda _outcome: 0,
) -> int:
    """The work in this process, as a job's process, or started as a job; then what it says."""
    if arguments.background:
        return _start(arguments, kind)
    if arguments.run_folder:
        from workflows.job_process import run_job
        from workflows.runs import RunFolder

        run = RunFolder(Path(arguments.run_folder).absolute())
        run.read_request()

        def as_job(report: Report) -> dict:
            outcome = work(report, run)
            print(told(outcome), flush=True)
            return outcome

        return run_job(run, arguments.data / "locks", as_job)
    from workflows.commands.measuring import stopped_by_control_c
    from workflows.reports import StoppableReport
    from workflows.terminal_bar import BarReport

    is_silent = arguments.json or arguments.quiet or not sys.stderr.isatty()
    report = StoppableReport() if is_silent else BarReport()
    with stopped_by_control_c(report):
        try:
            outcome = work(report, None)
        finally:
            report.close()
    print(json.dumps(outcome, ensure_ascii=False, indent=1) if arguments.json else told(outcome))
    return code_of(outcome)


def _start(arguments: argparse.Namespace, kind: str) -> int:
    from storage.store import Store
    from workflows.jobs import Jobs
    from workflows.locations import resolve

    if kind == "batch":
        steps = [step.strip() for step in arguments.steps.split(",") if step.strip()]
        asked = {"what": arguments.what, "tier": arguments.tier, "steps": steps, "is_local": arguments.local}
    else:
        known = resolve(Store(arguments.data), arguments.model)
        asked = {"model": known.uri, "name": known.name}
    job = Jobs(arguments.data).start(kind, asked)
    if arguments.json:
        print(json.dumps({"id": job.id, "title": job.title, "state": job.state}, indent=1))
    else:
        print(f"{job.id}  {job.title}")
    return 0
