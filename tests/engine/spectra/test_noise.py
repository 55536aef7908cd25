"""The edges and the bulk of noise: closed forms, simulations, planted spikes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.spectra.noise import iid_edge, scaled_edge
from engine.spectra.noise_density import bulk_density, marchenko_pastur_density
from engine.spectra.reading import measure_array
from engine.spectra.results import TRACY_WIDOM_99


def scaled_noise(rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return rng.standard_normal((len(rows), len(columns))) * np.sqrt(rows)[:, None] * np.sqrt(columns)


def squares(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σx² of rows and columns that noise of these variances has on average."""
    return rows * columns.sum(), columns * rows.sum()


@pytest.mark.parametrize("shape", [(20, 30), (300, 40), (64, 64), (1, 50)])
def test_equal_norms_give_the_marchenko_pastur_edge(shape):
    rows, columns = shape
    found = scaled_edge(np.full(rows, 2.0 * columns), np.full(columns, 2.0 * rows))
    expected = iid_edge(rows, columns, 2.0 * rows * columns)
    assert expected.edge == pytest.approx(2 * (math.sqrt(rows) + math.sqrt(columns)) ** 2)
    assert (found.edge, found.width) == pytest.approx((expected.edge, expected.width), rel=1e-9)


def test_the_edge_scales_with_the_energy_and_ignores_order_transposition_and_dead_lines():
    rng = np.random.default_rng(0)
    rows, columns = squares(rng.lognormal(size=80), rng.lognormal(size=50))
    base = scaled_edge(rows, columns)
    for other, factor in (
        (scaled_edge(columns, rows), 1),
        (scaled_edge(rows[::-1].copy(), columns), 1),
        (scaled_edge(1e6 * rows, 1e6 * columns), 1e6),
        (scaled_edge(np.append(rows, 0), np.append(columns, [0, 0])), 1),
    ):
        assert (other.edge, other.width) == pytest.approx((factor * base.edge, factor * base.width), rel=1e-9)


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_the_largest_eigenvalue_of_simulated_noise_lies_where_the_edge_says(spread):
    rng = np.random.default_rng(3)
    rows, columns = rng.lognormal(0, spread, 150), rng.lognormal(0, spread, 220)
    edge = scaled_edge(*squares(rows, columns))
    tops = [np.linalg.norm(scaled_noise(rng, rows, columns), 2) ** 2 for _ in range(60)]
    standard = (np.array(tops) - edge.edge) / edge.width
    # The Tracy-Widom law of order 1 has mean −1.21 and deviation 1.27; unequal scales come somewhat lower.
    assert -2.6 < standard.mean() < -0.7
    assert 0.7 < standard.std() < 1.7
    assert (standard > TRACY_WIDOM_99).mean() <= 0.05


def test_noise_shows_no_spike_and_scales_alone_deceive_only_the_iid_edge():
    rng = np.random.default_rng(1)
    plain = measure_array(rng.standard_normal((200, 300))).values
    assert (plain["iid_spikes"], plain["scaled_spikes"]) == (0, 0)
    scaled = measure_array(scaled_noise(rng, rng.lognormal(0, 1, 200), rng.lognormal(0, 1, 300))).values
    assert scaled["scaled_spikes"] == 0
    assert scaled["iid_spikes"] > 5


@pytest.mark.parametrize("number", [1, 4])
def test_planted_directions_are_counted(number):
    rng = np.random.default_rng(2)
    noise = scaled_noise(rng, rng.lognormal(0, 0.5, 200), rng.lognormal(0, 0.5, 300))
    u, v = (np.linalg.qr(rng.standard_normal((size, number)))[0] for size in (200, 300))
    assert measure_array(noise + 150 * u @ v.T).values["scaled_spikes"] == number


def test_a_few_singular_values_are_no_bulk():
    values = measure_array(np.random.default_rng(0).standard_normal((9, 400))).values
    assert all(math.isnan(values[name]) for name in ("iid_edge", "iid_spikes", "scaled_edge", "scaled_spikes"))


@pytest.mark.parametrize(("rows", "columns", "spread"), [(200, 300, 0.6), (300, 120, 1.0), (150, 150, 0.0)])
def test_the_bulk_is_spread_as_simulated_eigenvalues_are(rows, columns, spread):
    rng = np.random.default_rng(4)
    a, b = rng.lognormal(0, spread, rows), rng.lognormal(0, spread, columns)
    edge = scaled_edge(*squares(a, b)).edge
    drawn = [np.linalg.svd(scaled_noise(rng, a, b), compute_uv=False) ** 2 for _ in range(8)]
    places = np.geomspace(1e-6 * edge, 1.2 * edge, 800)
    density = bulk_density(*squares(a, b), places)
    below = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(places))])
    simulated = np.searchsorted(np.sort(np.concatenate(drawn)), places) / (8 * min(rows, columns))
    assert np.abs(below - simulated).max() < 0.025
    assert density[places > 1.1 * edge].max() < 1e-3 * density.max()


def test_equal_norms_give_the_marchenko_pastur_density():
    places = np.linspace(5, 280, 200)
    exact = marchenko_pastur_density(100, 60, 6000.0, places)
    assert np.trapezoid(
        marchenko_pastur_density(100, 60, 6000.0, np.linspace(1, 400, 20000)), np.linspace(1, 400, 20000)
    ) == (pytest.approx(1, abs=1e-3))
    found = bulk_density(np.full(100, 60.0), np.full(60, 100.0), places)
    inside = exact > 0.3 * exact.max()
    np.testing.assert_allclose(found[inside], exact[inside], rtol=0.02)
    assert np.isnan(bulk_density(np.zeros(3), np.zeros(4), places)).all()
