"""Batches: which models were measured unattended, and how it went."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from storage.database import Database


@dataclass(frozen=True)
class BatchModel:
    """One model of a batch; attributes as the columns of `batch_model`, `content_hash` empty where there is none."""

    name: str
    uri: str
    content_hash: str = ""
    state: str = "waiting"
    done: tuple[str, ...] = ()
    words: str = ""
    elapsed_s: float = 0.0


@dataclass(frozen=True)
class BatchRecord:
    """A batch; attributes as the columns of `batch`, and its models in turn."""

    run: str
    title: str
    settings: dict
    models: tuple[BatchModel, ...]
    is_finished: bool = False
    elapsed_s: float = 0.0
    started_at: datetime | None = None


class Batches:
    """The part of the store that keeps batches."""

    _database: Database

    def save_batch(self, record: BatchRecord) -> None:
        """Store a batch as it stands, in place of how it stood before, in one transaction."""
        with self._database.writing() as connection:
            started = record.started_at or datetime.now(UTC)
            for table in ("batch", "batch_model"):
                connection.execute(f"DELETE FROM {table} WHERE run = ?", [record.run])  # noqa: S608 — names of ours
            connection.execute(
                "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
                [
                    record.run,
                    record.title,
                    json.dumps(record.settings, ensure_ascii=False),
                    started.astimezone(UTC).replace(tzinfo=None),
                    record.is_finished,
                    record.elapsed_s,
                ],
            )
            for place, one in enumerate(record.models):
                row = [record.run, place, one.name, one.uri, one.content_hash or None, one.state, list(one.done)]
                connection.execute(
                    "INSERT INTO batch_model VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [*row, one.words, one.elapsed_s]
                )

    def batches(self) -> list[BatchRecord]:
        """Every batch, the latest first."""
        with self._database.reading() as connection:
            heads = connection.execute(
                "SELECT run, title, settings, is_finished, elapsed_s, started_at FROM batch "
                "ORDER BY started_at DESC, run DESC"
            ).fetchall()
            rows = connection.execute(
                "SELECT run, name, uri, coalesce(content_hash, ''), state, done, words, elapsed_s FROM batch_model "
                "ORDER BY run, position"
            ).fetchall()
        models: dict[str, list[BatchModel]] = {}
        for run, name, uri, content_hash, state, done, words, elapsed_s in rows:
            models.setdefault(run, []).append(BatchModel(name, uri, content_hash, state, tuple(done), words, elapsed_s))
        return [
            BatchRecord(
                run, title, json.loads(settings), tuple(models.get(run, ())), finished, s, at.replace(tzinfo=UTC)
            )
            for run, title, settings, finished, s, at in heads
        ]

    def batch(self, run: str) -> BatchRecord | None:
        """The batch of that run; None if there is none."""
        return next((record for record in self.batches() if record.run == run), None)

    def delete_batch(self, run: str) -> bool:
        """Forget a batch; what it measured stays. Returns: whether there was one."""
        with self._database.writing() as connection:
            found = connection.execute("DELETE FROM batch WHERE run = ? RETURNING 1", [run]).fetchall()
            connection.execute("DELETE FROM batch_model WHERE run = ?", [run])
        return bool(found)
