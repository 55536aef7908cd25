"""A run is a directory: what was asked, what happened, what is finished, what was printed."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import JobError
from workflows.folders import replace_text

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[a-z][a-z0-9_]*-[0-9a-f]{8}")


class RunFolder:
    """One run's directory, `data/runs/<utc time>-<kind>-<short id>/`.

    Holds run.json (what was asked), process.json (who works on it), events.jsonl (one line each: state, progress,
    log, metric), checkpoints/ (finished parts, for resuming), log.txt (what the process printed) and, once somebody
    wants it to end, an empty file `cancel`.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.request = self.path / "run.json"
        self.process = self.path / "process.json"
        self.events = self.path / "events.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.log = self.path / "log.txt"
        self.cancel = self.path / "cancel"

    @classmethod
    def create(cls, runs: Path, kind: str, arguments: dict) -> RunFolder:
        """A new run below the folder `runs`; run.json is complete before anyone can see it."""
        now = datetime.now(UTC)
        run = cls(Path(runs) / f"{now:%Y%m%dT%H%M%SZ}-{kind}-{secrets.token_hex(4)}")
        run.checkpoints.mkdir(parents=True)
        request = {"id": run.id, "kind": kind, "arguments": arguments, "created_at": now.isoformat()}
        replace_text(run.request, json.dumps(request, ensure_ascii=False, indent=1))
        return run

    @property
    def id(self) -> str:
        return self.path.name

    def read_request(self) -> dict:
        """What was asked: id, kind, arguments, created_at. Raises JobError if this is no run's folder."""
        try:
            request = json.loads(self.request.read_text(encoding="utf-8"))
            return {
                "id": self.id,
                "kind": str(request["kind"]),
                "arguments": dict(request["arguments"]),
                "created_at": datetime.fromisoformat(request["created_at"]),
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise JobError(
                f"{self.request} does not say what was asked: {error}.", "Delete the folder if nobody needs it."
            ) from error

    def write_event(self, kind: str, **values) -> None:
        """Append one line to events.jsonl, whole even beside other writers, and readable at once.

        A line torn by a killed writer is closed first, so that it spoils nothing after it. Numbers that JSON does not
        know (NaN, ±Inf) become null.
        """
        event = {"time": time.time(), "event": kind} | {key: _plain(value) for key, value in values.items()}
        line = json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with self.events.open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line)


def _plain(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


class EventTail:
    """Reads the events of a run as they come: each call gives only what is new.

    A last line without its end is left for the next call; a line that is no JSON object (torn by a killed writer) is
    passed over.
    """

    def __init__(self, run: RunFolder) -> None:
        self._path = run.events
        self._offset = 0

    def read(self) -> list[dict]:
        """The events since the last call, oldest first; [] if there are none."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        return [event for line in data[:whole].splitlines() if (event := _parse(line)) is not None]


def _parse(line: bytes) -> dict | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
