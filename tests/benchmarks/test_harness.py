"""Benchmarks time in turns, sample memory, and print one JSON object."""

from __future__ import annotations

import json
import math
import sys
import time

import numpy as np
import pytest

from benchmarks.harness import Result, main, peak_bytes, peak_bytes_afresh, timings_in_turns


@pytest.mark.parametrize(
    ("value", "target", "met"),
    [(3.9, "≤ 4", True), (4.1, "≤ 4", False), (35, "≥ 35", True), (1, "≥ 35", False), (1, "", None)],
)
def test_a_result_knows_whether_it_meets_its_target(value, target, met):
    assert Result(value, "x", target, "").met is met


def test_a_missing_value_neither_meets_nor_misses():
    assert Result(math.nan, "x", "≤ 4", "").met is None


def test_works_are_timed_in_turns_and_the_first_round_is_not_counted():
    order: list[str] = []
    seconds = timings_in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repetitions=3)
    assert order == ["a", "b"] * 4
    assert all(0 <= each.wall_s < 1 for each in seconds.values())


def test_sleeping_takes_wall_time_and_no_processor():
    timing = timings_in_turns({"sleep": lambda: time.sleep(0.05)}, repetitions=1, warm_up=False)["sleep"]
    assert timing.wall_s >= 0.05
    assert timing.cpu_s < timing.wall_s / 2
    assert timing.free_cores >= 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="anonymous memory is read from /proc")
def test_peak_memory_is_that_of_the_work_and_not_of_before():
    held = np.ones(8 << 20)

    def work() -> None:
        # 64 MiB: glibc maps more than 32 MiB afresh, always; less may lie in memory that earlier work left behind.
        block = np.ones(8 << 20)
        time.sleep(0.2)  # the watcher gets its turn, however busy the machine
        assert block[0] == 1

    assert 60 << 20 <= peak_bytes(work) <= 90 << 20
    assert held.all()


def test_json_is_one_object_of_metrics(capsys):
    results = {"speed": Result(2.0, "x", "≤ 4", "by hand"), "none": Result(math.nan, "x", "≤ 4", "absent")}
    asked: list[bool] = []
    assert main("demo", lambda is_quick: asked.append(is_quick) or results, "A demo.", ["--json", "--quick"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert asked == [True]
    assert printed["speed"] == {"value": 2.0, "unit": "x", "target": "≤ 4", "how": "by hand", "met": True}
    assert printed["none"]["value"] is None


def test_the_table_names_what_is_not_met(capsys):
    main("demo", lambda _: {"speed": Result(9.0, "x", "≤ 4", "by hand")}, "A demo.", [])
    assert "NOT MET" in capsys.readouterr().out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="anonymous memory is read from /proc")
def test_peak_memory_in_a_new_process_is_that_of_the_work():
    hold = "import time, numpy; kept = numpy.ones(1 << 22); time.sleep(0.5); del kept"  # 32 MiB for half a second
    assert 30 << 20 <= peak_bytes_afresh(exec, hold, {}) <= 60 << 20
    assert peak_bytes_afresh(time.sleep, 0.05) < 4 << 20
