"""Kernels are compiled once, for the types they were made for, whether or not the result can be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.measures import compilation
from engine.measures.distribution import distribution_and_profiles
from engine.measures.spans import Progress, Tally, in_order, spans
from tests.engine.measures.conftest import DTYPES, random_array

ROOT = Path(__file__).resolve().parents[3]

WARM_UP = """
import numpy as np
from engine.measures.reading import measure_array, warm_up
told = []
warm_up(told.append)
print(len(told), measure_array(np.arange(12, dtype=np.float32)).values["mean"])
"""


def start(cache: Path) -> subprocess.Popen:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WARM_UP]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_no_type_or_layout_needs_a_kernel_beyond_those_of_the_warm_up(way):
    compilation.warm_up()
    for dtype in DTYPES:
        for array in (random_array(dtype, (60, 70)), random_array(dtype, (60, 70)).T, random_array(dtype, 2999)):
            distribution_and_profiles(array)
    for compiled, signatures in compilation._KERNELS:
        if not compiled.__module__.startswith("engine.measures."):
            continue  # another part's, which it compiles itself when it is first needed
        assert len(compiled.signatures) == len(signatures), compiled.__name__


def test_the_first_use_is_announced_the_second_comes_from_the_cache_and_two_at_once_are_right(tmp_path):
    both = [start(tmp_path), start(tmp_path)]
    assert [each.communicate(timeout=300)[0].split() for each in both] == [["2", "5.5"]] * 2
    assert start(tmp_path).communicate(timeout=300)[0].split() == ["0", "5.5"]


def test_without_a_writable_cache_it_still_works(tmp_path, monkeypatch):
    def refuse(*_args, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compilation, "njit", refuse)
    monkeypatch.setattr(compilation, "_KERNELS", [])

    @compilation.kernel()
    def one():
        return 1

    assert one() == 1


class FullDisk:
    """What the compiler does when its result cannot be saved: the code is there, and an error is raised."""

    def __init__(self, is_compiled: bool) -> None:
        self.overloads = {("a",): None} if is_compiled else {}

    def compile(self, signature) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_costs_only_the_cache():
    compilation._compile(FullDisk(is_compiled=True), ("a",))
    with pytest.raises(OSError, match="No space"):
        compilation._compile(FullDisk(is_compiled=False), ("a",))


def test_spans_cover_everything_once_in_whole_rows():
    for size, row in ((0, 1), (1, 1), (10_000_000, 1), (3_000_000, 300), (2_000_000, 1_000_000)):
        cuts = spans(size, 4, row)
        assert [start for start, _ in cuts] == [0, *(stop for _, stop in cuts)][: len(cuts)]
        assert (cuts[-1][1] if cuts else 0) == size
        assert all((stop - start) % row == 0 for start, stop in cuts)


def test_results_come_in_order_and_an_error_ends_the_work():
    cuts = [(start, start + 1) for start in range(50)]
    assert [result for _, result in in_order(lambda start, _: start, cuts, 4)] == list(range(50))
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda start, _: 1 / (20 - start), cuts, 4))


def test_a_tally_keeps_counts_beyond_32_bits(monkeypatch):
    tally = Tally((2,), 2)
    for _ in range(5):
        with tally.borrowed(1 << 30) as table:
            table[0] += np.uint32(1 << 30)
    assert tally.total().tolist() == [5 << 30, 0]


def test_progress_never_tells_more_than_all_nor_nothing():
    told: list[int] = []
    progress = Progress(10, told.append)
    for _ in range(30):
        progress.advance(0.05)
    progress.finish()
    assert sum(told) == 10
    assert min(told) > 0
