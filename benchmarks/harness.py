"""What all benchmarks share: timing in turns, memory, arguments, and one JSON object as the result.

Every number is a ratio of two things measured in the same run, in turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import psutil

REPETITIONS = 5
"""Of every timing; the median is reported."""


@dataclass(frozen=True, slots=True)
class Result:
    """One metric. `target` is what it should be, "≤ 4" or "≥ 100", or "" where there is none; `how` it was measured."""

    value: float
    unit: str
    target: str
    how: str

    @property
    def met(self) -> bool | None:
        """Whether the value meets the target; None without one, or without a value."""
        if not self.target or self.value != self.value:
            return None
        bound = float(self.target[1:])
        return self.value <= bound if self.target[0] == "≤" else self.value >= bound


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one piece of work took.

    Attributes:
        wall_s: by the clock. cpu_s: in which this process really ran, on all its threads together; of one thread, what
            the clock would show if no other program took its turn.
        free_cores: how many cores the other programs left to us meanwhile.
    """

    wall_s: float
    cpu_s: float
    free_cores: float


def timings_in_turns(
    works: dict[str, Callable[[], object]], repetitions: int = REPETITIONS, warm_up: bool = True
) -> dict[str, Timing]:
    """The median timing of each, all of them run in turn, again and again, after one uncounted round."""
    taken: dict[str, list[Timing]] = {name: [] for name in works}
    for repetition in range(repetitions + warm_up):
        for name, work in works.items():
            timing = _timing(work)
            if repetition or not warm_up:
                taken[name].append(timing)
    return {
        name: Timing(*map(statistics.median, zip(*map(astuple, each), strict=True))) for name, each in taken.items()
    }


def _timing(work: Callable[[], object]) -> Timing:
    busy, cpu, started = _machine_busy_s(), time.process_time(), time.perf_counter()
    work()
    wall, cpu, busy = time.perf_counter() - started, time.process_time() - cpu, _machine_busy_s() - busy
    cores = psutil.cpu_count() or 1
    # The machine counts its time in ticks of 10 ms, so that a short work may seem to have run alone, or more than that.
    return Timing(wall, cpu, min(max(cores - (busy - cpu) / wall, 1.0), cores))


def _machine_busy_s() -> float:
    times = psutil.cpu_times()
    return sum(times[:8]) - times.idle - getattr(times, "iowait", 0.0)


def anonymous_bytes() -> int:
    """This process's anonymous resident memory: without the pages of mapped files. Raises: OSError outside Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon line.")


def peak_bytes(work: Callable[[], object], interval_s: float = 0.002) -> int:
    """By how much the anonymous memory rises at most while `work` runs, sampled."""
    base = peak = anonymous_bytes()
    is_done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not is_done.wait(interval_s):
            peak = max(peak, anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        is_done.set()
        watcher.join()
    return peak - base


def peak_bytes_afresh(work: Callable[..., object], *arguments: object) -> int:
    """As `peak_bytes`, in a new process, so that no memory kept from earlier work hides what this one takes.

    Args: work: a function of a module; it is called twice, and the second time counts. arguments: its own, to pickle.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_second_peak, work, arguments).result()


def _second_peak(work: Callable[..., object], arguments: tuple) -> int:
    work(*arguments)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).malloc_trim(0)
    return peak_bytes(lambda: work(*arguments))


def main(
    name: str, measure: Callable[[bool], dict[str, Result]], description: str, arguments: list[str] | None = None
) -> int:
    """The command line of a benchmark: `python -m benchmarks.NAME [--quick] [--json]`. Returns: the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="small data; ends within a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args(arguments)
    results = measure(chosen.quick)
    if chosen.json:
        print(json.dumps({key: _plain(each) for key, each in results.items()}, ensure_ascii=False, indent=2))
    else:
        for key, each in results.items():
            mark = {True: "met", False: "NOT MET", None: ""}[each.met]
            print(f"{key:42s} {each.value:10.3g} {each.unit:8s} {each.target:8s} {mark:8s} {each.how}")
    sys.stdout.flush()
    return 0


def _plain(result: Result) -> dict:
    fields = asdict(result) | {"met": result.met}
    return fields | {"value": None if result.value != result.value else result.value}
