"""The power-law tail: known exponents, a slow obvious fit, and WeightWatcher's own numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from engine.sources.opening import open_source
from engine.spectra.power_law import NO_TAIL, fit_power_law
from engine.spectra.reading import measure_spectrum

GOLDEN = json.loads((Path(__file__).parent / "weightwatcher_minilm.json").read_text(encoding="utf-8"))["tensors"]


def pareto(alpha: float, size: int, seed: int = 0) -> np.ndarray:
    return (1 - np.random.default_rng(seed).random(size)) ** (-1 / (alpha - 1))


def obvious_fit(values: np.ndarray) -> tuple[float, float, float, int]:
    """(alpha, x_min, distance, tail), every x_min in turn, as the formulas stand."""
    x = np.sort(values)
    best = (math.nan, math.nan, math.inf, 0)
    for first in range(len(x) - 1):
        tail = x[first:]
        n = len(tail)
        alpha = 1 + n / np.log(tail / tail[0]).sum()
        distance = np.abs(1 - (tail / tail[0]) ** (1 - alpha) - np.arange(n) / n).max()
        if distance < best[2]:
            best = (alpha, tail[0], distance, n)
    return best


@pytest.mark.parametrize("alpha", [1.5, 2.5, 4.0])
def test_a_pareto_sample_gives_its_exponent_back(alpha):
    found = fit_power_law(pareto(alpha, 5000))
    assert found.alpha == pytest.approx(alpha, abs=4 * found.error)
    assert found.error == pytest.approx((found.alpha - 1) / math.sqrt(found.num_tail))
    assert found.distance < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_the_fit_is_that_of_the_formulas(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.gamma(2, size=rng.integers(20, 300)), pareto(3, 30, seed)])
    found = fit_power_law(values)
    expected = obvious_fit(values)
    assert (found.alpha, found.x_min, found.distance) == pytest.approx(expected[:3], rel=1e-9)
    assert found.num_tail == expected[3]


def test_scale_moves_only_the_beginning_of_the_tail():
    values = pareto(2.5, 400)
    one, other = fit_power_law(values), fit_power_law(1e-9 * values[::-1])
    assert (other.alpha, other.distance) == pytest.approx((one.alpha, one.distance), rel=1e-9)
    assert other.x_min == pytest.approx(1e-9 * one.x_min) and other.num_tail == one.num_tail


def test_too_few_or_equal_values_have_no_tail():
    assert fit_power_law(pareto(2, 19)) is NO_TAIL
    assert fit_power_law(np.full(100, 3.0)) is NO_TAIL
    assert fit_power_law(np.zeros(100)) is NO_TAIL
    assert fit_power_law(np.zeros(0)) is NO_TAIL
    assert fit_power_law(np.concatenate([np.zeros(50), pareto(2, 30)])) == fit_power_law(pareto(2, 30))


def test_alpha_is_weightwatchers_on_every_matrix_of_minilm(minilm_path):
    assert len(GOLDEN) == 39
    with open_source(minilm_path) as source:
        for name, expected in GOLDEN.items():
            found = measure_spectrum(source, source.info(name)).values
            assert found["alpha"] == pytest.approx(expected["alpha"], abs=1e-9), name
            assert found["x_min"] == pytest.approx(expected["x_min"], rel=1e-9), name
            assert found["tail_count"] == expected["num_tail"], name
            assert found["ks_distance"] == pytest.approx(expected["distance"], abs=1e-9), name
            assert found["alpha_error"] == pytest.approx(expected["error"], abs=1e-9), name
            assert found["spectral_norm"] == pytest.approx(expected["spectral_norm"], rel=1e-9), name
            assert found["stable_rank"] == pytest.approx(expected["stable_rank"], rel=1e-9), name
