"""Heatmap overviews against streaming the same bytes, against numpy, and against their budget.

    python -m benchmarks.heatmaps [--quick] [--json]

Every ratio is the median over rounds of two timings taken one after the other in the same round, on one thread, of
memory-mapped files that lie in the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import ml_dtypes
import numpy as np
from numba import njit
from safetensors.numpy import save_file

import engine.sources
from engine.colour_limits import colour_limits
from engine.heatmaps import full_view, read_grid
from engine.sources.base import Source
from ui.heatmap_canvas.message import encode_message

FASTER = "× faster"
SHAPES = {"embedding": (30_522, 384), "square": (8192, 8192), "wide": (4096, 16_384), "vocabulary": (128_256, 2048)}


@njit(nogil=True, fastmath=True)
def stream(words):
    """The sum of all 64-bit words: the least a program can do that reads every byte."""
    total = np.uint64(0)
    for word in words:
        total += word
    return total


def numpy_pool(matrix: np.ndarray, row_step: int, column_step: int) -> np.ndarray:
    """The signed extreme by numpy reductions, as one would write it; NaN and Inf as they fall."""
    rows, columns = np.arange(0, matrix.shape[0], row_step), np.arange(0, matrix.shape[1], column_step)
    most = np.maximum.reduceat(np.maximum.reduceat(matrix, rows, 0), columns, 1)
    least = np.minimum.reduceat(np.minimum.reduceat(matrix, rows, 0), columns, 1)
    return np.where(-least > most, least, most)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(work: Callable[[], object], peer: Callable[[], object], rounds: int) -> float:
    """Median over rounds of work's time over its peer's; the first round warms both up and does not count."""
    pairs = [(timed(work), timed(peer)) for _ in range(rounds + 1)][1:]
    return statistics.median(own / other for own, other in pairs)


def write(folder: Path, names: list[str]) -> Source:
    rng = np.random.default_rng(0)
    tensors = {}
    for name in names:
        weights = rng.standard_normal(SHAPES[name], dtype=np.float32) * np.float32(0.05)
        tensors[f"{name}.f32"], tensors[f"{name}.bf16"] = weights, weights.astype(ml_dtypes.bfloat16)
    save_file(tensors, folder / "model.safetensors")
    return engine.sources.open(folder / "model.safetensors")


def measure(source: Source, rounds: int) -> dict[str, dict]:
    metrics: dict[str, dict] = {}

    def add(name: str, value: float, unit: str, target: float, how: str) -> None:
        met = value >= target if unit == FASTER else value <= target
        metrics[name] = {"value": round(value, 3), "unit": unit, "target": target, "met": met, "how": how}

    for info in source.infos():
        words = np.frombuffer(source.read(info.name).tobytes(), np.uint64)
        view = full_view(info)
        value = ratio(lambda i=info, v=view: read_grid(source, i, v), lambda w=words: stream(w), rounds)
        how = f"overview of {info.shape[0]} × {info.shape[1]} {info.dtype} over a one-thread sum of the same bytes"
        add(f"overview.{info.name}", value, "× stream", 3.0, how)
    info = source.info("embedding.f32")
    grid = read_grid(source, info, full_view(info))
    matrix = source.read(info.name)
    value = ratio(
        lambda: numpy_pool(matrix, grid.row_step, grid.column_step),
        lambda: read_grid(source, info, full_view(info)),
        rounds,
    )
    add("overview.embedding.f32.numpy", value, FASTER, 10.0, "numpy reduceat over ours")

    def first_message() -> bytes:
        colour_limits(source, info)
        return encode_message({}, {"overview": read_grid(source, info, full_view(info))})

    seconds = statistics.median(timed(first_message) for _ in range(rounds))
    share = len(first_message()) / 1e6
    add("message.size", share, "of 1 MB", 1.0, "first message of 30522 × 384 F32")
    add("message.time", seconds, "of 1 s", 1.0, "limits from a sample, pooling and encoding of it")
    return metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the small matrices only")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    names = ["embedding", "square"] if arguments.quick else list(SHAPES)
    with tempfile.TemporaryDirectory() as folder, write(Path(folder), names) as source:
        metrics = measure(source, rounds=7 if arguments.quick else 15)
    if arguments.json:
        print(json.dumps(metrics, indent=2))
        return
    for name, metric in metrics.items():
        mark = "met" if metric["met"] else "MISSED"
        print(
            f"{name:32} {metric['value']:8.3f} {metric['unit']:10} target {metric['target']} {mark}  ({metric['how']})"
        )


if __name__ == "__main__":
    main()
