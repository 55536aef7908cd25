"""`jobs`: see and steer what runs."""

from __future__ import annotations

import argparse
import json
import shutil
import sys

from engine.errors import JobError
from workflows.text_table import text_table
from workflows.wording import bytes_text, duration_text

ACTIONS = ("cancel", "forget", "resume", "wait")


def jobs(arguments: argparse.Namespace) -> int:
    """List the jobs, or do something with one of them."""
    from workflows.jobs import Jobs

    board = Jobs(arguments.data)
    if arguments.action is None:
        return _list(board.all(), arguments.json)
    if arguments.job is None:
        raise JobError(f"jobs {arguments.action} needs to know which job.", "Give its id, or the end of it.")
    job = _find(board, arguments.job)
    job = getattr(board, arguments.action)(job.id) or job
    if arguments.json:
        print(json.dumps(_facts(job), ensure_ascii=False, indent=1))
    else:
        print(f"{job.id}  {job.title}: {'forgotten' if arguments.action == 'forget' else job.state}")
    return 1 if arguments.action == "wait" and job.state != "done" else 0


def _find(board, wanted: str):
    """The job whose id is, or ends with, what was typed."""
    found = [job for job in board.all() if job.id.endswith(wanted)]
    if len(found) != 1:
        problem = "There is no job" if not found else f"{len(found)} jobs have ids that end with"
        raise JobError(f"{problem} {wanted!r}.", "`python -m workflows jobs` lists them.")
    return found[0]


def _list(known: list, is_json: bool) -> int:
    if is_json:
        print(json.dumps([_facts(job) for job in known], ensure_ascii=False, indent=1))
    elif not known:
        print("No jobs yet.")
    else:
        rows = [[job.id, job.state, job.title, _standing(job)] for job in known]
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print(text_table(["job", "state", "what", "progress"], rows, width))
    return 0


def _standing(job) -> str:
    if job.error is not None:
        return job.error.message
    progress = job.progress
    if progress is None or not job.is_active:
        return ""
    words = [progress.phase]
    if progress.fraction is not None:
        words.append(f"{progress.fraction:.0%}")
    if progress.rate and progress.unit == "B":
        words.append(f"{bytes_text(progress.rate)}/s")
    if progress.left_s is not None:
        words.append(f"{duration_text(progress.left_s)} left")
    return ", ".join(words)


def _facts(job) -> dict:
    return {
        "id": job.id,
        "kind": job.kind,
        "title": job.title,
        "arguments": job.arguments,
        "folder": str(job.folder),
        "created_at": job.created_at.isoformat(),
        "state": job.state,
        "fraction": job.progress.fraction if job.progress else None,
        "error": {"message": job.error.message, "hint": job.error.hint} if job.error else None,
        "result": job.result,
    }
