"""Loaded models, kept in one bounded place: a budget of memory, and the least recently used goes first."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from engine.errors import RunnerError
from engine.runners.contract import Runner

Key = tuple[str, ...]
"""What a loaded model is known by: location, task, device, dtype, and a fingerprint of its files."""

BUDGET_SHARE = 0.6
"""Of the memory that is free when the cache is made; the rest is for activations, caches and everything else."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One entry: its key, its memory in bytes, how many use it now, and seconds since it was last asked for."""

    key: Key
    num_bytes: int
    num_users: int
    idle_s: float


@dataclass
class _Entry:
    """A model that is loading (no runner yet), loaded, or to be released when its last user is done."""

    runner: Runner | None = None
    num_bytes: int = 0
    num_users: int = 0
    used_at: float = 0.0
    is_unwanted: bool = False
    is_ready: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class LoadedModels:
    """Models in memory, shared by all threads.

    Args:
        budget_bytes: of weights in all. A model in use is never thrown out, so that the budget may be exceeded for as
            long as two that do not fit together are both running.
        on_release: called with each runner after it was closed, outside of any lock.
    """

    def __init__(self, budget_bytes: int | None = None, on_release: Callable[[Runner], None] | None = None) -> None:
        self.budget_bytes = default_budget_bytes() if budget_bytes is None else budget_bytes
        self._on_release = on_release
        self._entries: dict[Key, _Entry] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lease(self, key: Key, load: Callable[[], Runner], expected_bytes: int = 0) -> Iterator[Runner]:
        """A loaded model for as long as the block runs; loaded now, if it is not there.

        Several threads may hold one model: its runner lets them compute in turns. A thread that asks for a model which
        another is loading waits for that.

        Args:
            load: makes the runner. expected_bytes: what it will take, so that room is made before it loads.
        Raises: RunnerError if it needs more than the whole budget; whatever `load` raises.
        """
        entry = self._enter(key, load, expected_bytes)
        try:
            yield entry.runner
        finally:
            self._leave(entry)

    def loaded(self) -> tuple[LoadedModel, ...]:
        """What is in memory now, last used first."""
        with self._lock:
            now = time.monotonic()
            ready = [(key, each) for key, each in self._entries.items() if each.runner is not None]
            ready.sort(key=lambda item: -item[1].used_at)
            return tuple(LoadedModel(key, each.num_bytes, each.num_users, now - each.used_at) for key, each in ready)

    @property
    def num_bytes(self) -> int:
        """Memory that loaded models take."""
        return sum(each.num_bytes for each in self.loaded())

    def release(self, key: Key) -> bool:
        """Let go of one model: now, or when its last user is done. Returns: whether it was here."""
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is None:
                return False
            entry.is_unwanted = True
            freed = [entry] if entry.num_users == 0 else []
        self._close(freed)
        return True

    def release_all(self) -> None:
        """Let go of every model, those in use when their users are done."""
        with self._lock:
            keys = list(self._entries)
        for key in keys:
            self.release(key)

    def _enter(self, key: Key, load: Callable[[], Runner], expected_bytes: int) -> _Entry:
        with self._lock:
            entry = self._entries.get(key)
            is_mine = entry is None
            if entry is None:
                entry = self._entries[key] = _Entry()
            entry.num_users += 1
            entry.used_at = time.monotonic()
        if is_mine:
            self._load(key, entry, load, expected_bytes)
        entry.is_ready.wait()
        if entry.error is not None:
            self._leave(entry)
            raise entry.error
        return entry

    def _load(self, key: Key, entry: _Entry, load: Callable[[], Runner], expected_bytes: int) -> None:
        """Fills an entry; a failure is kept in it for all who wait, and the next one tries again."""
        try:
            self._make_room(expected_bytes, keep=entry)
            entry.runner = load()
            entry.num_bytes = entry.runner.facts.num_bytes
            self._make_room(0, keep=entry)
        except BaseException as error:  # noqa: BLE001 - also a thread that is being ended must not leave others waiting
            entry.error = error
            with self._lock:
                if self._entries.get(key) is entry:
                    del self._entries[key]
                entry.is_unwanted = True
        finally:
            entry.is_ready.set()

    def _make_room(self, extra_bytes: int, keep: _Entry) -> None:
        """Throws out idle models, longest unused first, until what is left and `extra_bytes` fit the budget."""
        needed = extra_bytes or keep.num_bytes
        if needed > self.budget_bytes:
            raise RunnerError(
                f"The model needs {needed / 2**30:.2f} GiB, and {self.budget_bytes / 2**30:.2f} GiB are set aside.",
                "Choose a smaller model or type, or raise the memory budget.",
            )
        freed = []
        with self._lock:
            total = extra_bytes + sum(each.num_bytes for each in self._entries.values())
            idle = [(key, each) for key, each in self._entries.items() if each.num_users == 0 and each is not keep]
            for key, each in sorted(idle, key=lambda item: item[1].used_at):
                if total <= self.budget_bytes:
                    break
                total -= each.num_bytes
                freed.append(self._entries.pop(key))
        self._close(freed)

    def _leave(self, entry: _Entry) -> None:
        with self._lock:
            entry.num_users -= 1
            entry.used_at = time.monotonic()
            freed = [entry] if entry.is_unwanted and entry.num_users == 0 else []
        self._close(freed)

    def _close(self, entries: list[_Entry]) -> None:
        for entry in entries:
            runner, entry.runner = entry.runner, None
            if runner is None:
                continue
            runner.close()
            if self._on_release is not None:
                self._on_release(runner)


def default_budget_bytes() -> int:
    """BUDGET_SHARE of the memory that is free now."""
    import psutil

    return int(psutil.virtual_memory().available * BUDGET_SHARE)


@functools.lru_cache(maxsize=1)
def shared_models() -> LoadedModels:
    """The one cache of this process; every page and session uses it."""
    return LoadedModels()
