"""Heatmap overviews against streaming the same bytes, against numpy, and against their budget.

python -m benchmarks.heatmaps [--quick] [--json]

One thread, memory-mapped files that lie in the page cache.
"""

from __future__ import annotations

import os
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

import engine.sources
from benchmarks.harness import Result, main, seconds_in_turns
from engine.colour_limits import colour_limits
from engine.heatmaps import full_view, read_grid
from engine.sources.base import Source, TensorInfo
from ui.heatmap_canvas.message import encode_message

SHAPES = {"embedding": (30_522, 384), "square": (8192, 8192), "wide": (4096, 16_384), "vocabulary": (128_256, 2048)}


def stream(source: Source, info: TensorInfo) -> Callable[[], object]:
    """The sum of the tensor's bytes as 64-bit words, read from the same mapped file as the overview reads them.

    numpy's sum is the fastest one-thread pass known here; a copy of the bytes in memory of its own streams slower and
    would flatter every ratio.
    """
    words = source.read(info.name).reshape(-1).view(np.uint64)
    return lambda: words.sum()


def numpy_pool(matrix: np.ndarray, row_step: int, column_step: int) -> np.ndarray:
    """The signed extreme by numpy reductions, as one would write it; NaN and Inf as they fall."""
    rows, columns = np.arange(0, matrix.shape[0], row_step), np.arange(0, matrix.shape[1], column_step)
    most = np.maximum.reduceat(np.maximum.reduceat(matrix, rows, 0), columns, 1)
    least = np.minimum.reduceat(np.minimum.reduceat(matrix, rows, 0), columns, 1)
    return np.where(-least > most, least, most)


def overview(source: Source, info: TensorInfo) -> Callable[[], object]:
    return lambda: read_grid(source, info, full_view(info))


def measure_overviews(source: Source) -> dict[str, Result]:
    """Each tensor's overview over a sum of the same bytes."""
    results = {}
    for info in source.infos():
        times = seconds_in_turns({"own": overview(source, info), "stream": stream(source, info)}, repetitions=9)
        how = (
            f"overview of {info.shape[0]} × {info.shape[1]} {info.dtype} over a one-thread sum of the same mapped bytes"
        )
        results[f"overview.{info.name}"] = Result(times["own"] / times["stream"], "×", "≤ 3", how)
    return results


def measure_embedding(source: Source, info: TensorInfo) -> dict[str, Result]:
    """The tall embedding of MiniLM's shape: against numpy, and its first message against the budget."""
    grid, matrix = read_grid(source, info, full_view(info)), source.read(info.name)

    def message() -> bytes:
        colour_limits(source, info)
        return encode_message({}, {"overview": read_grid(source, info, full_view(info))})

    works = {
        "own": overview(source, info),
        "numpy": lambda: numpy_pool(matrix, grid.row_step, grid.column_step),
        "message": message,
    }
    times = seconds_in_turns(works, repetitions=9)
    shape = f"{matrix.shape[0]} × {matrix.shape[1]} F32"
    return {
        "overview.numpy": Result(times["numpy"] / times["own"], "×", "≥ 10", f"numpy reduceat over ours, {shape}"),
        "message.size": Result(len(message()) / 1e6, "MB", "≤ 1", f"the first message of {shape}"),
        "message.time": Result(times["message"], "s", "≤ 1", "colour limits from a sample, pooling and encoding of it"),
    }


def measure(is_quick: bool) -> dict[str, Result]:
    names = ["embedding", "square"] if is_quick else list(SHAPES)
    rng = np.random.default_rng(0)
    tensors = {}
    for name in names:
        weights = rng.standard_normal(SHAPES[name], dtype=np.float32) * np.float32(0.05)
        tensors[f"{name}.f32"], tensors[f"{name}.bf16"] = weights, weights.astype(ml_dtypes.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_file(tensors, path)
        del tensors
        with engine.sources.open(path) as source:
            results = measure_overviews(source) | measure_embedding(source, source.info("embedding.f32"))
            results["overview.memory"] = Result(
                _peak_mib(source), "MiB", "≤ 64", "most memory allocated while pooling any of the tensors"
            )
    return results


def _peak_mib(source: Source) -> float:
    """The most memory that pooling any of the tensors allocates, its result included; as numpy tells tracemalloc."""
    tracemalloc.start()
    try:
        for info in source.infos():
            overview(source, info)()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    sys.exit(main("heatmaps", measure, __doc__))
