"""What a training has told and the database does not know yet, kept in the run's folder until it does."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from pathlib import Path

import numpy as np

from storage.records import Metric
from storage.store import Store
from storage.training import CheckpointTensor, Remark, Sample, TrainingCheckpoint, TrainingRows

_PIECE = re.compile(r"unstored-(\d{9})\.jsonl")


class Journal:
    """Rows on the disk as soon as they are told, one line each time; so a killed process loses none of them.

    Lines go to the newest of several files. Before rows are stored a new file begins, and once they are, those before
    it are deleted; after a kill in between, some rows are in both places. One thread at a time may use it.

    Args: folder: the run's own; made by the first line.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = max(self._numbers(), default=0) + 1

    def add(self, rows: TrainingRows) -> None:
        """Write rows down. Raises: OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps({part.name: [_plain(row) for row in getattr(rows, part.name)] for part in fields(rows)})
        with self._file(self._number).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def turn(self) -> int:
        """Begin a new file. Returns: the number to `forget` once all before it is stored."""
        self._number += 1
        return self._number

    def forget(self, before: int) -> None:
        """Delete the files before a number."""
        for number in self._numbers():
            if number < before:
                self._file(number).unlink(missing_ok=True)

    def read(self) -> TrainingRows:
        """All that is still written down, oldest first. A line that a kill cut off, and what is no line, is skipped."""
        found: list[TrainingRows] = []
        for number in sorted(self._numbers()):
            for line in self._file(number).read_text(encoding="utf-8").splitlines():
                try:
                    found.append(_rows(json.loads(line)))
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue
        return together(*found)

    def _file(self, number: int) -> Path:
        return self._folder / f"unstored-{number:09d}.jsonl"

    def _numbers(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return [int(match[1]) for path in self._folder.iterdir() if (match := _PIECE.fullmatch(path.name))]


def together(*parts: TrainingRows) -> TrainingRows:
    """All of them, in this order."""
    names = [field.name for field in fields(TrainingRows)]
    return TrainingRows(**{name: [row for part in parts for row in getattr(part, name)] for name in names})


def missing(rows: TrainingRows, store: Store, experiment: str, until_step: int) -> TrainingRows:
    """Those of the rows, each once, that are not in the database and no later than a step.

    Raises: StorageError.
    """
    if not rows:
        return rows
    known = store.metrics(experiment)
    metrics = set(zip(known["step"], known["name"], strict=True))
    samples = {(row.step, row.prompt, row.text) for row in store.training_samples(experiment)}
    remarks = {(row.step, row.kind, row.text) for row in store.training_remarks(experiment)}
    steps = {(row.step,) for row in store.training_checkpoints(experiment)}

    def fresh(rows: list, key: Callable, known: set) -> list:
        kept = {key(row): row for row in rows if key(row)[0] <= until_step and key(row) not in known}
        return list(kept.values())

    return TrainingRows(
        fresh(rows.metrics, lambda row: (row.step, row.name), metrics),
        fresh(rows.samples, lambda row: (row.step, row.prompt, row.text), samples),
        fresh(rows.remarks, lambda row: (row.step, row.kind, row.text), remarks),
        fresh(rows.checkpoints, lambda row: (row[0].step,), steps),
    )


def _plain(row: object) -> list:
    """A row as JSON values, in the order of its fields."""
    if isinstance(row, tuple):
        checkpoint, tensors = row
        return [_plain(checkpoint), [_plain_tensor(tensor) for tensor in tensors]]
    values = (getattr(row, part.name) for part in fields(row))
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]


def _plain_tensor(tensor: CheckpointTensor) -> list:
    picture = tensor.thumbnail
    cells = None if picture is None else [*picture.shape, base64.b64encode(_cells(picture).tobytes()).decode()]
    values = [[*key, float(value)] for key, value in tensor.values.items()]
    return [tensor.tensor, tensor.layer, tensor.role, list(tensor.shape), values, cells]


def _cells(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture, dtype="<f4")


def _rows(values: dict) -> TrainingRows:
    return TrainingRows(
        metrics=[_dated(Metric, row) for row in values["metrics"]],
        samples=[_dated(Sample, row) for row in values["samples"]],
        remarks=[_dated(Remark, row) for row in values["remarks"]],
        checkpoints=[
            (_dated(TrainingCheckpoint, row), tuple(_tensor(*tensor) for tensor in tensors))
            for row, tensors in values["checkpoints"]
        ],
    )


def _dated(kind: type, row: list):
    """A row whose last field is a moment."""
    return kind(*row[:-1], datetime.fromisoformat(row[-1]))


def _tensor(name: str, layer: int | None, role: str, shape: list, values: list, cells: list | None) -> CheckpointTensor:
    picture = None
    if cells is not None:
        rows, columns, data = cells
        picture = np.frombuffer(base64.b64decode(data), "<f4").reshape(rows, columns).astype(np.float32)
    measured = {(measure, version): value for measure, version, value in values}
    return CheckpointTensor(name, layer, role, tuple(shape), measured, picture)
