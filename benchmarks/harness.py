"""What all benchmarks share: timing in turns, memory, arguments, and one JSON object as the result.

Every number is a ratio of two things measured in the same run, in turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

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


def seconds_in_turns(
    works: dict[str, Callable[[], object]], repetitions: int = REPETITIONS, warm_up: bool = True
) -> dict[str, float]:
    """The median time of each, all of them run in turn, again and again, after one untimed round."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for repetition in range(repetitions + warm_up):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if repetition or not warm_up:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in taken.items()}


def anonymous_bytes() -> int:
    """This process's anonymous resident memory: without the pages of mapped files. Raises: OSError outside Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon line.")


def peak_bytes(work: Callable[[], object], interval_s: float = 0.002) -> int:
    """By how much the anonymous memory rises at most while `work` runs, sampled; NaN-free, 0 or more."""
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
