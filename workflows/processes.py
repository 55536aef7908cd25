"""Starting, recognising and ending the process that works on a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psutil

from workflows.folders import PROJECT, replace_text
from workflows.runs import RunFolder

_SAME_PROCESS_S = 2.0
"""Two creation times closer than this are one process; clocks are corrected by less, process ids return later."""


START_LINE = "== started "
"""Begins the line that parts the starts of one run in its log.txt."""


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process and when it was created (seconds since 1970): a reused process id is not taken for a living job."""

    pid: int
    created_s: float


def write_mark(run: RunFolder, pid: int | None = None) -> None:
    """Record who works on the run: this process, or another that was just started."""
    pid = os.getpid() if pid is None else pid
    try:
        mark = ProcessMark(pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return  # it ended before it could be recorded; the run then reads as interrupted
    replace_text(run.process, json.dumps(asdict(mark)))


def read_mark(run: RunFolder) -> ProcessMark | None:
    """Who works, or last worked, on the run; None before that was recorded."""
    try:
        return ProcessMark(**json.loads(run.process.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def living(mark: ProcessMark | None) -> psutil.Process | None:
    """The marked process if it still runs; None if it ended, or only waits to be reaped."""
    if mark is None:
        return None
    try:
        process = psutil.Process(mark.pid)
        same = abs(process.create_time() - mark.created_s) < _SAME_PROCESS_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def spawn(run: RunFolder, command: list[str], secret_environment: Mapping[str, str] | None = None) -> None:
    """Start `python -m workflows <command>` for the run, so that it outlives whoever started it.

    It has a session of its own and no terminal; what it prints goes to the run's log.txt.

    Args: secret_environment: variables that only the process gets to know, such as HF_TOKEN; written nowhere.
    """
    detached = (
        {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        if sys.platform == "win32"
        else {"start_new_session": True}
    )
    with run.log.open("ab") as log:
        log.write(f"{START_LINE}{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode())
        log.flush()
        process = subprocess.Popen(  # noqa: S603 — our own interpreter, an argument list, no shell
            [sys.executable, "-X", "faulthandler", "-m", "workflows", *command],
            cwd=PROJECT,
            env=os.environ | {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"} | dict(secret_environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **detached,
        )
    if read_mark(run) is None:  # the process records itself too, but may die before it can
        write_mark(run, process.pid)
    threading.Thread(target=process.wait, name=f"reap {run.id}", daemon=True).start()


def end(process: psutil.Process) -> None:
    """Kill a process and its children, and wait until they are gone."""
    try:
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=5)
