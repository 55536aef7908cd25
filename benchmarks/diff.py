"""How near to memory speed two checkpoints are compared: against a plain stream of both, and the torch expressions.

`python -m benchmarks.diff [--quick] [--json]`. B is A after a fine-tune of small steps, both memory-mapped files; the
first round, which brings them into the page cache, is not counted.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np

from benchmarks.harness import Result, main, peak_bytes_afresh, timings_in_turns
from engine.compare.difference import difference, num_changed
from engine.measures.kernels import stream
from engine.measures.spans import num_threads

FULL_BYTES, QUICK_BYTES, PEER_BYTES, PART_BYTES = 1 << 30, 256 << 20, 32 << 20, 64 << 20
COLUMNS = 4096
TYPES = {"bf16": np.dtype(ml_dtypes.bfloat16), "fp16": np.dtype(np.float16), "fp32": np.dtype(np.float32)}
TARGETS = {"bf16": ("≤ 2.5", "≤ 1.2", "≥ 25"), "fp16": ("", "", ""), "fp32": ("", "", "")}


def measure(is_quick: bool) -> dict[str, Result]:
    """Every metric of this benchmark."""
    results: dict[str, Result] = {}
    for name in TYPES:
        num_bytes = QUICK_BYTES if is_quick or name != "bf16" else FULL_BYTES
        with tempfile.TemporaryDirectory(prefix="weightscope-") as folder:
            results |= _type(name, Path(folder), num_bytes)
    return results | {"one_minus_cosine_error": _cosine_error()}


def _type(name: str, folder: Path, num_bytes: int) -> dict[str, Result]:
    paths = folder / "a", folder / "b"
    _write(paths, TYPES[name], num_bytes)
    a, b = (_mapped(path, name) for path in paths)
    words = [np.memmap(path, np.uint64, mode="r").view(np.ndarray) for path in paths]
    cores = num_threads(None)
    seconds = timings_in_turns(
        {
            "stream": lambda: [stream(each) for each in words],
            "all": lambda: difference(a, b, threads=1),
            "changed": lambda: num_changed(a, b, threads=1),
            "cores": lambda: difference(a, b, threads=cores),
        }
    )
    rows = PEER_BYTES // (COLUMNS * a.itemsize)
    peers = timings_in_turns({"torch": lambda: _by_torch(a[:rows], b[:rows])}, warm_up=False)
    torch_s = peers["torch"].cpu_s * a.shape[0] / rows
    peak = peak_bytes_afresh(_compare, *paths, name, cores)
    cpu = {work: each.cpu_s for work, each in seconds.items()}
    every, size = seconds["cores"], f"two files of {num_bytes >> 20} MiB {name}"
    alone = f"CPU time of 1 thread, {size}"
    over_stream, over_changed, over_torch = TARGETS[name]
    scaled = f"{alone}; the peer on {PEER_BYTES >> 20} MiB and scaled"
    together = f"{cores} threads, {every.free_cores:.1f} cores free, {size}"
    return {
        f"{name}_all_over_stream": Result(cpu["all"] / cpu["stream"], "x", over_stream, alone),
        f"{name}_changed_over_stream": Result(cpu["changed"] / cpu["stream"], "x", over_changed, alone),
        f"{name}_faster_than_torch": Result(torch_s / cpu["all"], "x", over_torch, scaled),
        f"{name}_speedup_per_free_core": Result(cpu["all"] / every.wall_s / every.free_cores, "x", "", together),
        f"{name}_peak_memory": Result(peak / 2**20, "MiB", "≤ 64", f"anonymous, {cores} threads, {size}"),
    }


def _write(paths: tuple[Path, Path], dtype: np.dtype, num_bytes: int) -> None:
    random = np.random.default_rng(0)
    with paths[0].open("wb") as first, paths[1].open("wb") as second:
        for _ in range(num_bytes // PART_BYTES):
            values = random.standard_normal(PART_BYTES // dtype.itemsize, dtype=np.float32) * np.float32(0.02)
            steps = random.standard_normal(values.size, dtype=np.float32) * np.float32(1e-4)
            first.write(values.astype(dtype).tobytes())
            second.write((values + steps).astype(dtype).tobytes())


def _mapped(path: Path, name: str) -> np.ndarray:
    return np.memmap(path, TYPES[name], mode="r").reshape(-1, COLUMNS)


def _compare(path_a: Path, path_b: Path, name: str, threads: int) -> None:
    difference(_mapped(path_a, name), _mapped(path_b, name), threads=threads)


def _cosine_error() -> Result:
    """The largest error of 1 − cosine against long doubles, over scales of change and types."""
    random, worst = np.random.default_rng(1), 0.0
    for dtype in TYPES.values():
        for scale in (0.0, 1e-6, 1e-4, 1e-2, 1.0, 100.0):
            a = (random.standard_normal((512, 512)) * 0.02).astype(dtype)
            b = (a.astype(np.float64) + random.standard_normal(a.shape) * 0.02 * scale).astype(dtype)
            x, y = a.astype(np.longdouble).ravel(), b.astype(np.longdouble).ravel()
            exact = 1 - (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())
            worst = max(worst, abs(difference(a, b).one_minus_cosine - float(exact)))
    return Result(worst, "1", "≤ 1e-7", "largest of 18 pairs of 512 × 512, against long doubles")


def _by_torch(a: np.ndarray, b: np.ndarray) -> None:
    """The same metrics as anyone would write them, on one thread, in float64 so that they are right."""
    import torch

    torch.set_num_threads(1)
    bits = [torch.from_numpy(np.array(each).reshape(-1).view(f"i{each.itemsize}")) for each in (a, b)]
    kind = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(a.dtype.name, torch.float32)
    x, y = (each.view(kind).double() for each in bits)
    delta = y - x
    (bits[0] != bits[1]).double().mean(), (delta.abs() > 1e-5).double().mean(), (x * y < 0).double().mean()
    delta.norm() / x.norm(), 1 - torch.dot(x, y) / (x.norm() * y.norm())
    delta.abs().max(), delta.abs().argmax()
    [(each.isnan().sum(), each.isinf().sum()) for each in (x, y)]


if __name__ == "__main__":
    sys.exit(main("diff", measure, __doc__))
