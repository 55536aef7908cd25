"""Heatmap overviews against streaming the same bytes, against numpy, matplotlib and plotly, and against their budget.

python -m benchmarks.heatmaps [--quick] [--json]

One thread, memory-mapped files that lie in the page cache; ratios are of CPU time. matplotlib and plotly are peers of
this benchmark only (`pip install matplotlib plotly`); without them their ratios are not measured.
"""

from __future__ import annotations

import importlib.util
import io
import json
import math
import os
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

import engine.sources
from benchmarks.harness import Result, main, timings_in_turns
from engine.colour_limits import ColourLimits, colour_limits
from engine.colour_maps import value_png
from engine.colour_scales import linear_scale
from engine.heatmaps import Grid, Viewport, full_view, read_grid
from engine.sources.base import Source, TensorInfo
from ui.heatmap_canvas.message import encode_message

SHAPES = {"embedding": (30_522, 384), "square": (8192, 8192), "wide": (4096, 16_384), "vocabulary": (128_256, 2048)}
DRAWN = ("embedding", "square")
"""Those that matplotlib draws, too: it needs seconds, and several times their memory."""

AGAIN = 5
"""Of our pictures in a turn: one alone would be timed on what the peer, a hundred times slower, left of the caches."""

LARGE = (128_256, 4096)
PICTURE = 1024
"""Cells a side, at most: of the pictures that peers draw, and of the pooling that is held against the stream."""


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


def overview(source: Source, info: TensorInfo) -> Grid:
    return read_grid(source, info, full_view(info))


def fine(source: Source, info: TensorInfo) -> Grid:
    return read_grid(source, info, full_view(info, PICTURE, PICTURE))


def picture(source: Source, info: TensorInfo, limits: ColourLimits) -> bytes:
    """The tensor as a PNG of at most 1024² pixels, from the mapped file on."""
    return value_png(fine(source, info).values, linear_scale(limits), "blue-red")


def message(source: Source, info: TensorInfo) -> bytes:
    """What the canvas is sent first, colour limits included."""
    colour_limits(source, info)
    return encode_message({}, {"overview": overview(source, info)})


def measure_pooling(source: Source) -> dict[str, Result]:
    """Each tensor pooled to the page's overview and to 1024², over a sum of the same bytes."""
    results = {}
    for info in source.infos():
        works = {
            "page": lambda info=info: overview(source, info),
            "fine": lambda info=info: fine(source, info),
            "stream": stream(source, info),
        }
        times = {name: each.cpu_s for name, each in timings_in_turns(works, repetitions=9).items()}
        what = f"{info.shape[0]} × {info.shape[1]} {info.dtype} over a one-thread sum of the same mapped bytes"
        ratios = {name: times[name] / times["stream"] for name in ("page", "fine")}
        results[f"pooling.{info.name}.overview"] = Result(ratios["page"], "×", "≤ 2", f"to ≤ 512 × 1024, {what}")
        results[f"pooling.{info.name}.1024"] = Result(ratios["fine"], "×", "≤ 2", f"to ≤ 1024 × 1024, {what}")
    return results


def measure_embedding(source: Source, info: TensorInfo) -> dict[str, Result]:
    """The tall embedding of MiniLM's shape: against numpy, and its first message against the budget."""
    grid, matrix = overview(source, info), source.read(info.name)
    works = {
        "own": lambda: overview(source, info),
        "numpy": lambda: numpy_pool(matrix, grid.row_step, grid.column_step),
        "message": lambda: message(source, info),
    }
    times = {name: each.cpu_s for name, each in timings_in_turns(works, repetitions=9).items()}
    shape = f"{matrix.shape[0]} × {matrix.shape[1]} F32"
    return {
        "overview.numpy": Result(times["numpy"] / times["own"], "×", "≥ 10", f"numpy reduceat over ours, {shape}"),
        "message.size": Result(len(message(source, info)) / 1e6, "MB", "≤ 1", f"the first message of {shape}"),
        "message.time": Result(times["message"], "s", "≤ 1", "colour limits from a sample, pooling and encoding of it"),
    }


def measure_pictures(source: Source) -> dict[str, Result]:
    """A PNG from the mapped file on, against matplotlib's of as many pixels."""
    results = {}
    for info in (source.info(f"{name}.f32") for name in DRAWN):
        how = f"imshow + savefig over our PNG of as many pixels, {info.shape[0]} × {info.shape[1]} F32"
        limits = colour_limits(source, info)
        works = {"own": lambda info=info, limits=limits: [picture(source, info, limits) for _ in range(AGAIN)]}
        if importlib.util.find_spec("matplotlib"):
            works["matplotlib"] = matplotlib_picture(source, info, limits)
        else:
            how += "; matplotlib is not installed"
        times = timings_in_turns(works)
        ratio = AGAIN * times["matplotlib"].cpu_s / times["own"].cpu_s if "matplotlib" in works else math.nan
        results[f"png.{info.name}"] = Result(ratio, "×", "≥ 100", how)
    return results


