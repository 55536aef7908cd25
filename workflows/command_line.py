"""The command line: `python -m workflows …`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from engine.errors import Cancelled, WeightscopeError
from storage.location import data_folder

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns: 0 done, 1 failed (message and hint on stderr), 2 wrong usage, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names and numbers outside the terminal's alphabet must not end a command
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = parser(argv).parse_args(argv)
        if "data" in arguments:
            arguments.data = Path(arguments.data).expanduser().resolve() if arguments.data else data_folder()
        code = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except Cancelled as error:
        return _say(error, EXIT_INTERRUPTED)
    except WeightscopeError as error:
        return _say(error, EXIT_FAILED)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left: say nothing, and let nothing be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def parser(argv: list[str]) -> argparse.ArgumentParser:
    """All commands and what they take."""
    top = argparse.ArgumentParser(
        prog="python -m workflows", description="Weightscope: a microscope for model weights. See before you compress."
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    shared = _shared()
    _add_extract(commands, shared)
    _add_spectra(commands, shared)
    _add_signatures(commands, shared)
    _add_health(commands, shared)
    _add_compare(commands, shared)
    _add_patterns(commands, shared)
    _add_discovering(commands, shared)
    _add_testbed(commands)
    _add_report(commands, shared)
    _add_download(commands, shared)
    _add_train(commands, shared)
    _add_looking(commands, shared)
    _add_delete(commands, shared)
    _add_jobs(commands, shared)
    _add_starter(commands, argv)
    return top


def _shared() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--data", metavar="FOLDER", help="folder of the database and runs (else WEIGHTSCOPE_DATA, data)"
    )
    shared.add_argument("--json", action="store_true", help="print JSON for scripts")
    return shared


def _add_extract(commands, shared) -> None:
    from workflows.commands import measuring

    command = commands.add_parser("extract", parents=[shared], help="measure checkpoints into the database")
    command.add_argument(
        "models", nargs="+", metavar="MODEL", help="path, known name, owner/name of the hub cache, or hf://owner/name"
    )
    command.add_argument("--threads", type=positive, metavar="N", help="use at most N threads")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--background", action="store_true", help="start jobs that go on by themselves, and return")
    command.add_argument("--run", metavar="FOLDER", dest="run_folder", help=argparse.SUPPRESS)
    command.set_defaults(run=measuring.extract)


def _add_spectra(commands, shared) -> None:
    from workflows.commands import spectra

    command = commands.add_parser(
        "spectra", parents=[shared], help="take the spectra of a model's matrices into the database"
    )
    command.add_argument("model", metavar="MODEL", help="path, known name, or hf://owner/name")
    command.add_argument("--threads", type=positive, metavar="N", help="use at most N threads")
    command.add_argument(
        "--precision", choices=("float64", "float32"), default="float64", help="to work in (%(default)s)"
    )
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--background", action="store_true", help="start a job that goes on by itself, and return")
    command.add_argument("--run", metavar="FOLDER", dest="run_folder", help=argparse.SUPPRESS)
    command.set_defaults(run=spectra.spectra)


def _add_signatures(commands, shared) -> None:
    from workflows.commands import signatures

    command = commands.add_parser(
        "signatures", parents=[shared], help="take the signatures of a model's matrices, to find what resembles them"
    )
    command.add_argument("model", metavar="MODEL", help="as for spectra; it is measured first if need be")
    command.add_argument("--null", metavar="NAME", default="", help="take those of null matrices instead, made from it")
    command.add_argument("--threads", type=positive, metavar="N", help="use at most N threads")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--background", action="store_true", help="start a job that goes on by itself, and return")
    command.add_argument("--run", metavar="FOLDER", dest="run_folder", help=argparse.SUPPRESS)
    command.set_defaults(run=signatures.signatures)


def _add_health(commands, shared) -> None:
    from workflows.commands import examining

    command = commands.add_parser("health", parents=[shared], help="look for broken, dead, repeated and odd weights")
    command.add_argument("model", metavar="MODEL", help="as for extract; it is measured first if need be")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--run", metavar="FOLDER", dest="run_folder", help=argparse.SUPPRESS)
    command.set_defaults(run=examining.health)


def _add_compare(commands, shared) -> None:
    from workflows.commands import comparing

    command = commands.add_parser("compare", parents=[shared], help="say what changed between checkpoints")
    command.add_argument("models", nargs="+", metavar="MODEL", help="as for extract: A B, or versions in order of time")
    command.add_argument(
        "--against", choices=("first", "previous"), default="first", help="compare each version with (%(default)s)"
    )
    command.add_argument("--tolerance", type=float, metavar="X", help="|Δ| up to which a weight counts as unchanged")
    command.add_argument("--no-lineage", action="store_true", help="do not judge whether one comes from the other")
    command.add_argument("--tensors", action="store_true", help="also a table of the tensors, the most changed first")
    command.add_argument("--threads", type=positive, metavar="N", help="use at most N threads")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--background", action="store_true", help="start jobs that go on by themselves, and return")
    command.add_argument("--run", metavar="FOLDER", dest="run_folder", help=argparse.SUPPRESS)
    command.set_defaults(run=comparing.compare)


def _add_patterns(commands, shared) -> None:
    from workflows.commands import patterns

    command = commands.add_parser(
        "patterns", parents=[shared], help="ask whether models share weight patterns, and what sharing would save"
    )
    patterns.add_arguments(command)


def _add_discovering(commands, shared) -> None:
    from workflows.commands import discovering

    discovering.add_arguments(commands, shared)


def _add_testbed(commands) -> None:
    from workflows.commands import testbed

    command = commands.add_parser(
        "testbed", help="train a small zoo, test it for shared patterns, and write the answer with figures"
    )
    testbed.add_arguments(command, positive)


def _add_report(commands, shared) -> None:
    from workflows.commands import reporting

    command = commands.add_parser(
        "report", parents=[shared], help="write what was seen and found of a model into one file"
    )
    command.add_argument("model", metavar="MODEL", help="path or known name")
    command.add_argument("-o", "--output", metavar="FILE", help="FILE.html, or FILE.zip for Markdown with pictures")
    command.add_argument("--sections", metavar="A,B", help="summary, panorama, views, health, … (without it: all)")
    command.add_argument("--view", action="append", default=[], metavar="NAME", help="a saved view; may be repeated")
    command.add_argument("--other", default="", metavar="MODEL", help="the model that it was compared with")
    command.add_argument("--title", default="", help="(the model's name)")
    command.add_argument("--note", default="", help="your own words at the beginning")
    command.add_argument("--date", default="", help="as it shall be read; without it the file has none")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.set_defaults(run=reporting.report)


def _add_download(commands, shared) -> None:
    from workflows.commands import downloading

    command = commands.add_parser(
        "download", parents=[shared], help="fetch a model into the hub cache (HF_TOKEN for gated ones)"
    )
    command.add_argument("model", metavar="OWNER/NAME[@REVISION]", help="the model on the hub")
    command.add_argument("--file", default="", metavar="NAME", help="this weight file, and no other")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--background", action="store_true", help="start a job that goes on by itself, and return")
    command.add_argument("--run", metavar="FOLDER", dest="run_folder", help=argparse.SUPPRESS)
    command.set_defaults(run=downloading.download)


def _add_train(commands, shared) -> None:
    from workflows import training_words
    from workflows.commands import training

    command = commands.add_parser(
        "train", parents=[shared], help="make a small language model, or go on with one; also under torchrun"
    )
    training_words.add_arguments(command)
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--background", action="store_true", help="start a job that goes on by itself, and return")
    command.add_argument("--run", metavar="FOLDER", dest="run_folder", help=argparse.SUPPRESS)
    command.set_defaults(run=training.train)


def _add_looking(commands, shared) -> None:
    from workflows.commands import looking

    command = commands.add_parser("models", parents=[shared], help="list the checkpoints known here")
    command.set_defaults(run=looking.models)
    command = commands.add_parser("stats", parents=[shared], help="print the measurements of a model's tensors")
    command.add_argument("model", metavar="MODEL", help="a measured model: its name, path, or the start of its hash")
    command.add_argument("--all", action="store_true", help="every measure, not only the usual ones")
    command.set_defaults(run=looking.stats)
    command = commands.add_parser("sql", parents=[shared], help="query the database, read-only")
    command.add_argument("query", metavar="QUERY", help="for example: from tensor_stats")
    command.add_argument("--csv", action="store_true", help="print CSV")
    command.add_argument("--rows", type=positive, default=10_000, metavar="N", help="at most N rows (%(default)s)")
    command.set_defaults(run=looking.sql)


def _add_delete(commands, shared) -> None:
    from workflows.commands import deleting

    command = commands.add_parser("delete", parents=[shared], help="forget a model and its measurements")
    command.add_argument("model", metavar="MODEL", help="a known name")
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--keep-measurements", action="store_true", help="only forget where it is")
    command.set_defaults(run=deleting.delete)


def _add_jobs(commands, shared) -> None:
    from workflows.commands import job_control

    command = commands.add_parser("jobs", parents=[shared], help="list, cancel, resume or forget jobs")
    command.add_argument("action", nargs="?", choices=sorted(job_control.ACTIONS), help="what to do; without it: list")
    command.add_argument("job", nargs="?", metavar="JOB", help="the job's id, or the end of it")
    command.set_defaults(run=job_control.jobs)


def _add_starter(commands, argv: list[str]) -> None:
    command = commands.add_parser("starter", help="make the bundled checkpoints again")
    if argv[:1] == ["starter"]:  # its settings come from the training code, which no other command should load
        from workflows import starter

        starter.add_arguments(command)
        command.set_defaults(run=starter.run)


def positive(text: str) -> int:
    """A whole number of at least 1, as an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _say(error: WeightscopeError, code: int) -> int:
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return code
