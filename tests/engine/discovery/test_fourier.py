"""Waves are found where they are, with the energy they have; noise shows none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.discovery.fourier import FourierSettings, fourier_reading, highest_peaks, middle_strip
from engine.discovery.fourier_power import AxisPower, axis_power, power_picture, power_spectrum
from engine.errors import Cancelled, MeasureError

SHAPES = [(24, 30), (25, 31), (24, 31), (25, 30), (2, 2), (3, 2), (2, 7)]


def noise(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def wave(shape: tuple[int, int], u: int, v: int, phase: float = 0.3) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.cos(2 * np.pi * (u * rows / shape[0] + v * columns / shape[1]) + phase)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 99))
def test_parseval_holds_to_ten_digits(rows, columns, seed):
    matrix = noise((rows, columns), seed) * 3 + 5
    spectrum = power_spectrum(matrix)
    energy = np.square(matrix - matrix.mean()).sum()
    assert spectrum.total == pytest.approx(energy, rel=1e-10)
    for axis in (0, 1):
        assert axis_power(matrix, axis).energy.sum() == pytest.approx(np.square(matrix).sum(), rel=1e-10)
        assert spectrum.along(axis).energy.sum() == pytest.approx(energy, rel=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_power_agrees_with_the_full_transform(shape):
    matrix = noise(shape)
    full = np.abs(np.fft.fft2(matrix - matrix.mean())) ** 2 / matrix.size
    spectrum = power_spectrum(matrix)
    expected = full.copy()
    for kind in ((slice(1, None), 0), (0, slice(1, None)), (slice(1, None), slice(1, None))):
        expected[kind] /= full[kind].mean()
    np.testing.assert_allclose(spectrum.relative(), expected[:, : shape[1] // 2 + 1], atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_the_sum_over_the_other_axis_is_the_power_along_one(shape, axis):
    matrix = noise(shape) + 2
    centred = axis_power(matrix - matrix.mean(), axis)
    np.testing.assert_allclose(power_spectrum(matrix).along(axis).energy, centred.energy, atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1])
def test_many_strips_give_what_one_gives(axis, monkeypatch):
    matrix = noise((37, 53))
    whole = axis_power(matrix, axis)
    monkeypatch.setattr("engine.discovery.fourier_power.STRIP", 100)
    np.testing.assert_allclose(axis_power(matrix, axis).energy, whole.energy, rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
def test_autocorrelation_is_that_of_the_textbook(axis):
    matrix = noise((21, 34)) + np.linspace(0, 1, 34)
    centred = matrix - matrix.mean(axis, keepdims=True)
    expected = [(centred * np.roll(centred, -lag, axis)).sum() / (centred**2).sum() for lag in range(6)]
    np.testing.assert_allclose(axis_power(matrix, axis).autocorrelation(6), expected, atol=1e-12)
    longer = axis_power(matrix, axis).autocorrelation(40)
    assert np.isnan(longer[matrix.shape[axis] :]).all() and np.isfinite(longer[: matrix.shape[axis]]).all()


def test_constant_lines_have_no_autocorrelation():
    ones = np.ones((8, 8))
    assert np.isnan(axis_power(ones, 0).autocorrelation(3)).all()
    assert np.isnan(AxisPower(1, 4, np.ones(1)).autocorrelation(2)).all()


@pytest.mark.parametrize(("u", "v"), [(5, 7), (-5, 7), (0, 9), (6, 0), (12, 3), (4, 16), (12, 16), (12, 0), (0, 16)])
def test_a_planted_wave_is_found_at_its_frequency_with_all_its_energy(u, v):
    shape = (24, 32)
    peaks = highest_peaks(power_spectrum(wave(shape, u, v)), 3, np.zeros(0))
    assert peaks[0].row_frequency == pytest.approx(u / 24 if u != 12 or v in (0, 16) else -0.5) or u == 12
    assert abs(peaks[0].row_frequency) == pytest.approx(abs(u) / 24)
    assert peaks[0].column_frequency == pytest.approx(v / 32)
    assert peaks[0].share == pytest.approx(1)
    assert peaks[0].row_period == pytest.approx(24 / abs(u) if u else np.inf)
    assert peaks[0].column_period == pytest.approx(32 / v if v else np.inf)
    assert all(peak.share < 1e-20 for peak in peaks[1:])


def test_waves_in_noise_are_found_beyond_all_nulls_and_named_once():
    shape = (120, 90)
    matrix = noise(shape) + 0.4 * wave(shape, 10, 5) + 0.5 * wave(shape, 30, 0) + 0.4 * wave(shape, -20, 11)
    reading = fourier_reading(matrix)
    assert reading.is_whole
    found = {(round(peak.row_frequency * 120), round(peak.column_frequency * 90)) for peak in reading.found}
    assert found == {(10, 5), (30, 0), (-20, 11)}
    assert all(peak.p_value == pytest.approx(1 / 20) for peak in reading.found)
    assert reading.rows.peak_p_value == pytest.approx(1 / 20)
    shares = {round(peak.row_frequency * 120): peak.share for peak in reading.found}
    for row, height in ((10, 0.4), (30, 0.5), (-20, 0.4)):
        assert shares[row] == pytest.approx(height**2 / 2 / matrix.var(), rel=0.2)


def test_means_of_columns_do_not_hide_waves_down_the_rows():
    shape = (120, 90)
    matrix = noise(shape) + 3 * np.random.default_rng(1).standard_normal(90) + 0.3 * wave(shape, 10, 5)
    assert {(round(p.row_frequency * 120), round(p.column_frequency * 90)) for p in fourier_reading(matrix).found} == {
        (10, 5)
    }


def test_a_wave_between_two_frequencies_is_one_peak():
    rows = np.arange(200)[:, None]
    matrix = 0.2 * noise((200, 50)) + np.cos(2 * np.pi * rows * 10.5 / 200)
    found = fourier_reading(matrix).found
    assert found[0].row_period == pytest.approx(200 / 10.5, rel=0.06)
    assert sum(abs(abs(peak.row_frequency) * 200 - 10.5) < 2 for peak in found) == 1


def test_white_noise_is_flat_and_its_peaks_are_those_of_its_null():
    p_values = []
    for seed in range(12):
        reading = fourier_reading(noise((60, 80), seed), FourierSettings(num_nulls=9, seed=100 * seed))
        p_values.append(reading.peaks[0].p_value)
        for axis in (reading.rows, reading.columns):
            assert axis.relative.mean() == pytest.approx(1, abs=0.05)
            inside = (axis.relative > axis.relative_band[0]) & (axis.relative < axis.relative_band[1])
            assert inside.mean() > 0.75
    assert np.mean(p_values) > 0.3 and min(p_values) >= 0.1


def test_peaks_of_pure_noise_have_uniform_p_values():
    """Under the null at most 20 of 100 may have p ≤ 0.2; 60 tries with 4 nulls give 12 ± 3.1."""
    low = sum(
        fourier_reading(noise((16, 20), seed), FourierSettings(num_nulls=4, seed=1000 * seed)).peaks[0].p_value <= 0.2
        for seed in range(60)
    )
    assert low <= 22


def test_neighbours_that_agree_show_in_the_autocorrelation_of_their_axis_alone():
    matrix = noise((300, 40))
    for row in range(1, 300):
        matrix[row] += 0.7 * matrix[row - 1]
    reading = fourier_reading(matrix)
    assert reading.rows.autocorrelation[1] == pytest.approx(0.7, abs=0.05)
    assert reading.rows.autocorrelation[1] > reading.rows.autocorrelation_band[1, 1]
    assert reading.rows.autocorrelation_p_value == pytest.approx(0.05)
    assert abs(reading.columns.autocorrelation[1]) < 0.05
    assert abs(reading.rows.autocorrelation_band[:, 5]).max() < 0.05


def test_scales_of_rows_and_columns_make_no_waves_but_fool_shuffled_entries():
    """At 0.05 a fair null calls 2 ± 1.4 of 40 matrices of scaled noise wavy."""
    calls = {"line_permutation": np.zeros(3, int), "entry_shuffle": np.zeros(3, int)}
    for seed in range(40):
        random = np.random.default_rng(seed)
        matrix = (
            noise((40, 40), seed) * np.exp(random.standard_normal(40))[:, None] * np.exp(random.standard_normal(40))
        )
        for null, count in calls.items():
            reading = fourier_reading(matrix, FourierSettings(null=null, seed=100 * seed))
            rows = reading.rows
            count += bool(reading.found), rows.peak_p_value <= 0.05, rows.autocorrelation_p_value <= 0.05
    assert (calls["line_permutation"] <= 7).all(), calls
    assert calls["entry_shuffle"][1] > 20


def test_other_nulls_can_stand_beside():
    matrix = noise((30, 40)) + wave((30, 40), 3, 4)
    for null in ("row_column_gaussian", "entry_shuffle", "haar_rotation"):
        reading = fourier_reading(matrix, FourierSettings(null=null, num_nulls=3))
        assert reading.found
    with pytest.raises(MeasureError, match="no null model"):
        fourier_reading(matrix, FourierSettings(null="dice"))


def test_without_nulls_there_is_no_verdict():
    reading = fourier_reading(noise((10, 12)), FourierSettings(num_nulls=0))
    assert reading.peaks[0].p_value == 1
    assert np.isnan(reading.rows.peak_p_value) and np.isnan(reading.rows.relative_band).all()


def test_the_picture_hides_no_peak():
    shape = (500, 700)
    matrix = noise(shape) + 0.3 * wave(shape, 123, 201)
    spectrum = power_spectrum(matrix)
    picture = power_picture(spectrum, 50, 40)
    assert picture.shape[0] <= 50 and picture.shape[1] <= 40
    assert picture.max() == pytest.approx(spectrum.relative().max(), rel=1e-6)
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert row / picture.shape[0] == pytest.approx(0.5 + 123 / 500, abs=0.03)
    assert column / picture.shape[1] == pytest.approx(2 * 201 / 700, abs=0.04)


def test_a_large_matrix_is_looked_at_in_a_strip_of_neighbours_on_its_own_axes():
    rows = np.arange(4000)[:, None]
    matrix = noise((4000, 20)) + np.cos(2 * np.pi * rows / 16)
    reading = fourier_reading(matrix, FourierSettings(max_elements=20 * 480))
    assert not reading.is_whole
    assert (reading.row_start, reading.row_stop, reading.column_start, reading.column_stop) == (1760, 2240, 0, 20)
    assert reading.found[0].row_period == pytest.approx(16)
    assert middle_strip((10, 100), 500) == (slice(0, 10), slice(25, 75))
    assert middle_strip((3, 3), 9) == (slice(0, 3), slice(0, 3))


def test_constant_matrices_have_no_waves():
    reading = fourier_reading(np.full((6, 8), 2.5), FourierSettings(num_nulls=2))
    assert reading.peaks == () and reading.found == ()


@pytest.mark.parametrize(
    ("matrix", "words"),
    [(np.ones((1, 9)), "at least 2 × 2"), (np.array([[1.0, np.nan], [2, np.inf]]), "2 NaN or infinite")],
)
def test_what_has_no_waves_is_refused_with_the_reason(matrix, words):
    with pytest.raises(MeasureError, match=words):
        fourier_reading(matrix)


def test_the_work_can_be_stopped_between_two_nulls():
    def stop():
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        fourier_reading(noise((8, 8)), check=stop)