def matplotlib_picture(source: Source, info: TensorInfo, limits: ColourLimits) -> Callable[[], bytes]:
    """The same picture as one would make it with matplotlib: no axes, no margins, the same limits."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    height, width = fine(source, info).values.shape

    def draw() -> bytes:
        figure = Figure(figsize=(width / 100, height / 100), dpi=100)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        matrix = source.read(info.name)
        axes.imshow(matrix, cmap="RdBu_r", vmin=limits.low, vmax=limits.high, aspect="auto")
        out = io.BytesIO()
        figure.savefig(out, format="png")
        return out.getvalue()

    return draw


def measure_payload(source: Source) -> dict[str, Result]:
    """Bytes that a browser is sent: a full Plotly heatmap over our picture, and over the canvas's first message."""
    results = {}
    for name in DRAWN:
        info = source.info(f"{name}.f32")
        full, how = plotly_bytes(source.read(info.name))
        how = f"{how}, {info.shape[0]} × {info.shape[1]} F32, over"
        image = value_png(overview(source, info).values, linear_scale(colour_limits(source, info)), "blue-red")
        sent = message(source, info)
        results[f"payload.{name}.png"] = Result(
            full / len(image), "×", "≥ 300", f"{how} a PNG of its overview, {len(image) / 1e6:.2f} MB"
        )
        results[f"payload.{name}.message"] = Result(
            full / len(sent), "×", "", f"{how} the canvas's first message with exact numbers, {len(sent) / 1e6:.2f} MB"
        )
    return results


def plotly_bytes(matrix: np.ndarray) -> tuple[int, str]:
    """(bytes of the JSON of a Plotly heatmap of all entries, how they were found).

    Of a small part of the matrix by plotly itself; the rest in proportion, since it encodes arrays as base64, four
    bytes for every three. Without plotly the encoding alone.
    """
    if importlib.util.find_spec("plotly") is None:
        return -(-matrix.nbytes // 3) * 4, "full Plotly heatmap (not installed; base64 of its array)"
    from plotly.graph_objects import Figure, Heatmap

    lines = [len(Figure(Heatmap(z=matrix[:count])).to_json()) for count in (300, 600)]
    return lines[1] + (lines[1] - lines[0]) * (len(matrix) - 600) // 300, "JSON of a full Plotly heatmap"


def measure_small(folder: Path) -> dict[str, Result]:
    """What a grid of a tensor costs besides its bytes: a panorama reads hundreds of small ones."""
    path = folder / "small.safetensors"
    save_file({"w": np.random.default_rng(0).standard_normal((160, 160), dtype=np.float32)}, path)
    with engine.sources.open(path) as source:
        info = source.info("w")
        views = [full_view(info, side, side) for side in (32, 160)] + [Viewport(5, 105, 5, 105)]

        def read() -> None:
            for _ in range(20):
                for view in views:
                    read_grid(source, info, view)

        time_s = timings_in_turns({"read": read})["read"].cpu_s / (20 * len(views))
    return {"small.grid": Result(1e3 * time_s, "ms", "≤ 0.3", "a grid of a mapped tensor of 100 KB, pooled or exact")}


def measure_large(folder: Path) -> dict[str, Result]:
    """The first message of a token embedding of a gigabyte, in memory and time."""
    path, num_bytes = folder / "large.safetensors", 2 * math.prod(LARGE)
    rng = np.random.default_rng(0)
    block = (0.02 * rng.standard_normal(1 << 24, dtype=np.float32)).astype(ml_dtypes.bfloat16).tobytes()
    header = json.dumps({"w": {"dtype": "BF16", "shape": LARGE, "data_offsets": [0, num_bytes]}}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, num_bytes, len(block)):
            file.write(block[: num_bytes - start])
    with engine.sources.open(path) as source:
        info = source.info("w")
        works = {"own": lambda: message(source, info), "stream": stream(source, info)}
        times = timings_in_turns(works)
        peak, sent = _peak_mib(lambda: message(source, info)), len(message(source, info))
    what = f"first message of {LARGE[0]} × {LARGE[1]} BF16"
    return {
        "large.time": Result(times["own"].wall_s, "s", "≤ 1", f"{what}, by the clock"),
        "large.stream": Result(times["own"].cpu_s / times["stream"].cpu_s, "×", "≤ 2", f"{what} over its stream"),
        "large.payload": Result(
            4 * num_bytes * 2 / 3 / sent, "×", "≥ 300", f"base64 of all entries as float32 over the {what}"
        ),
        "large.memory": Result(peak, "MiB", "≤ 64", f"most memory allocated for the {what}"),
    }


def measure(is_quick: bool) -> dict[str, Result]:
    names = ["embedding", "square"] if is_quick else list(SHAPES)
    rng = np.random.default_rng(0)
    tensors = {}
    for name in names:
        weights = rng.standard_normal(SHAPES[name], dtype=np.float32) * np.float32(0.05)
        tensors[f"{name}.f32"], tensors[f"{name}.bf16"] = weights, weights.astype(ml_dtypes.bfloat16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "model.safetensors"
        save_file(tensors, path)
        del tensors
        with engine.sources.open(path) as source:
            embedding = source.info("embedding.f32")
            results = measure_pooling(source) | measure_embedding(source, embedding)
            results |= measure_pictures(source) | measure_payload(source)
            peak = max(_peak_mib(lambda info=info: overview(source, info)) for info in source.infos())
        results["overview.memory"] = Result(peak, "MiB", "≤ 64", "most memory allocated while pooling any of them")
        results |= measure_small(folder) | ({} if is_quick else measure_large(folder))
    return results


def _peak_mib(work: Callable[[], object]) -> float:
    """The most memory that a piece of work allocates, its result included; as numpy tells tracemalloc."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    sys.exit(main("heatmaps", measure, __doc__))
