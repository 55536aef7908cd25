"""A tensor in slices: how it is cut, read, shared between threads and reported.

The cut depends on the tensor alone, and results are merged in its order; so numbers do not depend on the threads.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from engine.sources.base import ByteCallback

Result = TypeVar("Result")

SPAN_BYTES = (1 << 20, 16 << 20)
"""What one thread takes at once, at least and at most: long against the cost of handing it out (about 50 µs), short
against the wait for the last; between the two, a 64th of the tensor."""

SEGMENT_BYTES = 512 << 10
"""What is read twice in a row, or copied before it is read: it stays in the second-level cache."""


class SliceReader:
    """Contiguous, aligned, read-only slices in storage order of any array, without a copy where it can be.

    Args:
        array: any shape and strides. stage: the type in which slices are given: of the same width as the array's to
            have the bits as they are, or float64 to have every value converted.
    """

    def __init__(self, array: np.ndarray, stage: np.dtype) -> None:
        self.size, self.itemsize, self.nbytes = array.size, array.itemsize, array.nbytes
        self.stage = stage
        self._is_converted = stage.itemsize != array.itemsize or (stage == np.float64 and array.dtype.kind in "iu")
        native = array.dtype.newbyteorder("=") if array.dtype.kind in "iufc" else array.dtype
        self.native = native
        # 32-bit patterns are counted two at a time, so they must begin where a 64-bit word may.
        alignment = 8 if array.itemsize == 4 else array.itemsize
        is_aligned = array.__array_interface__["data"][0] % alignment == 0
        self.is_direct = array.flags.c_contiguous and is_aligned and array.dtype == native and not self._is_converted
        self._flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
        self._in_place = self._flat.view(stage) if self.is_direct else None

    def read(self, start: int, stop: int) -> np.ndarray:
        """Elements start … stop − 1."""
        if self._in_place is not None:
            piece = self._in_place[start:stop]
        elif self._is_converted:
            piece = np.array(self._flat[start:stop]).astype(self.stage)
        else:
            piece = np.array(self._flat[start:stop], dtype=self.native).view(self.stage)
        piece.flags.writeable = False
        return piece

    def segments(self, start: int, stop: int, row: int = 0) -> Iterator[np.ndarray]:
        """The slice in pieces: whole rows that stay in the cache if `row`, the length of one, is given.

        Without, all of it at once; or, if it has to be copied, pieces that stay in the cache.
        """
        step = SEGMENT_BYTES // self.stage.itemsize
        if row:
            step = max(step // (4 * row), 1) * 4 * row
        elif self.is_direct:
            step = stop - start
        for first in range(start, stop, step):
            yield self.read(first, min(first + step, stop))


def spans(size: int, itemsize: int, row: int = 1, min_rows: int = 1) -> list[tuple[int, int]]:
    """Cut `size` elements into spans of about SPAN_BYTES each, of whole rows, and no fewer than `min_rows` of them."""
    num_bytes = min(max(size * itemsize // 64, SPAN_BYTES[0]), SPAN_BYTES[1]) // 8 * 8
    step = max(num_bytes // itemsize // row, min_rows) * row
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def num_threads(threads: int | None) -> int:
    """At least 1; all cores that this process may use if None."""
    if threads is not None:
        return max(1, threads)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Progress:
    """Bytes done, told to a callback, over several passes of unequal length; in all exactly the tensor's bytes."""

    def __init__(self, num_bytes: int, callback: ByteCallback | None) -> None:
        self._num_bytes, self._callback = num_bytes, callback
        self._done = 0.0
        self._told = 0

    def advance(self, share: float) -> None:
        """So much more of the whole is done. Raises: Cancelled, if the callback does."""
        self._done = min(self._done + share, 1.0)
        self._tell(int(self._done * self._num_bytes))

    def finish(self) -> None:
        self._tell(self._num_bytes)

    def _tell(self, done: int) -> None:
        if self._callback is not None and done > self._told:
            told, self._told = self._told, done
            self._callback(done - told)


def in_order(
    task: Callable[[int, int], Result], cuts: list[tuple[int, int]], threads: int
) -> Iterator[tuple[int, Result]]:
    """Run `task(start, stop)` of every span, several at once; yield (elements, result) in the order of the spans.

    Hardly more spans than threads are under way or waiting to be taken, so that results do not pile up.
    """
    if threads == 1 or len(cuts) < 2:
        for start, stop in cuts:
            yield stop - start, task(start, stop)
        return
    pool = ThreadPoolExecutor(min(threads, len(cuts)), thread_name_prefix="measure")
    try:
        waiting: deque = deque()
        for start, stop in cuts:
            waiting.append((stop - start, pool.submit(task, start, stop)))
            if len(waiting) > threads + 1:
                length, future = waiting.popleft()
                yield length, future.result()
        while waiting:
            length, future = waiting.popleft()
            yield length, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


class Tally:
    """Tables of 32-bit counters lent to threads, and their sum.

    Args: shape: of one table. limit: how many may exist; a thread that finds none free waits.
    """

    _SAFE = 1 << 31  # increments after which a table is emptied into the sum, well before a counter can overflow

    def __init__(self, shape: tuple[int, ...], limit: int) -> None:
        self._shape = shape
        self._sum: np.ndarray | None = None
        self._lock = threading.Lock()
        self._free: queue.LifoQueue[tuple[np.ndarray | None, int]] = queue.LifoQueue()
        for _ in range(limit):
            self._free.put((None, 0))

    @contextmanager
    def borrowed(self, increments: int) -> Iterator[np.ndarray]:
        """A table to which at most so many increments will be added; fewer than 2³¹ at once."""
        table, pending = self._free.get()
        if table is None:
            table = np.zeros(self._shape, dtype=np.uint32)
        elif pending + increments > self._SAFE:
            self._add(table)
            table[:] = 0
            pending = 0
        try:
            yield table
        finally:
            self._free.put((table, pending + increments))

    def total(self) -> np.ndarray:
        """The sum of all tables, once every one has come back, of 32 bits if those are enough; ends the tally."""
        loans = [(table, pending) for table, pending in self._drained() if table is not None]
        if not loans:
            return np.zeros(self._shape, dtype=np.int64) if self._sum is None else self._sum
        if self._sum is None and sum(pending for _, pending in loans) < 1 << 32:
            first = loans.pop()[0]
            while loans:
                first += loans.pop()[0]
            return first
        while loans:
            self._add(loans.pop()[0])
        return self._sum

    def _drained(self) -> Iterator[tuple[np.ndarray | None, int]]:
        while not self._free.empty():
            yield self._free.get()

    def _add(self, table: np.ndarray) -> None:
        with self._lock:
            if self._sum is None:
                self._sum = table.astype(np.int64)
            else:
                self._sum += table
