"""How fast discovery is: signatures against plain numpy and scipy, search among a million, maps of 5,000 layers.

`python -m benchmarks.discovery [--quick] [--json]`. Signatures are taken of random 384 × 384 and 1536 × 384 matrices on
one thread. Search and maps use made-up signatures: rows of random numbers about a few hundred centres.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from scipy import stats
from threadpoolctl import threadpool_limits

from benchmarks.harness import Result, main, timings_in_turns
from engine.discovery.signature import FEATURES, signature
from engine.spectra.reading import warm_up
from storage.neighbours import Among
from storage.store import Store
from storage.vectors import vectors

NUM_TENSORS, TENSORS_A_MODEL = 1_000_000, 100
BATCH = 50_000


def measure(is_quick: bool) -> dict[str, Result]:
    """Every metric of this benchmark."""
    repetitions = 3 if is_quick else 5
    return _rate(repetitions) | _search(repetitions) | _map(is_quick)


def _rate(repetitions: int) -> dict[str, Result]:
    warm_up()
    random = np.random.default_rng(0)
    matrices = [random.standard_t(6, shape).astype(np.float32) for shape in ((384, 384), (384, 384), (1536, 384))]
    with threadpool_limits(1):
        taken = timings_in_turns(
            {
                "ours": lambda: [signature(matrix) for matrix in matrices],
                "plain": lambda: [_plain_signature(matrix) for matrix in matrices],
            },
            repetitions,
        )
    how = "2 of 384 × 384 and 1 of 1536 × 384, fp32, one thread, CPU time"
    ours, plain = taken["ours"].cpu_s, taken["plain"].cpu_s
    entries = sum(matrix.size for matrix in matrices)
    return {
        "signature_faster_than_numpy_scipy": Result(
            plain / ours, "x", "≥ 2", f"{how}; {ours:.3f} s against {plain:.3f} s"
        ),
        "signature_entries_per_s": Result(entries / ours, "weights/s", "", how),
    }


def _plain_signature(matrix: np.ndarray) -> list[float]:
    """About the same facts with the usual functions of numpy and scipy, as one would write them down first."""
    x = matrix.astype(np.float64)
    flat = x.ravel()
    found = [x.std(), stats.skew(flat), stats.kurtosis(flat), np.abs(flat).mean(), (flat == 0).mean()]
    found += np.quantile(flat, [0.001, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 0.999]).tolist()
    found.append(stats.t.fit(np.random.default_rng(0).choice(flat, 16384))[0])
    found.append(stats.kstest(flat, "norm", (flat.mean(), flat.std())).statistic)
    for axis in (0, 1):
        norms = np.linalg.norm(x, axis=axis)
        found += [norms.std() / norms.mean(), norms.max() / np.median(norms), np.log2(norms).mean()]
        found += [float(np.sort(norms) @ np.arange(norms.size)), float(np.square(x.sum(axis)).sum())]
    scaled = x / np.linalg.norm(x, axis=1, keepdims=True) / np.linalg.norm(x, axis=0)
    found.append(stats.kurtosis(scaled.ravel()))
    sigma = np.linalg.svd(x, compute_uv=False)
    shares = sigma / sigma.sum()
    found += [np.square(sigma / sigma[0]).sum(), float(np.exp(-(shares * np.log(shares)).sum())), _alpha(sigma**2)]
    power = np.abs(np.fft.fft2(x)) ** 2
    for axis in (0, 1):
        density = power.sum(1 - axis)[1:]
        found += [stats.gmean(density) / density.mean(), density.max() / density.mean()]
        found += [float((x * np.roll(x, lag, axis)).mean()) for lag in (1, 2, 4, 8)]
    z = np.abs(flat - np.median(flat)) / stats.median_abs_deviation(flat, scale="normal")
    return [*found, z.max(), (z > 4).mean(), (z > 8).mean()]


def _alpha(eigenvalues: np.ndarray) -> float:
    values = np.sort(eigenvalues)
    best = (np.inf, np.nan)
    for first in range(len(values) - 1):
        tail = values[first:] / values[first]
        alpha = 1 + len(tail) / np.log(tail).sum()
        distance = np.abs(1 - tail ** (1 - alpha) - np.arange(len(tail)) / len(tail)).max()
        best = min(best, (distance, alpha))
    return best[1]


def _search(repetitions: int) -> dict[str, Result]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.models()
        started = time.perf_counter()
        _fill(store.path)
        print(f"made {NUM_TENSORS:,} signatures in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        works = {
            "any": lambda: store.similar_tensors("m17", "t5"),
            "same role, other family": lambda: store.similar_tensors("m17", "t5", Among(role="same", family="other")),
            "scan": lambda: _scan(store.path),
        }
        taken = timings_in_turns(works, repetitions)
    how = f"10 nearest of {NUM_TENSORS:,} × {len(FEATURES)}, opening the database included, by the clock"
    return {
        "search_1m_s": Result(taken["any"].wall_s, "s", "≤ 1", how),
        "search_1m_filtered_s": Result(
            taken["same role, other family"].wall_s, "s", "≤ 1", how + "; only the same role of other families"
        ),
        "search_over_reading": Result(
            taken["any"].wall_s / taken["scan"].wall_s, "x", "", "against summing one number of every vector in DuckDB"
        ),
    }


def _fill(path: Path) -> None:
    random = np.random.default_rng(0)
    centres = random.standard_normal((300, len(FEATURES)))
    roles = np.array(["query", "key", "value", "output", "ffn_in", "ffn_out"])
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO model (content_hash, name, uri, format, family, config, metadata, num_tensors, "
            "num_parameters, num_bytes, measured_at, elapsed_s) SELECT 'h' || i, 'm' || i, '', '', 'f' || i % 40, "
            f"'{{}}', '{{}}', 0, 0, 0, now()::TIMESTAMP, 0 FROM range({NUM_TENSORS // TENSORS_A_MODEL}) t(i)"
        )
        ids = {f"m{i}": key for i, key in enumerate(_ids(connection))}
        keys = np.array(list(ids.values()), np.int32)
        for start in range(0, NUM_TENSORS, BATCH):
            number = np.arange(start, start + BATCH)
            rows = pa.table(
                {
                    "model": keys[number // TENSORS_A_MODEL],
                    "tensor": [f"t{i}" for i in number % TENSORS_A_MODEL],
                    "position": (number % TENSORS_A_MODEL).astype(np.int32),
                    "role": roles[number % len(roles)],
                    "standard": vectors(centres[number % 300] + random.standard_normal((BATCH, len(FEATURES)))),
                }
            )
            connection.register("rows", rows)
            connection.execute("INSERT INTO signature_index_v1 SELECT model, tensor, role, standard FROM rows")
            connection.execute(
                "INSERT INTO signature_v1 (model, tensor, position, role, stack, share) "
                "SELECT model, tensor, position, role, '', 1 FROM rows"
            )
            connection.unregister("rows")


def _ids(connection: duckdb.DuckDBPyConnection) -> list[int]:
    found = connection.execute("SELECT id FROM model ORDER BY CAST(name[2:] AS INTEGER)").fetchall()
    return [key for (key,) in found]


def _scan(path: Path) -> None:
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SELECT sum(standard[1]) FROM signature_index_v1").fetchall()


def _map(is_quick: bool) -> dict[str, Result]:
    """UMAP of 5,000 made-up layers on two threads; once, after a small one that compiles its code."""
    if importlib.util.find_spec("umap") is None:
        print("umap-learn is not installed: the map is left out.", file=sys.stderr)
        return {}
    import numba

    from engine.discovery.projections import project

    random = np.random.default_rng(0)
    centres = random.standard_normal((30, len(FEATURES)))
    table = centres[np.arange(5000) % 30] + random.standard_normal((5000, len(FEATURES)))
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    with threadpool_limits(2):
        taken = timings_in_turns({"map": lambda: project(table, "UMAP")}, 1 if is_quick else 3)["map"]
    how = f"5,000 × {len(FEATURES)} with trustworthiness, two threads, by the clock, {taken.free_cores:.1f} cores free"
    return {"umap_5000_s": Result(taken.wall_s, "s", "≤ 60", how)}


if __name__ == "__main__":
    sys.exit(main("discovery", measure, __doc__))
