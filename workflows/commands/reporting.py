"""`report`: one file on a model, to send."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from engine.errors import WeightscopeError
from workflows.commands.measuring import stopped_by_control_c
from workflows.reports import StoppableReport
from workflows.wording import bytes_text

ENDINGS = (".html", ".zip")


def report(arguments: argparse.Namespace) -> int:
    """Make a report on one model and write it to a file: HTML, or Markdown with pictures in a zip."""
    from figures.report_markdown import report_zip
    from figures.report_page import report_html
    from storage.store import Store
    from workflows.report import SECTIONS, ReportOrder, make_report
    from workflows.terminal_bar import BarReport
    from workflows.view_export import safe_name

    store = Store(arguments.data)
    path = Path(arguments.output or safe_name(f"{Path(arguments.model).name}.report", "html")).expanduser()
    if path.suffix.lower() not in ENDINGS:
        raise WeightscopeError(f"A report cannot be written as {path.name}.", "Name a file that ends in .html or .zip.")
    sections = tuple(arguments.sections.split(",")) if arguments.sections else tuple(SECTIONS)
    unknown = [name for name in sections if name not in SECTIONS]
    if unknown:
        raise WeightscopeError(f"A report has no section {unknown[0]!r}.", f"There are: {', '.join(SECTIONS)}.")
    order = ReportOrder(
        arguments.model,
        sections,
        tuple(_view(store, name) for name in arguments.view),
        arguments.other,
        arguments.title,
        arguments.note,
        arguments.date,
    )
    is_silent = arguments.json or arguments.quiet or not sys.stderr.isatty()
    progress = StoppableReport() if is_silent else BarReport()
    with stopped_by_control_c(progress):
        try:
            document = make_report(order, store=store, report=progress)
        finally:
            progress.close()
    content = report_html(document) if path.suffix.lower() == ".html" else report_zip(document)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise WeightscopeError(
            f"The report cannot be written to {path}: {error.strerror or error}.", "Name another place with -o."
        ) from error
    facts = {"path": str(path), "num_bytes": len(content), "sections": [each.title for each in document.sections]}
    print(json.dumps(facts, ensure_ascii=False, indent=1) if arguments.json else f"{path}: {bytes_text(len(content))}")
    return 0


def _view(store, name: str):
    found = store.saved_view(name)
    if found is None:
        names = ", ".join(view.name for view in store.saved_views()[:20]) or "none yet"
        raise WeightscopeError(f"No view is saved as {name!r}.", f"Saved are: {names}.")
    return found
